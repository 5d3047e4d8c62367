"""Test ids are the same in every process: pytest-xdist refuses workers that collect different tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAX_LENGTH = 200


def collected_ids(hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[1]
    process = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=600
    )
    assert process.returncode == 0, process.stdout[-2000:]
    return [line for line in process.stdout.splitlines() if "::" in line]


@pytest.mark.slow
def test_ids_are_stable_short_and_printable() -> None:
    first, second = collected_ids("1"), collected_ids("2")
    assert len(first) > 1000
    assert first == second
    assert [test_id for test_id in first if len(test_id) > MAX_LENGTH] == []
    assert [test_id for test_id in first if not test_id.isprintable()] == []

"""A short run of bench/fuzz.py, and the inputs that it once found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "bench" / "fuzz.py"


@pytest.mark.slow
def test_damaged_inputs_are_read_or_refused_in_our_words() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, SCRIPT, "--inputs", "600", "--seconds", "40"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=400)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    assert " 0 found" in ran.stdout

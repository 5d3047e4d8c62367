"""A short run of bench/crashes.py: kills, signals, failing calls and full disks, after which the repeated command gives what
an undisturbed one gives."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "bench" / "crashes.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="needs Linux and gcc")
def test_disturbed_commands_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    options = ("--points", "24", "--calls", "2", "--seconds", "60", "--folder", tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    ran = subprocess.run(
        [sys.executable, SCRIPT, *options], env=environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    assert " 0 wrong" in ran.stdout

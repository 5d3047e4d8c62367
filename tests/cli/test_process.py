"""The process: streams that are closed, full, left by their reader or cannot show a character, and signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small_log import Command, Inputs

pytest_plugins = ("space_fixtures",)


def shell(command: str, workspace: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash; `lookalike` in it is the program on the workspace."""
    program = f"{sys.executable} -m lookalike --workspace {workspace}"
    run = subprocess.run(
        ["bash", "-c", command.replace("lookalike", program)], capture_output=True, check=False, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip
    assert b"Traceback" not in run.stderr
    assert b"Exception ignored" not in run.stderr
    return run


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_terminal_shows_tables_and_valid_json(expanded: Command, inputs: Inputs, encoding: str) -> None:
    expand = f"expand --seed {inputs.seed} --size 20 --name 'more' --force"
    for words in ("status", "report --all", "overlap fans more", f"ingest --dry-run {inputs.log}", "--help"):
        if words.startswith("overlap"):
            assert expanded("--quiet", *expand.replace("'", "").split()).code == 0
        run = shell(f"lookalike {words}", expanded.workspace, PYTHONIOENCODING=encoding, FORCE_COLOR="1")
        assert run.returncode == 0, run.stderr
        run.stdout.decode(encoding)
    run = shell("lookalike --json report", expanded.workspace, PYTHONIOENCODING=encoding)
    assert json.loads(run.stdout.decode(encoding))["name"] == "more"


def test_an_error_can_be_read_on_any_terminal(tmp_path: Path) -> None:
    run = shell("lookalike overlap m\u00fcller 2\u00d7", tmp_path, PYTHONIOENCODING="ascii")
    assert run.returncode == 2
    assert rb"m\xfcller" in run.stderr


def test_closed_streams_lead_nowhere(expanded: Command) -> None:
    before = (expanded.workspace / "lookalike.duckdb").read_bytes()
    assert shell("lookalike status >&-", expanded.workspace).returncode == 0
    assert shell("lookalike report <&- >&- 2>&-", expanded.workspace).returncode == 0
    assert shell("lookalike report nobody <&- >&- 2>&-", expanded.workspace).returncode == 4
    assert (expanded.workspace / "lookalike.duckdb").read_bytes() == before


def test_a_reader_that_leaves_and_a_full_disk_have_their_codes(expanded: Command) -> None:
    for words in ("status", "--json status", "report --all", "--help"):
        run = shell(f"lookalike {words} | true; exit ${{PIPESTATUS[0]}}", expanded.workspace)
        assert run.returncode in (0, 130), words  # 0 where it was written before the reader left
    if Path("/dev/full").exists():
        run = shell("lookalike status >/dev/full", expanded.workspace)
        assert run.returncode == 4
        assert b"the disk is full" in run.stderr


_ENDLESS = """
import signal, sys
from lookalike.api import ingest
from lookalike.cli.app import entry
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test under nohup ignores it, and so would this process
def endless(opened, *_):
    sys.stderr.write("begun\\n")
    sys.stderr.flush()
    while True:
        opened.rows("CREATE OR REPLACE TEMP TABLE sorted AS SELECT range FROM range(2_000_000) ORDER BY hash(range)")
ingest.ingest_files = endless
entry()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_within_a_query_is_an_interrupt(tmp_path: Path, number: signal.Signals) -> None:
    (log := tmp_path / "log.csv").write_text("user_id,ts,item_id\nann,2024-03-01,a\n")
    command = [sys.executable, "-c", _ENDLESS, "--workspace", str(tmp_path / "space"), "ingest", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while process.stderr.readline() not in ("begun\n", ""):
            pass
        time.sleep(0.2)  # for a query to begin: one follows the other
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "interrupted: nothing is half-written"


def test_an_ignored_hangup_stays_ignored(expanded: Command) -> None:
    run = shell("trap '' HUP; lookalike status", expanded.workspace)
    assert run.returncode == 0

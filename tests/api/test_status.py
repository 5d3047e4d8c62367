"""The status verb: what a workspace holds, and the command that comes next."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

import lookalike as la
from lookalike.api.report import report
from lookalike.api.status import StatusResult, next_step, status
from lookalike.data import database
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from small_log import Command, Inputs, snapshot

pytest_plugins = ("space_fixtures",)


@pytest.fixture
def workspace(expanded_space: Path, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the workspace with the expansion `fans`."""
    shutil.copytree(expanded_space, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert status(WorkspaceFolder(tmp_path)) == StatusResult(
        workspace=str(tmp_path), log=None, runs=(), vectors=None, expansions=(), next_step="ingest"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_workspace_is_described(workspace: WorkspaceFolder) -> None:
    before = snapshot(workspace.root)
    result = status(workspace)
    assert result.log is not None
    assert (result.log.events, result.log.users, result.log.items, result.log.files) == (3_807, 300, 60, 2)
    assert result.log.first is not None
    assert result.log.first.date() == datetime(2024, 1, 1).date()
    assert [run.run for run in result.runs] == ["r000001"]
    assert result.vectors is not None
    assert (result.vectors.version, result.vectors.run, result.vectors.users) == ("v000001", "r000001", 300)
    assert result.vectors.as_of == result.runs[0].as_of
    assert sum(result.vectors.blocks.values()) > 16
    assert [(expansion.name, expansion.prospects) for expansion in result.expansions] == [("fans", 24)]
    assert result.next_step == "report"
    assert snapshot(workspace.root) == before


def test_the_next_step_of_a_new_workspace(fresh: Command, inputs: Inputs) -> None:
    workspace = WorkspaceFolder(fresh.workspace)
    assert next_step(workspace) == "ingest"
    assert fresh("ingest", inputs.log).code == 0
    assert next_step(workspace) == "train"


def test_the_next_step_when_parts_are_missing(workspace: WorkspaceFolder) -> None:
    assert next_step(workspace) == "report"
    shutil.rmtree(workspace.audiences)
    assert next_step(workspace) == "expand"
    (workspace.embeddings / "CURRENT").unlink()
    assert next_step(workspace) == status(workspace).next_step == "embed_run"
    workspace.database.unlink()
    assert next_step(workspace) == "ingest"


def test_an_expansion_is_to_be_reported_once(expanded: Command, inputs: Inputs) -> None:
    workspace = WorkspaceFolder(expanded.workspace)
    assert next_step(workspace) == "report"
    assert expanded("report").code == 0
    assert next_step(workspace) == status(workspace).next_step == "expand"
    words = ("expand", "--seed", inputs.seed, "--suppress", inputs.suppressed, "--size")
    assert expanded(*words, "10%").code == 0
    assert next_step(workspace) == "expand", "the same list has its page"
    assert expanded(*words, "11%").code == 0
    assert next_step(workspace) == "report"


def test_new_events_are_to_be_embedded(ready: Command, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("user_id,ts,item_id\nu001,2024-04-20,i01\n")
    assert ready("ingest", tmp_path / "new.csv").code == 0
    assert next_step(WorkspaceFolder(ready.workspace)) == "embed"
    assert ready("embed").code == 0
    assert next_step(WorkspaceFolder(ready.workspace)) == "expand"


def test_left_overs_of_killed_commands_are_no_expansions(workspace: WorkspaceFolder) -> None:
    with workspace.locked():  # they stay while another process is at work
        for name in (".lookalike-tmp-x", ".lookalike-old-fans"):
            shutil.copytree(workspace.audience("fans"), workspace.audiences / name)
        assert [expansion.name for expansion in status(workspace).expansions] == ["fans"]
    assert [expansion.name for expansion in status(workspace).expansions] == ["fans"]
    assert {path.name for path in workspace.audiences.iterdir()} == {"fans"}


def test_status_needs_no_lock(workspace: WorkspaceFolder) -> None:
    with workspace.locked():
        assert status(workspace).next_step == "report"


@pytest.mark.parametrize("file", ["audiences/fans/manifest.json", "runs/r000001/manifest.json", "lookalike.duckdb"])
def test_a_damaged_file_is_a_state_error_that_names_it(workspace: WorkspaceFolder, file: str) -> None:
    (workspace.root / file).write_bytes(b"rubbish" * 1_000)
    with pytest.raises(StateError, match=Path(file).name):
        status(workspace)


# --- beside other commands -------------------------------------------------------------------------------------------

PROGRAM = (sys.executable, "-m", "lookalike")


def test_status_answers_while_the_log_is_written(workspace: WorkspaceFolder) -> None:
    with workspace.locked(), database.open_in(workspace):
        ran = subprocess.run(
            [*PROGRAM, "-w", str(workspace.root), "--json", "status"], capture_output=True, check=True, text=True
        )
    result = json.loads(ran.stdout)
    assert (result["writing"], result["log"], result["next_step"]) == (True, None, "expand")
    assert [made["name"] for made in result["expansions"]] == ["fans"]
    assert not status(workspace).writing


def test_who_looks_stops_nobody_who_writes(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    code = "import sys, lookalike as la\nws = la.open(sys.argv[1])\nprint(flush=True)\nwhile True: ws.status()"
    watcher = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        for number in range(6):
            (file := tmp_path / f"{number}.csv").write_text(
                f"user_id,ts,item_id\nu1,2024-02-01 00:00:{number:02d},i1\n"
            )
            la.open(workspace.root).ingest(file)
        assert watcher.poll() is None
    finally:
        watcher.kill()
        watcher.communicate()
    assert status(workspace).log.files == 8  # type: ignore[union-attr]


def test_status_and_report_work_where_nothing_can_be_written(workspace: WorkspaceFolder) -> None:
    paths = [workspace.root, *workspace.root.rglob("*")]
    before = snapshot(workspace.root)
    shutil.copytree(workspace.root, other := workspace.root.parent / "other")
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    code = (
        "import os, sys, lookalike as la\n"
        "la.open(sys.argv[2]).report('fans')\n"  # loads what another user may not
        "os.getuid() or os.setuid(65534)\n"  # root may write everywhere
        "ws = la.open(sys.argv[1])\n"
        "print(ws.status().log.events, ws.report('fans').path, ws.report().evaluation.name)"
    )
    for folder in workspace.root.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code, str(workspace.root), str(other)], capture_output=True, check=False, text=True
        )
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert ran.stdout.split() == ["3807", "None", "fans"], ran.stderr
    assert snapshot(workspace.root) == before


def test_the_page_of_a_linked_expansion_is_not_written(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    (workspace.audiences / "fans").rename(tmp_path / "elsewhere")
    (workspace.audiences / "fans").symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path / "elsewhere")
    assert report(workspace, "fans").path is None
    assert snapshot(tmp_path / "elsewhere") == before

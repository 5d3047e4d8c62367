"""The folder of a workspace: its paths, its lock, and the left-overs of killed processes."""

import fcntl
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from lookalike.api.locking import locked
from lookalike.data.ingest.results import SharedFolder
from lookalike.errors import SettingsError, StateError
from lookalike.workspace.paths import WorkspaceFolder, checked_name
from recording_progress import RecordingProgress


class Interrupted(Exception):
    """Raised while the lock is held."""


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    """A workspace with an empty file in place of the database."""
    workspace = WorkspaceFolder(tmp_path / "space")
    with workspace.locked(create=True):
        workspace.database.touch()
    return workspace


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_paths_are_inside_the_workspace_and_none_is_created(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    paths = (
        workspace.database,
        workspace.settings,
        workspace.runs,
        workspace.embeddings,
        workspace.audiences,
        workspace.audience("a"),
    )
    assert all(path.is_relative_to(tmp_path) for path in paths)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "0", "x" * 100])
def test_a_plain_file_name_is_accepted(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "a\\b", ".a", "-a", "a..b", "a b", "a\n", "ä", "x" * 101]
)
def test_any_other_name_is_a_settings_error(name: str) -> None:
    with pytest.raises(SettingsError):
        checked_name(name)


# --- the lock --------------------------------------------------------------------------------------------------------


def test_the_lock_creates_no_workspace_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing was ingested"), WorkspaceFolder(tmp_path / "no").locked():
        pass
    assert names(tmp_path) == set()


def test_a_second_lock_is_refused_with_the_holders_process(workspace: WorkspaceFolder) -> None:
    with workspace.locked():
        (workspace.root / ".lock").write_text("1234")  # as another process would
        with pytest.raises(StateError, match="process 1234 is working"), workspace.locked():
            pass


def test_a_second_lock_in_the_same_process_does_not_send_the_caller_to_itself(workspace: WorkspaceFolder) -> None:
    with workspace.locked(), pytest.raises(StateError, match="another call of this program is"), workspace.locked():
        pass


def test_who_waited_for_the_lock_writes_its_own_process_and_nothing_else(workspace: WorkspaceFolder) -> None:
    with open(workspace.root / ".lock", "w+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("1234567890")
        other.flush()
        release = threading.Timer(0.2, fcntl.flock, (other, fcntl.LOCK_UN))
        release.start()
        with workspace.locked():
            assert (workspace.root / ".lock").read_bytes() == str(os.getpid()).encode()
        release.join()


def test_the_lock_ends_with_its_block_even_after_an_error(workspace: WorkspaceFolder) -> None:
    with pytest.raises(Interrupted), workspace.locked():
        raise Interrupted
    with workspace.locked():
        pass


def test_scratch_is_on_the_workspaces_disk_and_removed(workspace: WorkspaceFolder) -> None:
    with workspace.scratch() as scratch:
        assert scratch.parent == workspace.root
        (scratch / "file").touch()
    assert not scratch.exists()


def test_the_lock_removes_left_overs_of_a_killed_process(workspace: WorkspaceFolder) -> None:
    for folder in (workspace.root, workspace.runs, workspace.embeddings, workspace.audiences):
        (folder / ".lookalike-tmp-x").mkdir(parents=True)
        (folder / ".lookalike-tmp-x" / "half").touch()
        (folder / ".lookalike-tmp-file").touch()
        (folder / "kept").touch()
    with workspace.locked():
        pass
    assert [path for path in workspace.root.rglob("*") if path.name.startswith(".lookalike-tmp-")] == []
    assert len([path for path in workspace.root.rglob("kept")]) == 4


def test_clean_up_leaves_what_a_reader_at_work_has_spilled(workspace: WorkspaceFolder) -> None:
    with subprocess.Popen(["sleep", "60"]) as reader:
        of_reader = workspace.spill.with_name(workspace.spill.name.replace(f"-{os.getpid()}-", f"-{reader.pid}-"))
        of_one_before = workspace.spill.with_name(workspace.spill.name[:-32] + "0" * 32)
        for folder in (workspace.spill, of_reader, of_one_before):
            folder.mkdir()
            (folder / "spilled").touch()
        workspace.clean_up()
        assert names(workspace.root) & {workspace.spill.name, of_reader.name, of_one_before.name} == {
            workspace.spill.name,
            of_reader.name,
        }
        with workspace.locked():
            pass
        assert (of_reader / "spilled").exists()
        assert (workspace.spill / "spilled").exists()
        reader.kill()
    workspace.clean_up()
    assert not of_reader.exists()


def test_clean_up_leaves_the_files_of_a_process_at_work(workspace: WorkspaceFolder) -> None:
    workspace.audiences.mkdir()
    temporary = workspace.audiences / ".lookalike-tmp-x"
    with workspace.locked():
        temporary.mkdir()
        workspace.clean_up()
        assert temporary.exists()
    workspace.clean_up()
    assert not temporary.exists()


def test_clean_up_of_no_workspace_creates_none(tmp_path: Path) -> None:
    WorkspaceFolder(tmp_path / "no").clean_up()
    assert names(tmp_path) == set()


def test_a_replaced_folder_is_put_back_if_its_successor_never_arrived(workspace: WorkspaceFolder) -> None:
    replaced = workspace.audiences / ".lookalike-old-spring"
    replaced.mkdir(parents=True)
    (replaced / "manifest.json").write_text(json.dumps({"name": "spring"}))
    with workspace.locked():
        pass
    assert names(workspace.audiences) == {"spring"}
    assert names(workspace.audiences / "spring") == {"manifest.json"}


def test_a_replaced_folder_is_removed_if_its_successor_arrived(workspace: WorkspaceFolder) -> None:
    for name in (".lookalike-old-spring", "spring"):
        (workspace.audiences / name).mkdir(parents=True)
        (workspace.audiences / name / name).touch()
        (workspace.audiences / name / "manifest.json").touch()
    with workspace.locked():
        pass
    assert names(workspace.audiences) == {"spring"}
    assert names(workspace.audiences / "spring") == {"spring", "manifest.json"}


def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    (target := tmp_path / "letter.txt").write_text("dear client")
    (workspace.root / ".lock").unlink(missing_ok=True)
    (workspace.root / ".lock").symlink_to(target)
    with pytest.raises(StateError, match="is a link"), workspace.locked():
        pass
    assert target.read_text() == "dear client"


def test_what_strangers_left_and_what_links_lead_to_stays(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / ".lookalike-tmp-x").touch()
    workspace.audiences.mkdir(exist_ok=True)
    (workspace.audiences / "linked").symlink_to(elsewhere)
    (workspace.root / ".lookalike-tmp-link").symlink_to(elsewhere)
    strangers = [workspace.root / name for name in (".tmp-work", ".old-photos")]
    for folder in strangers:
        folder.mkdir()
    with workspace.locked():
        pass
    assert all(folder.exists() for folder in strangers)
    assert (elsewhere / ".lookalike-tmp-x").exists()
    assert not (workspace.root / ".lookalike-tmp-link").is_symlink()


# --- workspaces of earlier programs ----------------------------------------------------------------------------------

LIST = {"schema_version": 1, "created": "2024-01-01T00:00:00Z", "name": "spring", "audience": {}, "outputs": {}}
RUN = {"schema_version": 1, "created": "2024-01-01T00:00:00Z", "run": "r000001", "sha256": {}}


@pytest.mark.parametrize(
    ("kind", "name", "manifest"),
    [("audiences", "spring", LIST), ("runs", "r000001", RUN), ("embeddings", "v000001", RUN)],
)
def test_what_an_earlier_program_was_replacing_is_put_back(
    workspace: WorkspaceFolder, kind: str, name: str, manifest: dict[str, object]
) -> None:
    (old := workspace.root / kind / f".old-{name}").mkdir(parents=True)
    (old / "manifest.json").write_text(json.dumps(manifest))
    workspace.clean_up()
    assert names(workspace.root / kind) == {name}
    assert names(workspace.root / kind / name) == {"manifest.json"}


@pytest.mark.parametrize("why", ["followed", "without_manifest", "of_others", "no_json", "link", "linked_manifest"])
def test_what_may_be_anybodys_stays_where_it_is(workspace: WorkspaceFolder, tmp_path: Path, why: str) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "manifest.json").write_text(json.dumps(LIST))
    old = workspace.audiences / ".old-spring"
    if why == "link":
        workspace.audiences.mkdir()
        old.symlink_to(elsewhere)
    else:
        old.mkdir(parents=True)
        if why == "linked_manifest":
            (old / "manifest.json").symlink_to(elsewhere / "manifest.json")
        elif why != "without_manifest":
            text = {"followed": json.dumps(LIST), "of_others": '{"name": "app", "version": "1"}', "no_json": "{"}[why]
            (old / "manifest.json").write_text(text)
    if why == "followed":
        (workspace.audiences / "spring").mkdir()
    (workspace.audiences / ".tmp-work").mkdir()
    before = names(workspace.audiences)
    workspace.clean_up()
    with workspace.locked():
        pass
    assert names(workspace.audiences) == before
    assert names(elsewhere) == {"manifest.json"}


def test_files_that_an_earlier_program_let_everybody_read_become_the_owners_alone(workspace: WorkspaceFolder) -> None:
    log = Path(f"{workspace.database}.wal")
    log.touch()
    for folder in (workspace.runs, workspace.audiences):
        folder.mkdir(mode=0o755)
    workspace.root.chmod(0o755)
    workspace.database.chmod(0o644)
    log.chmod(0o644)
    progress = RecordingProgress()
    for _ in range(2):
        with locked(workspace, progress):
            pass
    modes = [path.stat().st_mode & 0o777 for path in (workspace.database, log, workspace.runs, workspace.audiences)]
    assert modes == [0o600, 0o600, 0o700, 0o700]
    assert progress.messages == [SharedFolder(folder=str(workspace.root))]


# --- links and others ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["runs", "embeddings", "audiences", "lookalike.duckdb", "lookalike.duckdb.wal"])
def test_what_is_written_to_may_not_be_a_link(workspace: WorkspaceFolder, tmp_path: Path, name: str) -> None:
    (workspace.root / name).unlink(missing_ok=True)
    (target := tmp_path / "target").mkdir()
    (workspace.root / name).symlink_to(target)
    with pytest.raises(StateError, match=f"{name}: is a link"), workspace.locked(create=True):
        pass
    assert names(target) == set()


def test_a_replaced_folder_that_was_a_link_loses_the_link_only(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    (target := tmp_path / "target").mkdir()
    (target / "list.csv").touch()
    (workspace.audiences / "spring").mkdir(parents=True)
    (workspace.audiences / ".lookalike-old-spring").symlink_to(target)
    with workspace.locked():
        pass
    assert names(workspace.audiences) == {"spring"}
    assert names(target) == {"list.csv"}


def test_what_is_created_under_the_lock_is_the_owners_alone(workspace: WorkspaceFolder) -> None:
    before = os.umask(0o022)
    try:
        with workspace.locked(), workspace.scratch() as scratch:
            (scratch / "file").touch()
            assert (scratch / "file").stat().st_mode & 0o777 == 0o600
            with WorkspaceFolder(workspace.root / "another").locked(create=True):
                pass
            (scratch / "later").touch()
            assert (scratch / "later").stat().st_mode & 0o777 == 0o600
        (workspace.root / "file").touch()
        assert (workspace.root / "file").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
    assert (workspace.root / "another").stat().st_mode & 0o777 == 0o700
    assert (workspace.root / ".lock").stat().st_mode & 0o777 == 0o600

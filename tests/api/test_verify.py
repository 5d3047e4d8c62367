"""The verb `verify`: every file is compared with the hash that was written down when it was made."""

import shutil
from pathlib import Path

import pytest

from lookalike.api.verify import verify
from lookalike.encoder.run_files import RUN_FILES
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from small_log import Command, Inputs, snapshot

pytest_plugins = ("space_fixtures",)

SHARD = "embeddings/v000001/content-00000.npy"


@pytest.fixture
def workspace(expanded_space: Path, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the workspace with the expansion `fans`."""
    shutil.copytree(expanded_space, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def states(workspace: WorkspaceFolder, name: str | None = "fans") -> dict[str, str]:
    return {file.name: file.state for file in verify(workspace, name).files}


def change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def test_all_files_of_an_expansion_hold(workspace: WorkspaceFolder, inputs: Inputs) -> None:
    shutil.copy(inputs.seed, workspace.root)
    before = snapshot(workspace.root)
    result = verify(workspace, "fans")
    assert (result.held, result.faults) == (True, ())
    found = {file.name: (file.kind, file.state) for file in result.files}
    assert found["fans.csv"] == ("input", "held")
    assert found["suppressed.csv"] == ("input", "missing")
    assert found["fans/prospects.csv"] == found["fans/evaluation.json"] == ("list", "held")
    assert found["v000001/manifest.json"] == found["v000001/content-00000.npy"] == ("vectors", "held")
    assert {name for name, (kind, _) in found.items() if kind == "run"} == {f"r000001/{name}" for name in RUN_FILES}
    assert snapshot(workspace.root) == before


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("audiences/fans/prospects.csv", "fans/prospects.csv"),
        ("audiences/fans/evaluation.json", "fans/evaluation.json"),
        (SHARD, "v000001/content-00000.npy"),
        ("embeddings/v000001/manifest.json", "v000001/manifest.json"),
        ("runs/r000001/metrics.json", "r000001/metrics.json"),
    ],
)
def test_a_changed_file_is_named_and_one_that_is_gone_is_missing(
    workspace: WorkspaceFolder, path: str, shown: str
) -> None:
    change(workspace.root / path)
    result = verify(workspace, "fans")
    assert not result.held
    assert [(file.name, file.state) for file in result.faults] == [(shown, "changed")]
    (workspace.root / path).unlink()
    assert states(workspace)[shown] == "missing"


def test_a_list_of_ids_that_changed_is_a_fault_unless_another_place_has_it(
    workspace: WorkspaceFolder, inputs: Inputs
) -> None:
    (workspace.root / "fans.csv").write_text("user_id\nsomebody\n")
    assert not verify(workspace, "fans").held
    shutil.copy(inputs.seed, workspace.audiences / "fans.csv")
    assert verify(workspace, "fans").held


def test_another_list_of_the_same_name_in_the_current_folder_is_another(
    workspace: WorkspaceFolder, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    (here / "fans.csv").write_text("user_id\nsomebody\n")
    assert verify(workspace, "fans").held
    assert states(workspace)["fans.csv"] == "another"
    shutil.copy(inputs.seed, here / "fans.csv")
    assert states(workspace)["fans.csv"] == "held"


def test_vectors_and_a_run_that_others_have_followed_may_be_gone(workspace: WorkspaceFolder) -> None:
    shutil.rmtree(workspace.runs / "r000001")
    shutil.rmtree(workspace.embeddings / "v000001")
    result = verify(workspace, "fans")
    assert result.held
    assert {file.name for file in result.files if file.kind in ("vectors", "run")} == {
        "v000001/manifest.json",
        "r000001/manifest.json",
    }


def test_without_a_name_the_live_vectors_and_their_run_are_looked_at(workspace: WorkspaceFolder) -> None:
    assert verify(workspace).held
    assert {file.kind for file in verify(workspace).files} == {"vectors", "run"}
    change(workspace.root / SHARD)
    assert [file.name for file in verify(workspace).faults] == ["v000001/content-00000.npy"]


def test_an_unknown_name_and_an_empty_workspace_are_state_errors(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no expansion is called 'nobody'"):
        verify(workspace, "nobody")
    with pytest.raises(StateError, match="no encoder was trained"):
        verify(WorkspaceFolder(tmp_path / "none"))


def test_the_command_prints_the_table_and_exits_with_4_when_something_changed(expanded: Command) -> None:
    ran = expanded("--json", "verify", "fans")
    assert (ran.code, ran.json["held"]) == (0, True)
    change(expanded.workspace / "audiences" / "fans" / "prospects.csv")
    ran = expanded("--json", "verify", "fans")
    assert (ran.code, ran.json["held"]) == (4, False)
    message, hint = ran.complaint
    assert "such as fans/prospects.csv" in message
    assert hint.endswith("expand writes it again")
    ran = expanded("verify", "fans")
    assert "changed" in ran.out
    assert expanded("verify").code == 0

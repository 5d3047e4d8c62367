"""The report verb: which expansion it shows, where the page goes, and how it shows itself in a notebook."""

import html
import shutil
from pathlib import Path

import pytest

from example_evaluation import example_evaluation, hostile_evaluation
from lookalike.api import report as report_verb
from lookalike.api.report import Report, report
from lookalike.errors import SettingsError, StateError
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.result import Evaluation
from lookalike.workspace import files
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder
from small_log import snapshot

pytest_plugins = ("space_fixtures",)


@pytest.fixture
def workspace(expanded_space: Path, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the workspace with the expansion `fans`."""
    shutil.copytree(expanded_space, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def add_expansion(workspace: WorkspaceFolder, name: str, created: str) -> None:
    """The expansion `fans` once more, under another name and time."""
    folder = workspace.audience(name)
    shutil.copytree(workspace.audience("fans"), folder)
    evaluation, manifest = (folder / name for name in ("evaluation.json", "manifest.json"))
    changes = {"name": name, "created": created}
    Evaluation.read(evaluation).model_copy(update=changes).write(evaluation)
    changed = ExpansionManifest.read(manifest).model_copy(update=changes)
    outputs = changed.outputs | {evaluation.name: sha256(evaluation)}
    changed.model_copy(update={"outputs": outputs}).write(manifest)


def test_the_page_is_written_beside_the_list(workspace: WorkspaceFolder) -> None:
    before = snapshot(workspace.root)
    result = report(workspace, "fans")
    assert result.path == workspace.audience("fans") / "report.html"
    assert result.evaluation == Evaluation.read(workspace.audience("fans") / "evaluation.json")
    assert result.path.read_text(encoding="utf-8") == result.html
    after = snapshot(workspace.root)
    assert after.keys() - before.keys() == {"audiences/fans/report.html"}
    assert {name: after[name] for name in before} == before


def test_the_newest_expansion_is_shown_unless_one_is_named(workspace: WorkspaceFolder) -> None:
    add_expansion(workspace, "early", "2001-01-01T00:00:00Z")
    add_expansion(workspace, "late", "2999-01-01T00:00:00Z")
    assert report(workspace).evaluation.name == "late"
    assert report(workspace, "early").evaluation.name == "early"


def test_an_unknown_name_is_a_state_error_with_the_known_ones(workspace: WorkspaceFolder) -> None:
    with pytest.raises(StateError, match="no expansion is called 'nobody'") as raised:
        report(workspace, "nobody")
    assert raised.value.hint == "known: fans"
    with pytest.raises(SettingsError):
        report(workspace, "../fans")


def test_without_an_expansion_there_is_no_report(trained_space: Path) -> None:
    with pytest.raises(StateError, match="nothing was expanded") as raised:
        report(WorkspaceFolder(trained_space))
    assert raised.value.hint.startswith("lookalike expand")


def test_a_command_that_begins_meanwhile_cannot_keep_the_page_from_being_written(
    workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, begun = files._flush, []

    def flush_after_clean_up(path: Path) -> None:
        if not begun:
            begun.append(path)
            with workspace.locked():
                pass
        flush(path)

    monkeypatch.setattr(files, "_flush", flush_after_clean_up)
    assert report(workspace, "fans").path == workspace.audience("fans") / "report.html"
    assert begun[0].name.startswith(files.TEMPORARY_PREFIX)


def test_a_page_never_replaces_that_of_an_expansion_made_meanwhile(
    workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Evaluation.read.__func__  # type: ignore[attr-defined]
    reads = []

    def read_and_replace(kind: type[Evaluation], path: Path) -> Evaluation:
        reads.append(path)
        evaluation: Evaluation = read(kind, path)
        return evaluation if len(reads) == 1 else evaluation.model_copy(update={"created": "2999-01-01T00:00:00Z"})

    monkeypatch.setattr(report_verb.Evaluation, "read", classmethod(read_and_replace))
    with pytest.raises(StateError, match="was expanded again just now"):
        report(workspace, "fans")
    assert not (workspace.audience("fans") / "report.html").exists()


def test_a_report_can_be_saved_anywhere(tmp_path: Path) -> None:
    result = Report(evaluation=example_evaluation())
    assert result.path is None
    assert result.save(str(tmp_path / "page.html")) == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == result.html


def test_a_folder_that_is_not_there_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
        Report(evaluation=example_evaluation()).save(tmp_path / "nowhere" / "page.html")


def test_in_a_notebook_the_page_is_in_a_frame_of_its_own() -> None:
    result = Report(evaluation=hostile_evaluation("</script><script>alert(1)</script>"))
    frame = result._repr_html_()
    assert frame.startswith('<iframe srcdoc="')
    assert 'sandbox="allow-scripts"' in frame
    content = frame.removeprefix('<iframe srcdoc="').split('" sandbox=')[0]
    assert not set(content) & set('<>"')
    assert html.unescape(content) == result.html

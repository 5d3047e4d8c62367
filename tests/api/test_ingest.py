"""The verb ingest: what it leaves in a workspace, and what other verbs make of an interrupted one."""

import shutil
from pathlib import Path

import pytest

from conftest import Tiny
from log_files import TWO_EVENTS, write
from lookalike.api import embed, ingest, train
from lookalike.api.embed import EmbedRequest
from lookalike.api.status import next_step
from lookalike.api.train import TrainRequest
from lookalike.data.ingest.options import IngestOptions
from lookalike.errors import DataError, StateError
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress

QUIET = QuietProgress()


@pytest.fixture
def empty(tmp_path: Path) -> WorkspaceFolder:
    return WorkspaceFolder(tmp_path / "space")


@pytest.fixture
def trained(tiny_run: Tiny, tmp_path: Path) -> WorkspaceFolder:
    """A copy of a workspace with vectors of all its users."""
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_missing_file_creates_no_workspace(empty: WorkspaceFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        ingest.ingest(empty, [tmp_path / "gone.csv"], IngestOptions(), QUIET)
    assert not empty.root.exists()


def test_a_preview_creates_no_workspace(empty: WorkspaceFolder, tmp_path: Path) -> None:
    preview = ingest.preview([write(tmp_path / "a.csv", TWO_EVENTS)], IngestOptions())
    assert preview.files[0].mapping["user_id"] == "user_id"
    assert not empty.root.exists()


def test_without_vectors_the_next_command_is_train(empty: WorkspaceFolder, tmp_path: Path) -> None:
    ingest.ingest(empty, [write(tmp_path / "a.csv", TWO_EVENTS)], IngestOptions(), QUIET)
    assert next_step(empty) == "train"


def test_with_vectors_the_next_command_is_embed_when_there_are_new_files(
    trained: WorkspaceFolder, tmp_path: Path
) -> None:
    assert next_step(trained) == "expand"
    ingest.ingest(trained, [write(tmp_path / "a.csv", TWO_EVENTS)], IngestOptions(), QUIET)
    assert next_step(trained) == "embed"


def test_train_and_embed_refuse_until_an_interrupted_ingest_is_finished(
    trained: WorkspaceFolder, tiny_run: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "a.csv", TWO_EVENTS)
    with monkeypatch.context() as patched:
        patched.setattr("lookalike.data.ingest.ingest.review_columns", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest.ingest(trained, [log], IngestOptions(), QUIET)
    with pytest.raises(StateError, match="the last ingest was interrupted"):
        embed.embed(trained, EmbedRequest(device="cpu"), QUIET)
    with pytest.raises(StateError, match="the last ingest was interrupted"):
        train.train(trained, TrainRequest(tiny_run.settings, device="cpu"), QUIET)
    assert ingest.ingest(trained, [log], IngestOptions(), QUIET).files[0].skipped
    embed.embed(trained, EmbedRequest(device="cpu"), QUIET)
    assert next_step(trained) == "expand"

"""What a finished run leaves on disk: all of it, or nothing."""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from lookalike.data.sequences import Vocabulary
from lookalike.encoder import runs
from lookalike.encoder.results import (
    AudienceFigures,
    Coverage,
    EpochFigures,
    NewItemFigures,
    RecentPopularity,
    TrainFigures,
    UserGroupFigures,
)
from lookalike.encoder.run_files import RUN_FILES, RunConfig, RunManifest, RunMetrics
from lookalike.errors import StateError
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder
from run_configs import MANIFEST, run_config

ITEM_ATTRIBUTES = (np.array([0, 0, 1]), np.zeros(1, np.int32))
VOCABULARY = Vocabulary(["a", "<b>"], {"event_type": ["view"]}, [("brand", "x")], ITEM_ATTRIBUTES, [("plan", "pro")])
METRICS = {"recall@20": 0.1, "ndcg@20": 1 / 3}
FIGURES = TrainFigures(
    held_out_users=1,
    items_judged=2,
    popularity=METRICS,
    popularity_of_late=RecentPopularity(days=7, metrics=METRICS),
    item_neighbours=METRICS,
    encoder=METRICS,
    taste_alone=METRICS,
    recall_by_events={"0": UserGroupFigures(users=3, metrics=METRICS)},
    new_items=NewItemFigures(items=0, users=0, metrics=None, random_recall=None),
    coverage=Coverage(users=0, encoder=None, with_5_events=None),
    audiences=AudienceFigures(audiences=0, users=0, lift={"sequence": None}, sequence_by_events={}),
    weights_had_seen=datetime(2024, 1, 1, 12),
)
EPOCH = EpochFigures(epoch=1, loss=0.1 + 0.2, figures=METRICS, events_per_second=1e5)


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    return WorkspaceFolder(tmp_path / "space")


def save(workspace: WorkspaceFolder) -> Path:
    """Saves a small run. Returns its folder."""
    weights, fitted = {"w": torch.ones(2)}, {"content.idf": np.ones(3, np.float32)}
    run = runs.Run("r000001", Path("r000001"), weights, fitted, VOCABULARY, run_config())
    metrics = RunMetrics(figures=FIGURES, history=(EPOCH,))
    return runs.save_run(workspace, run, runs.RunOutputs(np.ones((2, 4), np.float32), metrics, MANIFEST))


def test_the_next_name_follows_the_highest(workspace: WorkspaceFolder) -> None:
    assert runs.next_run_name(workspace) == "r000001"
    for name in ("r000002", "r000010", "rubbish", "unfinished"):
        (workspace.runs / name).mkdir(parents=True)
    assert runs.next_run_name(workspace) == "r000011"
    assert runs.run_names(workspace) == ["r000002", "r000010"]


def test_a_run_is_written_whole_with_the_hash_of_every_file(workspace: WorkspaceFolder) -> None:
    folder = save(workspace)
    manifest = RunManifest.read(folder / "manifest.json")
    files = {file.name for file in folder.iterdir()} - {"manifest.json"}
    assert manifest.sha256 == {name: sha256(folder / name) for name in files}
    assert files == {
        "config.json",
        "fitted.safetensors",
        "items.npy",
        "items.parquet",
        "metrics.json",
        "model.safetensors",
        "vocabulary.json",
    }
    assert pl.read_parquet(folder / "items.parquet").rows() == [(0, "a", None), (1, "<b>", [0])]


def test_the_json_files_are_read_back_unchanged(workspace: WorkspaceFolder) -> None:
    folder = save(workspace)
    assert RunConfig.read(folder / "config.json") == run_config()
    assert RunMetrics.read(folder / "metrics.json") == RunMetrics(figures=FIGURES, history=(EPOCH,))
    manifest = RunManifest.read(folder / "manifest.json")
    assert manifest.model_copy(update={"sha256": {}}) == MANIFEST


@pytest.mark.parametrize("file", ["config.json", "manifest.json", "vocabulary.json"])
def test_a_file_of_another_schema_version_is_refused(workspace: WorkspaceFolder, file: str) -> None:
    path = save(workspace) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    with pytest.raises(StateError, match=file):
        runs.load_run(workspace, "r000001")


def test_a_save_that_fails_leaves_no_run(workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "save_file", fail)
    with pytest.raises(OSError, match="No space"):
        save(workspace)
    assert list(workspace.runs.iterdir()) == []


def test_a_loaded_run_is_the_saved_one(workspace: WorkspaceFolder) -> None:
    folder = save(workspace)
    for name in ("r000001", str(folder)):
        run = runs.load_run(workspace, name)
        assert torch.equal(run.weights["w"], torch.ones(2))
        assert run.fitted["content.idf"].tolist() == [1, 1, 1]
        assert run.config == run_config()
        vocabulary = run.vocabulary
        assert (vocabulary.items, vocabulary.codes) == (VOCABULARY.items, VOCABULARY.codes)
        assert (vocabulary.attributes, vocabulary.profile) == (VOCABULARY.attributes, VOCABULARY.profile)
        assert [part.tolist() for part in vocabulary.item_attributes] == [part.tolist() for part in ITEM_ATTRIBUTES]


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_run_with_a_changed_file_is_refused(workspace: WorkspaceFolder, file: str) -> None:
    with open(save(workspace) / file, "r+b") as opened:
        opened.write(b"x")
    with pytest.raises(StateError, match=file):
        runs.load_run(workspace, "r000001")


def link(file: Path, elsewhere: Path) -> None:
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(elsewhere)


def device(file: Path, elsewhere: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def pipe(file: Path, elsewhere: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def endless(file: Path, elsewhere: Path) -> None:
    os.truncate(file, 2**40)  # takes no space


@pytest.mark.parametrize("damage", [link, device, pipe, endless], ids=lambda function: function.__name__)
@pytest.mark.parametrize("file", ["items.npy", "config.json", "manifest.json"])
def test_a_run_of_a_stranger_has_plain_files_of_bounded_size(
    workspace: WorkspaceFolder, tmp_path: Path, damage: Callable[[Path, Path], None], file: str
) -> None:
    folder = save(WorkspaceFolder(tmp_path / "stranger"))
    damage(folder / file, tmp_path / "elsewhere")
    with pytest.raises(StateError, match=file):
        runs.load_run(workspace, str(folder))


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret", "passwd", "manifest.json"])
def test_a_run_of_a_stranger_names_no_other_file(workspace: WorkspaceFolder, tmp_path: Path, name: str) -> None:
    folder = save(WorkspaceFolder(tmp_path / "stranger"))
    manifest = RunManifest.read(folder / "manifest.json")
    changed = manifest.model_copy(update={"sha256": manifest.sha256 | {name: "0" * 64}})
    changed.write(folder / "manifest.json")
    with pytest.raises(StateError, match="not those of a run"):
        runs.load_run(workspace, str(folder))


def test_a_missing_run_is_an_error_that_names_the_others(workspace: WorkspaceFolder) -> None:
    save(workspace)
    with pytest.raises(StateError) as error:
        runs.load_run(workspace, "r000009")
    assert "r000001" in error.value.hint


def test_a_run_from_elsewhere_is_copied_once(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    folder = save(WorkspaceFolder(tmp_path / "elsewhere"))
    (workspace.runs / "r000001").mkdir(parents=True)  # the name is taken
    MANIFEST.write(workspace.runs / "r000001" / "manifest.json")
    for _ in range(2):
        run = runs.load_run(workspace, str(folder))
        assert runs.local_name(workspace, run) == "r000002"
        runs.adopt(workspace, run)
    assert runs.run_names(workspace) == ["r000001", "r000002"]
    assert RunManifest.read(workspace.runs / "r000002" / "manifest.json").run == "r000002"


def test_a_run_of_the_workspace_is_not_copied(workspace: WorkspaceFolder) -> None:
    folder = save(workspace)
    for name in ("r000001", str(folder)):
        run = runs.load_run(workspace, name)
        assert runs.local_name(workspace, run) == "r000001"
        runs.adopt(workspace, run)
    assert runs.run_names(workspace) == ["r000001"]

"""What a finished run leaves on disk, and that it is all there or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from conftest import Tiny
from lookalike.data import database, sequence_builder
from lookalike.data.sequences import Vocabulary
from lookalike.embeddings import representation
from lookalike.encoder import embedder, runs
from lookalike.errors import StateError
from lookalike.workspace.files import read_json, sha256
from lookalike.workspace.paths import WorkspaceFolder

NONE = (np.array([0, 0, 1]), np.zeros(1, np.int32))
WORDS = Vocabulary(["a", "<b>"], {"event_type": ["view"]}, [("brand", "x")], NONE, [])


def trained_run() -> tuple[runs.Run, runs.RunResults]:
    weights, fitted = {"w": torch.ones(2)}, {"content.idf": np.ones(3, np.float32)}
    run = runs.Run(
        "r000001",
        Path("r000001"),
        weights,
        fitted,
        WORDS,
        {"sizes": {}, "settings": {}, "fusion": {}, "aggregates": {}},
    )
    return run, runs.RunResults(np.ones((2, 4), np.float32), {"m": 1}, {"run": "r"})


def test_names_go_on_from_the_highest(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    assert runs.next_run_name(workspace) == "r000001"
    for name in ("r000002", "r000010", "rubbish", "unfinished"):
        (workspace.runs / name).mkdir(parents=True)
    assert runs.next_run_name(workspace) == "r000011"


def test_a_run_is_written_whole_with_the_hash_of_every_file(tmp_path: Path) -> None:
    folder = runs.save_run(WorkspaceFolder(tmp_path), *trained_run())
    manifest = read_json(folder / "manifest.json")
    files = {file.name for file in folder.iterdir()} - {"manifest.json"}
    assert manifest["sha256"] == {name: sha256(folder / name) for name in files}
    assert files >= {
        "config.json",
        "vocabulary.json",
        "items.parquet",
        "items.npy",
        "model.safetensors",
        "metrics.json",
    }
    assert pl.read_parquet(folder / "items.parquet").rows() == [(0, "a", None), (1, "<b>", [0])]
    assert not [file for file in files if file.endswith((".pt", ".pkl", ".bin"))]


def test_a_save_that_fails_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        runs.save_run(WorkspaceFolder(tmp_path), *trained_run())
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_loaded_run_is_the_saved_one(tmp_path: Path) -> None:
    saved, results = trained_run()
    folder = runs.save_run(WorkspaceFolder(tmp_path), saved, results)
    for name in ("r000001", str(folder)):
        loaded = runs.load_run(WorkspaceFolder(tmp_path), name)
        assert torch.equal(loaded.weights["w"], saved.weights["w"])
        assert loaded.fitted["content.idf"].tolist() == [1, 1, 1]
        assert (loaded.vocabulary.items, loaded.vocabulary.codes) == (WORDS.items, WORDS.codes)
        assert [part.tolist() for part in loaded.vocabulary.item_attributes] == [part.tolist() for part in NONE]


@pytest.mark.parametrize("file", ["model.safetensors", "fitted.safetensors", "items.parquet", "vocabulary.json"])
def test_a_run_with_a_changed_file_is_refused(tmp_path: Path, file: str) -> None:
    folder = runs.save_run(WorkspaceFolder(tmp_path), *trained_run())
    with open(folder / file, "r+b") as opened:
        opened.write(b"x")
    with pytest.raises(StateError, match=file):
        runs.load_run(WorkspaceFolder(tmp_path), "r000001")


def test_a_run_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    runs.save_run(WorkspaceFolder(tmp_path), *trained_run())
    with pytest.raises(StateError) as error:
        runs.load_run(WorkspaceFolder(tmp_path), "r000009")
    assert "r000001" in (error.value.hint or "")


def test_a_loaded_run_embeds_as_the_one_that_was_trained(tiny_run: Tiny, tmp_path: Path) -> None:
    (folder,) = tiny_run.workspace.runs.glob("r*")
    run = runs.load_run(tiny_run.workspace, folder.name)
    made = embedder.load_embedder(run, run.vocabulary, torch.device("cpu"))
    with database.open_file(tiny_run.workspace.database, read_only=True) as opened:
        arrays, _ = sequence_builder.build_sequences(
            opened, database.Cut(database.end_of_log(opened)), tmp_path, run.vocabulary
        )
    stored = representation.live_version(tiny_run.workspace)
    rows = np.arange(stored.users)
    for block, values in made.blocks(arrays).items():
        assert np.array_equal(values.astype(np.float16), stored.raw(rows)[block]), block
    items = embedder.item_parts(made, arrays).vectors(made.fusion)
    assert np.allclose(items, np.load(folder / "items.npy"), atol=1e-5)

"""What a finished run leaves on disk, and that it is all there or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from conftest import Tiny
from lookalike import runs, training
from lookalike.encoders import Sizes
from lookalike.sequences import Vocabulary
from lookalike.workspace import Workspace, read_json, sha256

NONE = (np.zeros(3, np.int64), np.zeros(0, np.int32))
WORDS = Vocabulary(["a", "<b>"], {"event_type": ["view"]}, [("brand", "x")], NONE, [])


def trained_run() -> runs.Trained:
    weights, items = {"w": torch.ones(2)}, np.ones((2, 4), np.float32)
    return runs.Trained("r000001", weights, items, WORDS, {"name": "r"}, {"m": 1}, {"run": "r"})


def test_names_go_on_from_the_highest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert runs.next_name(workspace) == "r000001"
    for name in ("r000002", "r000010", "rubbish", "unfinished"):
        (workspace.runs / name).mkdir(parents=True)
    assert runs.next_name(workspace) == "r000011"


def test_a_run_is_written_whole_with_the_hash_of_every_file(tmp_path: Path) -> None:
    folder = runs.save(Workspace(tmp_path), trained_run())
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
    assert pl.read_parquet(folder / "items.parquet").rows() == [(0, "a"), (1, "<b>")]
    assert not [file for file in files if file.endswith((".pt", ".pkl", ".bin"))]


def test_a_save_that_fails_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        runs.save(Workspace(tmp_path), trained_run())
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_weights_of_a_run_give_its_item_vectors_again(tiny_run: Tiny) -> None:
    (folder,) = tiny_run.workspace.runs.glob("r*")
    config = read_json(folder / "config.json")
    words = json.loads((folder / "vocabulary.json").read_text())
    items = pl.read_parquet(folder / "items.parquet")["item_id"].to_list()
    category = dict(tiny_run.population.items.iter_rows())
    codes = [words["attributes"].index(["category", category[item]]) for item in items]
    known = Vocabulary(
        items,
        words["codes"],
        words["attributes"],
        (np.arange(len(items) + 1), np.array(codes, np.int32)),
        words["profile"],
    )
    model = training.model_for(Sizes(**config["sizes"]), known)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    assert np.allclose(training.item_vectors(model), np.load(folder / "items.npy", allow_pickle=False), atol=1e-6)

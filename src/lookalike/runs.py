"""Run folders: a trained encoder with its settings, vocabulary, item vectors and figures.

    runs/NAME/  config.json  vocabulary.json  items.parquet  model.safetensors  items.npy  metrics.json  manifest.json

Weights are safetensors: nothing that is loaded can run code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from lookalike.sequences import Vocabulary
from lookalike.workspace import Workspace, new_folder, sha256, write_json


@dataclass(frozen=True)
class Trained:
    """What a finished fit leaves."""

    name: str
    weights: dict[str, torch.Tensor]
    items: NDArray[np.float32]  # [V, D]
    vocabulary: Vocabulary
    config: dict[str, Any]
    metrics: dict[str, Any]
    manifest: dict[str, Any]


def next_name(workspace: Workspace) -> str:
    """`r000001`, `r000002`, …: one past the last."""
    taken = [int(p.name[1:]) for p in workspace.runs.glob("r*") if p.name[1:].isdigit()]
    return f"r{max(taken, default=0) + 1:06d}"


def save(workspace: Workspace, run: Trained) -> Path:
    """Writes a finished run, whole or not at all; gives its folder."""
    target = workspace.runs / run.name
    with new_folder(target) as folder:
        write_json(folder / "config.json", run.config)
        write_json(folder / "metrics.json", run.metrics)
        write_json(
            folder / "vocabulary.json",
            {"codes": run.vocabulary.codes, "attributes": run.vocabulary.attributes, "profile": run.vocabulary.profile},
        )
        pl.DataFrame({"row": np.arange(len(run.vocabulary.items)), "item_id": run.vocabulary.items}).with_columns(
            pl.col("item_id").cast(pl.String)
        ).write_parquet(folder / "items.parquet")
        np.save(folder / "items.npy", run.items)
        save_file(run.weights, folder / "model.safetensors")
        hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        write_json(folder / "manifest.json", run.manifest | {"sha256": hashes})
    return target

"""Run folders: a trained encoder with all that is fitted, its vocabulary, item vectors and figures.

    runs/NAME/  config.json  vocabulary.json  items.parquet  model.safetensors  fitted.safetensors  items.npy
                metrics.json  manifest.json

Weights are safetensors: nothing that is loaded can run code. A run holds no user and can be copied to another workspace.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from lookalike.data.sequences import Vocabulary
from lookalike.encoder.run_arrays import FITTED_FILE, Arrays
from lookalike.errors import StateError
from lookalike.workspace.files import new_folder, read_json, sha256, write_json
from lookalike.workspace.paths import WorkspaceFolder, checked_name


@dataclass(frozen=True)
class Run:
    """What a finished fit leaves and a later command reads."""

    name: str
    folder: Path
    weights: dict[str, torch.Tensor]
    fitted: Arrays  # of the blocks that need no training, and of the fusion
    vocabulary: Vocabulary
    config: dict[str, Any]


@dataclass(frozen=True)
class RunResults:
    """What is only written: vectors of the common items [I, W], figures, and where they come from."""

    items: NDArray[np.float32]
    metrics: dict[str, Any]
    manifest: dict[str, Any]


def next_run_name(workspace: WorkspaceFolder) -> str:
    """`r000001`, `r000002`, …: one past the last."""
    taken = [int(p.name[1:]) for p in workspace.runs.glob("r*") if p.name[1:].isdigit()]
    return f"r{max(taken, default=0) + 1:06d}"


def save_run(workspace: WorkspaceFolder, run: Run, results: RunResults) -> Path:
    """Writes a finished run, whole or not at all; gives its folder."""
    target = workspace.runs / run.name
    with new_folder(target) as folder:
        write_json(folder / "config.json", run.config)
        write_json(folder / "metrics.json", results.metrics)
        _save_vocabulary(folder, run.vocabulary)
        np.save(folder / "items.npy", results.items)
        save_file(run.weights, folder / "model.safetensors")
        save_arrays({name: np.ascontiguousarray(array) for name, array in run.fitted.items()}, folder / FITTED_FILE)
        for file in folder.iterdir():
            file.chmod(0o644)  # a run is made to be copied, and safetensors would keep it to one user
        hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        write_json(folder / "manifest.json", results.manifest | {"sha256": hashes})
    return target


def run_names(workspace: WorkspaceFolder) -> list[str]:
    """The runs of a workspace, the oldest first."""
    return sorted(path.name for path in workspace.runs.glob("r*") if path.name[1:].isdigit())


def load_run(workspace: WorkspaceFolder, name: str) -> Run:
    """A run by name, or by the path of its folder. Raises StateError when it is not there, or damaged."""
    elsewhere = "/" in name or (not (workspace.runs / name).is_dir() and Path(name).is_dir())
    folder = Path(name) if elsewhere else workspace.runs / checked_name(name)
    if not (folder / "manifest.json").exists():
        known = ", ".join(run_names(workspace)) or "none; lookalike train"
        raise StateError(f"{folder}: no run is here", f"known: {known}")
    hashes = read_json(folder / "manifest.json", "sha256")["sha256"]
    config = read_json(folder / "config.json", "sizes", "settings", "fusion", "aggregates")
    for file in ("model.safetensors", FITTED_FILE, "items.parquet", "vocabulary.json"):
        if not (folder / file).exists() or sha256(folder / file) != hashes.get(file):
            raise StateError(f"{folder / file}: damaged or missing", "lookalike train makes a new run")
    try:
        weights, fitted = load_file(folder / "model.safetensors"), load_arrays(folder / FITTED_FILE)
        return Run(folder.name, folder, weights, fitted, _load_vocabulary(folder), config)
    except (OSError, SafetensorError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise StateError(f"{folder}: damaged ({error})", "lookalike train makes a new run") from error


def is_local(workspace: WorkspaceFolder, run: Run) -> bool:
    return run.folder.resolve().parent == workspace.runs.resolve()


def adopt_run(workspace: WorkspaceFolder, run: Run) -> Run:
    """A run from elsewhere as one of this workspace, where lists made with it will look for it."""
    manifest = read_json(run.folder / "manifest.json", "sha256")
    for other in sorted(workspace.runs.glob("r*/manifest.json")):
        if read_json(other).get("sha256") == manifest["sha256"]:
            return load_run(workspace, other.parent.name)
    name = next_run_name(workspace)
    with new_folder(workspace.runs / name) as folder:
        for file in manifest["sha256"]:
            shutil.copyfile(run.folder / checked_name(file), folder / file)
        write_json(folder / "manifest.json", manifest | {"run": name})
    return load_run(workspace, name)


def _save_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    words = {"codes": vocabulary.codes, "attributes": vocabulary.attributes, "profile": vocabulary.profile}
    write_json(folder / "vocabulary.json", words)
    offsets, codes = vocabulary.item_attributes
    rows = np.repeat(np.arange(len(vocabulary.items)), np.diff(offsets)[: len(vocabulary.items)])
    named = pl.DataFrame({"row": np.arange(len(vocabulary.items)), "item_id": vocabulary.items}).with_columns(
        pl.col("item_id").cast(pl.String)
    )
    grouped = pl.DataFrame({"row": rows, "attributes": codes[: len(rows)]}).group_by("row").agg("attributes")
    named.join(grouped, on="row", how="left").sort("row").write_parquet(folder / "items.parquet")


def _load_vocabulary(folder: Path) -> Vocabulary:
    words = read_json(folder / "vocabulary.json", "codes", "attributes", "profile")
    items = pl.read_parquet(folder / "items.parquet").sort("row")
    lists = items["attributes"].fill_null([])
    offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
    codes = lists.explode().drop_nulls().to_numpy().astype(np.int32)
    return Vocabulary(
        items=items["item_id"].to_list(),
        codes=words["codes"],
        attributes=[(attribute, value) for attribute, value in words["attributes"]],
        item_attributes=(offsets, codes),
        profile=[(attribute, value) for attribute, value in words["profile"]],
    )

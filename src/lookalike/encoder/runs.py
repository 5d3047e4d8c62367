"""Run folders: a trained encoder with all that is fitted, its vocabulary, item vectors and figures.

    runs/NAME/  config.json  vocabulary.json  items.parquet  model.safetensors  fitted.safetensors  items.npy
                metrics.json  manifest.json

Weights are safetensors, so nothing that is loaded can run code. A run holds no user and can be copied to another
workspace.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

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
from lookalike.encoder.run_files import RunConfig, RunManifest, RunMetrics, RunVocabulary
from lookalike.errors import StateError
from lookalike.workspace.files import new_folder, sha256
from lookalike.workspace.paths import WorkspaceFolder, checked_name

WEIGHTS_FILE = "model.safetensors"
HINT = "lookalike train makes a new run"


@dataclass(frozen=True)
class Run:
    """The part of a run that later commands read."""

    name: str
    folder: Path
    weights: dict[str, torch.Tensor]
    fitted: Arrays  # of the fusion, of the blocks that need no training, and of the learned prior
    vocabulary: Vocabulary
    config: RunConfig


@dataclass(frozen=True)
class RunOutputs:
    """The part of a run that is only written: item vectors [I, W], figures, and where they come from."""

    items: NDArray[np.float32]
    metrics: RunMetrics
    manifest: RunManifest  # without the hashes of the files


def run_names(workspace: WorkspaceFolder) -> list[str]:
    """The runs of a workspace, oldest first."""
    return sorted(path.name for path in workspace.runs.glob("r*") if path.name[1:].isdigit())


def next_run_name(workspace: WorkspaceFolder) -> str:
    """`r000001`, `r000002`, …: one after the last."""
    last = max((int(name[1:]) for name in run_names(workspace)), default=0)
    return f"r{last + 1:06d}"


def save_run(workspace: WorkspaceFolder, run: Run, outputs: RunOutputs) -> Path:
    """Writes a finished run, whole or not at all. Returns its folder."""
    target = workspace.runs / run.name
    with new_folder(target) as folder:
        run.config.write(folder / "config.json")
        outputs.metrics.write(folder / "metrics.json")
        _save_vocabulary(folder, run.vocabulary)
        np.save(folder / "items.npy", outputs.items)
        save_file(run.weights, folder / WEIGHTS_FILE)
        save_arrays({name: np.ascontiguousarray(array) for name, array in run.fitted.items()}, folder / FITTED_FILE)
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors makes files that only their owner can read, but runs are there to be copied
        hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        outputs.manifest.model_copy(update={"sha256": hashes}).write(folder / "manifest.json")
    return target


def load_run(workspace: WorkspaceFolder, name: str) -> Run:
    """A run by name, or by the path of its folder. Raises StateError when it is missing or damaged."""
    is_path = "/" in name or (not (workspace.runs / name).is_dir() and Path(name).is_dir())
    folder = Path(name) if is_path else workspace.runs / checked_name(name)
    if not (folder / "manifest.json").exists():
        names = ", ".join(run_names(workspace))
        raise StateError(f"{folder}: is not a run", f"runs here: {names}" if names else "lookalike train")
    hashes = RunManifest.read(folder / "manifest.json", HINT).sha256
    config = RunConfig.read(folder / "config.json", HINT)
    for file in (WEIGHTS_FILE, FITTED_FILE, "items.parquet", "vocabulary.json"):
        if not (folder / file).exists() or sha256(folder / file) != hashes.get(file):
            raise StateError(f"{folder / file}: damaged or missing", HINT)
    try:
        weights, fitted = load_file(folder / WEIGHTS_FILE), load_arrays(folder / FITTED_FILE)
        return Run(folder.name, folder, weights, fitted, _load_vocabulary(folder), config)
    except (OSError, SafetensorError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise StateError(f"{folder}: damaged ({error})", HINT) from error


def load_local_run(workspace: WorkspaceFolder, name: str) -> Run:
    """The same, copied into the workspace if it is elsewhere: lists made with it will look for it here."""
    run = load_run(workspace, name)
    is_local = run.folder.resolve().parent == workspace.runs.resolve()
    return run if is_local else _adopted(workspace, run)


def _adopted(workspace: WorkspaceFolder, run: Run) -> Run:
    manifest = RunManifest.read(run.folder / "manifest.json", HINT)
    for path in sorted(workspace.runs.glob("r*/manifest.json")):
        if RunManifest.read(path, HINT).sha256 == manifest.sha256:
            return load_run(workspace, path.parent.name)
    name = next_run_name(workspace)
    with new_folder(workspace.runs / name) as folder:
        for file in manifest.sha256:
            shutil.copyfile(run.folder / checked_name(file), folder / file)
        manifest.model_copy(update={"run": name}).write(folder / "manifest.json")
    return load_run(workspace, name)


def _save_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    RunVocabulary(
        codes={name: tuple(values) for name, values in vocabulary.codes.items()},
        attributes=tuple(vocabulary.attributes),
        profile=tuple(vocabulary.profile),
    ).write(folder / "vocabulary.json")
    offsets, codes = vocabulary.item_attributes
    rows = np.repeat(np.arange(len(vocabulary.items)), np.diff(offsets)[: len(vocabulary.items)])
    items = pl.DataFrame({"row": np.arange(len(vocabulary.items)), "item_id": vocabulary.items}).with_columns(
        pl.col("item_id").cast(pl.String)
    )
    attributes = pl.DataFrame({"row": rows, "attributes": codes[: len(rows)]}).group_by("row").agg("attributes")
    items.join(attributes, on="row", how="left").sort("row").write_parquet(folder / "items.parquet")


def _load_vocabulary(folder: Path) -> Vocabulary:
    stored = RunVocabulary.read(folder / "vocabulary.json", HINT)
    items = pl.read_parquet(folder / "items.parquet", glob=False).sort("row")
    lists = items["attributes"].fill_null([])
    offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
    codes = lists.explode().drop_nulls().to_numpy().astype(np.int32)
    return Vocabulary(
        items=items["item_id"].to_list(),
        codes={name: list(values) for name, values in stored.codes.items()},
        attributes=list(stored.attributes),
        item_attributes=(offsets, codes),
        profile=list(stored.profile),
    )

"""Run folders: a trained encoder with all that is fitted, its vocabulary, item vectors and figures.

    runs/NAME/  config.json  vocabulary.json  items.parquet  model.safetensors  fitted.safetensors  items.npy
                metrics.json  manifest.json

Weights are safetensors, so nothing that is loaded can run code. A run holds no user and can be copied to another
workspace.
"""

import re
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
from lookalike.encoder.run_arrays import Arrays
from lookalike.encoder.run_files import (
    CONFIG_FILE,
    FITTED_FILE,
    HINT,
    ITEM_VECTORS_FILE,
    ITEMS_FILE,
    MANIFEST,
    METRICS_FILE,
    RUN_FILES,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    RunConfig,
    RunManifest,
    RunMetrics,
    RunVocabulary,
    check_files,
)
from lookalike.errors import StateError
from lookalike.workspace.files import new_folder, sha256
from lookalike.workspace.paths import WorkspaceFolder, checked_name

_RUN_NAME = re.compile(r"r[0-9]{6,15}")
_ITEM_COLUMNS = {"row": pl.Int64, "item_id": pl.String, "attributes": pl.List(pl.Int32)}


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
    return sorted(path.name for path in workspace.runs.glob("r*") if _RUN_NAME.fullmatch(path.name))


def next_run_name(workspace: WorkspaceFolder) -> str:
    """`r000001`, `r000002`, …: one after the last."""
    last = max((int(name[1:]) for name in run_names(workspace)), default=0)
    return f"r{last + 1:06d}"


def save_run(workspace: WorkspaceFolder, run: Run, outputs: RunOutputs) -> Path:
    """Writes a finished run, whole or not at all. Returns its folder."""
    target = workspace.runs / run.name
    with new_folder(target) as folder:
        run.config.write(folder / CONFIG_FILE)
        outputs.metrics.write(folder / METRICS_FILE)
        _save_vocabulary(folder, run.vocabulary)
        np.save(folder / ITEM_VECTORS_FILE, outputs.items)
        save_file(run.weights, folder / WEIGHTS_FILE)
        save_arrays({name: np.ascontiguousarray(array) for name, array in run.fitted.items()}, folder / FITTED_FILE)
        hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        outputs.manifest.model_copy(update={"sha256": hashes}).write(folder / MANIFEST)
    return target


def load_run(workspace: WorkspaceFolder, name: str) -> Run:
    """A run by name, or by the path of its folder. Raises StateError when it is missing, damaged, or not wholly a run."""
    is_path = "/" in name or (not (workspace.runs / name).is_dir() and Path(name).is_dir())
    folder = Path(name) if is_path else workspace.runs / checked_name(name)
    if not (folder / MANIFEST).exists():
        names = ", ".join(run_names(workspace))
        raise StateError(f"{folder}: is not a run", f"runs here: {names}" if names else "lookalike train")
    check_files(folder)
    config = RunConfig.read(folder / CONFIG_FILE, HINT)
    try:
        weights, fitted = load_file(folder / WEIGHTS_FILE), load_arrays(folder / FITTED_FILE)
        return Run(folder.name, folder, weights, fitted, _load_vocabulary(folder), config)
    except (OSError, SafetensorError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise StateError(f"{folder}: damaged ({error})", HINT) from error


def local_name(workspace: WorkspaceFolder, run: Run) -> str:
    """The name of a run in the workspace: of the same run there, or the one that `adopt` would give it."""
    if run.folder.resolve().parent == workspace.runs.resolve():
        return run.name
    hashes = RunManifest.read(run.folder / MANIFEST, HINT).sha256
    for name in run_names(workspace):
        manifest = workspace.runs / name / MANIFEST
        if manifest.exists() and RunManifest.read(manifest, HINT).sha256 == hashes:
            return name
    return next_run_name(workspace)


def adopt(workspace: WorkspaceFolder, run: Run) -> None:
    """Copies a run from elsewhere into the workspace, unless it is there: lists made with it will look for it here."""
    name = local_name(workspace, run)
    if (workspace.runs / name / MANIFEST).exists():
        return
    manifest = check_files(run.folder)
    with new_folder(workspace.runs / name) as folder:
        for file in RUN_FILES:
            shutil.copyfile(run.folder / file, folder / file, follow_symlinks=False)
        manifest.model_copy(update={"run": name}).write(folder / MANIFEST)
        check_files(folder)


def _save_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    RunVocabulary(
        codes={name: tuple(values) for name, values in vocabulary.codes.items()},
        attributes=tuple(vocabulary.attributes),
        profile=tuple(vocabulary.profile),
    ).write(folder / VOCABULARY_FILE)
    offsets, codes = vocabulary.item_attributes
    rows = np.repeat(np.arange(len(vocabulary.items)), np.diff(offsets)[: len(vocabulary.items)])
    items = pl.DataFrame({"row": np.arange(len(vocabulary.items)), "item_id": vocabulary.items}).with_columns(
        pl.col("item_id").cast(pl.String)
    )
    attributes = pl.DataFrame({"row": rows, "attributes": codes[: len(rows)]}).group_by("row").agg("attributes")
    items.join(attributes, on="row", how="left").sort("row").write_parquet(folder / ITEMS_FILE)


def _load_vocabulary(folder: Path) -> Vocabulary:
    """Raises ValueError when items, attributes and codes do not fit together."""
    stored = RunVocabulary.read(folder / VOCABULARY_FILE, HINT)
    items = pl.read_parquet(folder / ITEMS_FILE, glob=False)
    if items.schema != _ITEM_COLUMNS or items["row"].to_list() != list(range(len(items))):
        raise ValueError(f"{ITEMS_FILE}: is not a list of items")
    lists = items["attributes"].fill_null([])
    offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
    named = [items["item_id"].to_list(), stored.attributes, stored.profile, *stored.codes.values()]
    if any(len(set(names)) < len(names) or None in names for names in named):
        raise ValueError("a name of the vocabulary has two codes")
    codes = lists.explode().drop_nulls().to_numpy().astype(np.int32)
    if len(codes) != offsets[-1] or not ((codes >= 0) & (codes < len(stored.attributes))).all():
        raise ValueError(f"{ITEMS_FILE}: names attributes that the vocabulary lacks")
    return Vocabulary(
        items=items["item_id"].to_list(),
        codes={name: list(values) for name, values in stored.codes.items()},
        attributes=list(stored.attributes),
        item_attributes=(offsets, codes),
        profile=list(stored.profile),
    )

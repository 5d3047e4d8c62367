"""Checkpoints of a fit after each epoch, from which an interrupted training continues.

    runs/unfinished/  state.json  checkpoint.safetensors     replaced as a whole after every epoch

Weights and the optimisers' state are safetensors: nothing that is loaded can run code.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lookalike.encoder.optimisers import RowAdam
from lookalike.encoder.results import EpochFigures
from lookalike.encoder.trainer import Fit, FitState, Tensors
from lookalike.errors import StateError
from lookalike.workspace.files import new_folder, remove, sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.records import Record, SealedRecord
from lookalike.workspace.settings import TrainSettings

UNFINISHED = "unfinished"
TENSORS_FILE = "checkpoint.safetensors"
START_ANEW = "start anew with lookalike train, without --resume"


class FitFingerprint(Record):
    """What a fit works on. A checkpoint can only be resumed by a fit with the same fingerprint."""

    settings: TrainSettings
    as_of: int  # end of all events, in seconds since 1970
    events: int
    files: tuple[str, ...]  # sha256 of the ingested files
    start_from: str | None  # the run whose weights it started with

    def differing_fields(self, other: "FitFingerprint") -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]


class CheckpointState(SealedRecord):
    """state.json: how far the fit has come."""

    schema_version: Literal[2] = 2
    sha256: str  # of the tensors' file
    fingerprint: FitFingerprint
    epoch: int
    best: float
    best_epoch: int
    history: tuple[EpochFigures, ...]


def save_checkpoint(workspace: WorkspaceFolder, fit: Fit, fingerprint: FitFingerprint) -> None:
    """Stores the state of a fit in place of the checkpoint before."""
    tensors = {f"model.{name}": value for name, value in fit.weights().items()}
    tensors |= {f"best.{name}": value for name, value in fit.best.items()}
    for name, optimiser in fit.optimisers.by_name.items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": torch.as_tensor(value).clone() for key, value in values.items()}
    with new_folder(_folder(workspace)) as folder:
        save_file(tensors, folder / TENSORS_FILE)
        _state(fit, fingerprint, sha256(folder / TENSORS_FILE)).write(folder / "state.json")


def _state(fit: Fit, fingerprint: FitFingerprint, tensors_sha256: str) -> CheckpointState:
    progress = fit.progress
    return CheckpointState(
        sha256=tensors_sha256,
        fingerprint=fingerprint,
        epoch=progress.epoch,
        best=progress.best,
        best_epoch=progress.best_epoch,
        history=tuple(progress.history),
    )


def has_checkpoint(workspace: WorkspaceFolder) -> bool:
    return (_folder(workspace) / "state.json").exists()


def unfinished_fingerprint(workspace: WorkspaceFolder) -> FitFingerprint:
    """What the unfinished training works on. Raises StateError if there is none, or its state is damaged."""
    return _load_state(workspace).fingerprint


def drop_checkpoint(workspace: WorkspaceFolder) -> None:
    remove(_folder(workspace))


def resume_fit(workspace: WorkspaceFolder, fit: Fit, fingerprint: FitFingerprint) -> None:
    """Restores a new fit to the state of the unfinished one.

    Raises StateError if there is no checkpoint, it is damaged, or it has another fingerprint.
    """
    state = _load_state(workspace)
    if differing := state.fingerprint.differing_fields(fingerprint):
        raise StateError(f"the unfinished training differs in {', '.join(differing)}", START_ANEW)
    tensors = _load_tensors(_folder(workspace) / TENSORS_FILE, state.sha256)
    try:
        fit.best = _with_prefix(tensors, "best.")
        fit.model.load_state_dict(fit.best)  # a wrong shape should fail now, not after the last epoch
        fit.model.load_state_dict(_with_prefix(tensors, "model."))
        for name, optimiser in fit.optimisers.by_name.items():
            _restore_optimiser(optimiser, _with_prefix(tensors, f"{name}."))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StateError(f"{_folder(workspace)}: the checkpoint is damaged", START_ANEW) from error
    fit.progress = FitState(state.epoch, state.best, state.best_epoch, list(state.history))


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = value
    if isinstance(optimiser, RowAdam):  # it counts steps in Python; a tensor would be rounded differently
        states = {index: values | {"step": int(values["step"])} for index, values in states.items()}
    optimiser.load_state_dict(optimiser.state_dict() | {"state": states})


def _folder(workspace: WorkspaceFolder) -> Path:
    return workspace.runs / UNFINISHED


def _load_state(workspace: WorkspaceFolder) -> CheckpointState:
    if not has_checkpoint(workspace):
        raise StateError("no unfinished training to resume", "lookalike train")
    return CheckpointState.read(_folder(workspace) / "state.json", START_ANEW)


def _load_tensors(path: Path, expected_sha256: str) -> Tensors:
    try:
        if sha256(path) != expected_sha256:
            raise StateError(f"{path}: was changed after it was written", START_ANEW)
        tensors: Tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StateError(f"{path}: damaged weights ({error})", START_ANEW) from error
    return tensors


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose name starts with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

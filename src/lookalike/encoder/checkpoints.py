"""Fits under way: where one stands after each epoch, so that an interrupted training goes on.

    runs/unfinished/  state.json  checkpoint.safetensors     replaced whole after every epoch

Weights and the optimiser's state are safetensors: nothing that is loaded can run code.
"""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lookalike.encoder.trainer import EpochFigures, Fit, FitState
from lookalike.errors import StateError
from lookalike.workspace.files import new_folder, read_json, write_json
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import TrainSettings, validated

UNFINISHED = "unfinished"


def save_checkpoint(workspace: WorkspaceFolder, fit: Fit, fingerprint: dict[str, Any]) -> None:
    """Keeps where a fit stands. `fingerprint` says what it works on; a resumed fit must say the same."""
    progress = fit.progress
    state = asdict(progress) | {"fingerprint": fingerprint}
    tensors = {f"model.{name}": value for name, value in fit.weights().items()}
    tensors |= {f"best.{name}": value for name, value in fit.best.items()}
    for name, optimiser in fit.optimisers.items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": torch.as_tensor(value).clone() for key, value in values.items()}
    with new_folder(workspace.runs / UNFINISHED) as folder:
        save_file(tensors, folder / "checkpoint.safetensors")
        write_json(folder / "state.json", state)


def has_checkpoint(workspace: WorkspaceFolder) -> bool:
    return (workspace.runs / UNFINISHED / "state.json").exists()


def unfinished_settings(workspace: WorkspaceFolder) -> TrainSettings:
    """The settings the unfinished training began with. Raises StateError when there is none."""
    if not has_checkpoint(workspace):
        raise nothing_to_resume_error()
    path = workspace.runs / UNFINISHED / "state.json"
    return validated(TrainSettings, read_json(path, "fingerprint")["fingerprint"].get("settings", {}), str(path))


def unfinished_start(workspace: WorkspaceFolder) -> str | None:
    """The run whose weights the unfinished training began with."""
    state = read_json(workspace.runs / UNFINISHED / "state.json", "fingerprint")
    begun: str | None = state["fingerprint"].get("start_from")
    return begun


def nothing_to_resume_error() -> StateError:
    return StateError("no unfinished training to resume", "lookalike train")


def drop_checkpoint(workspace: WorkspaceFolder) -> None:
    shutil.rmtree(workspace.runs / UNFINISHED, ignore_errors=True)


def resume_fit(workspace: WorkspaceFolder, fit: Fit, fingerprint: dict[str, Any]) -> None:
    """Puts a fresh fit where the unfinished one stood. Raises StateError when there is none, or it is of other data."""
    folder = workspace.runs / UNFINISHED
    if not has_checkpoint(workspace):
        raise nothing_to_resume_error()
    state = read_json(folder / "state.json")
    differing = [key for key, value in fingerprint.items() if state.get("fingerprint", {}).get(key) != value]
    if differing:
        raise StateError(
            f"the unfinished training differs in {', '.join(differing)}",
            "lookalike train, without --resume, starts anew",
        )
    tensors = _load_tensors(folder / "checkpoint.safetensors")
    try:
        fit.best = _part(tensors, "best.")
        fit.model.load_state_dict(fit.best)  # they must fit now, not when the last epoch has been trained
        fit.model.load_state_dict(_part(tensors, "model."))
        for name, optimiser in fit.optimisers.items():
            steps = _nested(_part(tensors, f"{name}."))
            if name == "tables":  # it counts its steps in Python, and rounds otherwise
                steps = {index: of | {"step": int(of["step"])} for index, of in steps.items()}
            optimiser.load_state_dict(optimiser.state_dict() | {"state": steps})
        history = [EpochFigures(**epoch) for epoch in state["history"]]
        fit.progress = FitState(state["epoch"], state["best"], state["best_epoch"], history)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StateError(
            f"{folder}: the checkpoint is damaged", "lookalike train, without --resume, starts anew"
        ) from error


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StateError(
            f"{path}: damaged weights ({error})", "lookalike train, without --resume, starts anew"
        ) from error
    return tensors


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _nested(flat: dict[str, torch.Tensor]) -> dict[int, dict[str, Any]]:
    nested: dict[int, dict[str, Any]] = {}
    for name, value in flat.items():
        index, key = name.split(".", 1)
        nested.setdefault(int(index), {})[key] = value
    return nested

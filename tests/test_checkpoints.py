"""An interrupted fit goes on as if it had not been, and a damaged checkpoint says so."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import checkpoints, trainer
from lookalike.encoder.model import ENCODERS
from lookalike.errors import StateError
from lookalike.workspace.files import TEMPORARY_PREFIX
from lookalike.workspace.paths import WorkspaceFolder
from planted_log import SMALL
from test_batches import CODES, sequences_of

FINGERPRINT = {"settings": {"dim": 16, "rate": 0.1}, "as_of": 7, "events": 99}
EPOCHS = 4


class Stopped(Exception):
    pass


def log() -> tuple[Sequences, Vocabulary]:
    rng = np.random.default_rng(0)
    known = sequences_of([sorted(rng.integers(0, 500, 12).tolist()) for _ in range(60)])
    none = (np.zeros(10, np.int64), np.zeros(0, np.int32))
    return known, Vocabulary([f"i{n}" for n in range(9)], CODES, [], none, [])


def fresh(encoder: str = "mean", dim: int = 16) -> trainer.Fit:
    known, vocabulary = log()
    settings = replace(SMALL, encoder=encoder, dim=dim, epochs=EPOCHS, patience=EPOCHS, batch_events=128)
    return trainer.Fit(trainer.plan_fit(known, vocabulary, settings), vocabulary, torch.device("cpu"))


def as_bytes(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in tensors.items()}


def stop_after(epoch: int, workspace: WorkspaceFolder, fit: trainer.Fit) -> None:
    def on_epoch(progress: trainer.FitState, fit: trainer.Fit) -> None:
        checkpoints.save_checkpoint(workspace, fit, FINGERPRINT)
        if progress.epoch == epoch:
            raise Stopped

    with pytest.raises(Stopped):
        fit.run(on_epoch, lambda done, note: None)


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resumed_fit_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path, encoder: str, epoch: int) -> None:
    whole = fresh(encoder)
    whole.run(lambda progress, fit: None, lambda done, note: None)
    workspace = WorkspaceFolder(tmp_path)
    stop_after(epoch, workspace, fresh(encoder))
    torch.manual_seed(12345)  # another process: nothing of the first one's state is left
    resumed = fresh(encoder)
    checkpoints.resume_fit(workspace, resumed, FINGERPRINT)
    assert resumed.progress.epoch == epoch
    resumed.run(lambda progress, fit: None, lambda done, note: None)
    assert as_bytes(resumed.weights()) == as_bytes(whole.weights())
    told = [[replace(e, events_per_second=0.0) for e in fit.progress.history] for fit in (whole, resumed)]
    assert told[0] == told[1]
    assert resumed.progress.best_epoch == whole.progress.best_epoch


def test_a_fit_that_had_ended_is_not_trained_further_by_resuming(tmp_path: Path) -> None:
    workspace, whole = WorkspaceFolder(tmp_path), fresh()
    whole.run(lambda progress, fit: checkpoints.save_checkpoint(workspace, fit, FINGERPRINT), lambda done, note: None)
    resumed = fresh()
    checkpoints.resume_fit(workspace, resumed, FINGERPRINT)
    resumed.run(lambda progress, fit: pytest.fail("an epoch was trained"), lambda done, note: None)
    assert as_bytes(resumed.weights()) == as_bytes(whole.weights())


def test_nothing_to_resume_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no unfinished training"):
        checkpoints.resume_fit(WorkspaceFolder(tmp_path), fresh(), FINGERPRINT)


@pytest.mark.parametrize("change", [{"as_of": 8}, {"events": 98}, {"settings": {"dim": 32, "rate": 0.1}}, {"new": 1}])
def test_a_checkpoint_of_other_data_or_settings_is_refused_and_said_why(
    tmp_path: Path, change: dict[str, object]
) -> None:
    workspace = WorkspaceFolder(tmp_path)
    stop_after(1, workspace, fresh())
    with pytest.raises(StateError, match=f"differs in {next(iter(change))}"):
        checkpoints.resume_fit(workspace, fresh(), FINGERPRINT | change)


def test_the_settings_of_a_real_training_survive_the_file(tmp_path: Path) -> None:
    workspace, fit = WorkspaceFolder(tmp_path), fresh()
    checkpoints.save_checkpoint(workspace, fit, {"settings": asdict(SMALL)})
    checkpoints.resume_fit(workspace, fresh(), {"settings": asdict(SMALL)})


def truncate(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def scribble(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    file.write_bytes(b"\xff" * 64 + file.read_bytes()[64:])


def remove(folder: Path) -> None:
    (folder / "checkpoint.safetensors").unlink()


def empty(folder: Path) -> None:
    (folder / "checkpoint.safetensors").write_bytes(b"")


def half_json(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(file.read_text()[:30])


def no_epoch(folder: Path) -> None:
    file = folder / "state.json"
    state = json.loads(file.read_text())
    del state["epoch"]
    file.write_text(json.dumps(state))


def odd_history(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"history": [{"surprise": 1}]}))


def fewer_tensors(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    tensors = load_file(file)
    save_file({name: value for name, value in tensors.items() if name != "model.head.weight"}, file)


def odd_optimiser(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    save_file(load_file(file) | {"dense.first": torch.zeros(1)}, file)


def best_is_gone(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    save_file({name: value for name, value in load_file(file).items() if not name.startswith("best.")}, file)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        scribble,
        remove,
        empty,
        half_json,
        no_epoch,
        odd_history,
        fewer_tensors,
        odd_optimiser,
        best_is_gone,
    ],
)
def test_a_damaged_checkpoint_is_a_state_error(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    workspace = WorkspaceFolder(tmp_path)
    stop_after(1, workspace, fresh())
    damage(workspace.runs / checkpoints.UNFINISHED)
    with pytest.raises(StateError):
        checkpoints.resume_fit(workspace, fresh(), FINGERPRINT)


def test_a_checkpoint_of_another_shape_is_a_state_error(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    stop_after(1, workspace, fresh())
    with pytest.raises(StateError, match="damaged"):
        checkpoints.resume_fit(workspace, fresh(dim=24), FINGERPRINT)


def test_a_save_that_fails_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, fit = WorkspaceFolder(tmp_path), fresh()
    stop_after(2, workspace, fit)

    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save_checkpoint(workspace, fit, FINGERPRINT)
    again = fresh()
    checkpoints.resume_fit(workspace, again, FINGERPRINT)
    assert again.progress.epoch == 2
    assert not list(workspace.runs.glob(f"{TEMPORARY_PREFIX}*"))


def test_dropping_a_checkpoint_leaves_none(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    checkpoints.drop_checkpoint(workspace)
    checkpoints.save_checkpoint(workspace, fresh(), FINGERPRINT)
    assert checkpoints.has_checkpoint(workspace)
    checkpoints.drop_checkpoint(workspace)
    assert not checkpoints.has_checkpoint(workspace)

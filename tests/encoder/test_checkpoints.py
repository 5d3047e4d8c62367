"""A resumed fit continues as if it had not been interrupted, and a damaged checkpoint is an error."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookalike.encoder import checkpoints, trainer
from lookalike.encoder.checkpoints import CheckpointState, FitFingerprint
from lookalike.encoder.model import ENCODERS
from lookalike.errors import StateError
from lookalike.workspace.files import TEMPORARY_PREFIX
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL
from small_fits import Log, as_bytes, untrained_fit
from synthetic_sequences import plain_vocabulary, sequences_of

FINGERPRINT = FitFingerprint(settings=SMALL, as_of=7, events=99, files=("ab12",), start_from=None)
EPOCHS = 4


class Interrupted(Exception):
    """Raised after a checkpoint, in place of a signal."""


def small_log() -> Log:
    rng = np.random.default_rng(0)
    times = [sorted(rng.integers(0, 500, 12).tolist()) for _ in range(60)]
    return sequences_of(times), plain_vocabulary(9)


def new_fit(encoder: str = "mean", dim: int = 16) -> trainer.Fit:
    settings = replace(SMALL, encoder=encoder, dim=dim, epochs=EPOCHS, patience=EPOCHS, batch_events=128)
    return untrained_fit(small_log(), settings)


def interrupt_after(epoch: int, workspace: WorkspaceFolder, fit: trainer.Fit) -> None:
    def on_epoch(state: trainer.FitState, fit: trainer.Fit) -> None:
        checkpoints.save_checkpoint(workspace, fit, FINGERPRINT)
        if state.epoch == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit.run(on_epoch)


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
@pytest.mark.parametrize("epoch", [1, 3])
def test_resumed_fit_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, encoder: str, epoch: int) -> None:
    uninterrupted = new_fit(encoder)
    uninterrupted.run()
    workspace = WorkspaceFolder(tmp_path)
    interrupt_after(epoch, workspace, new_fit(encoder))
    torch.manual_seed(12345)  # another process: none of the first one's random state is left
    resumed = new_fit(encoder)
    checkpoints.resume_fit(workspace, resumed, FINGERPRINT)
    assert resumed.progress.epoch == epoch
    resumed.run()
    assert as_bytes(resumed.weights()) == as_bytes(uninterrupted.weights())
    histories = [
        [figures.model_copy(update={"events_per_second": 0.0}) for figures in fit.progress.history]
        for fit in (uninterrupted, resumed)
    ]
    assert histories[0] == histories[1]
    assert resumed.progress.best_epoch == uninterrupted.progress.best_epoch


def test_resuming_a_finished_fit_trains_no_further(tmp_path: Path) -> None:
    workspace, finished = WorkspaceFolder(tmp_path), new_fit()
    finished.run(lambda state, fit: checkpoints.save_checkpoint(workspace, fit, FINGERPRINT))
    resumed = new_fit()
    checkpoints.resume_fit(workspace, resumed, FINGERPRINT)
    resumed.run(lambda state, fit: pytest.fail("an epoch was trained"))
    assert as_bytes(resumed.weights()) == as_bytes(finished.weights())


def test_resuming_without_a_checkpoint_is_a_state_error(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    with pytest.raises(StateError, match="no unfinished training"):
        checkpoints.resume_fit(workspace, new_fit(), FINGERPRINT)
    with pytest.raises(StateError, match="no unfinished training"):
        checkpoints.unfinished_fingerprint(workspace)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("as_of", 8),
        ("events", 98),
        ("settings", replace(SMALL, dim=32)),
        ("files", ("ab12", "cd34")),
        ("start_from", "r000001"),
    ],
    ids=["as_of", "events", "settings", "files", "start_from"],
)
def test_checkpoint_of_another_fit_is_refused_with_the_differing_field(
    tmp_path: Path, field: str, value: object
) -> None:
    workspace = WorkspaceFolder(tmp_path)
    interrupt_after(1, workspace, new_fit())
    with pytest.raises(StateError, match=f"differs in {field}$"):
        checkpoints.resume_fit(workspace, new_fit(), FINGERPRINT.model_copy(update={field: value}))


@pytest.mark.parametrize(
    "settings", [SMALL, TrainSettings(), TrainSettings(learning_rate=1 / 3, objective="next_item+0.1*episodes")]
)
def test_fingerprint_is_read_back_unchanged(tmp_path: Path, settings: TrainSettings) -> None:
    workspace, fit = WorkspaceFolder(tmp_path), new_fit()
    fingerprint = FINGERPRINT.model_copy(update={"settings": settings, "start_from": "r000007"})
    checkpoints.save_checkpoint(workspace, fit, fingerprint)
    assert checkpoints.unfinished_fingerprint(workspace) == fingerprint
    resumed = new_fit()
    checkpoints.resume_fit(workspace, resumed, fingerprint)
    assert as_bytes(resumed.weights()) == as_bytes(fit.weights())


def test_state_file_holds_the_version_and_the_history(tmp_path: Path) -> None:
    workspace, fit = WorkspaceFolder(tmp_path), new_fit()
    interrupt_after(2, workspace, fit)
    state = CheckpointState.read(workspace.runs / checkpoints.UNFINISHED / "state.json")
    assert (state.schema_version, state.epoch, state.fingerprint) == (2, 2, FINGERPRINT)
    assert list(state.history) == fit.progress.history


# --- damage ----------------------------------------------------------------------------------------------------------


def truncate(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite_header(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    file.write_bytes(b"\xff" * 64 + file.read_bytes()[64:])


def remove(folder: Path) -> None:
    (folder / "checkpoint.safetensors").unlink()


def empty(folder: Path) -> None:
    (folder / "checkpoint.safetensors").write_bytes(b"")


def truncate_json(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(file.read_text()[:30])


def remove_epoch(folder: Path) -> None:
    file = folder / "state.json"
    state = json.loads(file.read_text())
    del state["epoch"]
    file.write_text(json.dumps(state))


def unknown_history(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"history": [{"surprise": 1}]}))


def unknown_settings(folder: Path) -> None:
    file = folder / "state.json"
    state = json.loads(file.read_text())
    state["fingerprint"]["settings"]["surprise"] = 1
    file.write_text(json.dumps(state))


def future_version(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 3}))


def change_a_weight(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def change_a_figure(folder: Path) -> None:
    file = folder / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"best": 0.75}))


def remove_tensor(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    tensors = load_file(file)
    save_file({name: value for name, value in tensors.items() if name != "model.head.weight"}, file)


def unknown_optimiser_state(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    save_file(load_file(file) | {"dense.first": torch.zeros(1)}, file)


def remove_best_weights(folder: Path) -> None:
    file = folder / "checkpoint.safetensors"
    save_file({name: value for name, value in load_file(file).items() if not name.startswith("best.")}, file)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        overwrite_header,
        remove,
        empty,
        truncate_json,
        remove_epoch,
        unknown_history,
        unknown_settings,
        future_version,
        change_a_weight,
        change_a_figure,
        remove_tensor,
        unknown_optimiser_state,
        remove_best_weights,
    ],
)
def test_damaged_checkpoint_is_a_state_error(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    workspace = WorkspaceFolder(tmp_path)
    interrupt_after(1, workspace, new_fit())
    damage(workspace.runs / checkpoints.UNFINISHED)
    with pytest.raises(StateError) as raised:
        checkpoints.resume_fit(workspace, new_fit(), FINGERPRINT)
    assert checkpoints.UNFINISHED in raised.value.message


def test_checkpoint_of_another_shape_is_a_state_error(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    interrupt_after(1, workspace, new_fit())
    with pytest.raises(StateError, match="damaged"):
        checkpoints.resume_fit(workspace, new_fit(dim=24), FINGERPRINT)


def test_failed_save_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, fit = WorkspaceFolder(tmp_path), new_fit()
    interrupt_after(2, workspace, fit)

    def fail_halfway(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", fail_halfway)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save_checkpoint(workspace, fit, FINGERPRINT)
    resumed = new_fit()
    checkpoints.resume_fit(workspace, resumed, FINGERPRINT)
    assert resumed.progress.epoch == 2
    assert not list(workspace.runs.glob(f"{TEMPORARY_PREFIX}*"))


def test_dropped_checkpoint_is_gone(tmp_path: Path) -> None:
    workspace = WorkspaceFolder(tmp_path)
    checkpoints.drop_checkpoint(workspace)  # nothing to drop is fine
    checkpoints.save_checkpoint(workspace, new_fit(), FINGERPRINT)
    assert checkpoints.has_checkpoint(workspace)
    checkpoints.drop_checkpoint(workspace)
    assert not checkpoints.has_checkpoint(workspace)

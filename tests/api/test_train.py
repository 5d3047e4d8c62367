"""The train verb: what it returns, stores and reports."""

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from conftest import Tiny
from lookalike.api.train import TrainRequest, train
from lookalike.embeddings import representation
from lookalike.encoder import checkpoints
from lookalike.encoder.results import EpochFinished, FiguresNotHeldOut, TrainingStarted
from lookalike.encoder.run_files import RunConfig, RunManifest, RunMetrics
from lookalike.errors import SettingsError, StateError
from lookalike.workspace.executor import Columns, Task
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from planted_log import SMALL
from recording_progress import RecordingProgress

ONE_EPOCH = replace(SMALL, epochs=1)


@pytest.fixture
def workspace(tiny_run: Tiny, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the tiny workspace, which has one run."""
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def test_the_result_is_what_is_stored(workspace: WorkspaceFolder) -> None:
    result = train(workspace, TrainRequest(ONE_EPOCH, device="cpu"), QuietProgress())
    assert result is not None
    folder = workspace.runs / result.run
    manifest, metrics = RunManifest.read(folder / "manifest.json"), RunMetrics.read(folder / "metrics.json")
    assert manifest.run == result.run == "r000002"
    assert metrics.figures == result.figures
    assert manifest.counts.model_dump() == {
        name: getattr(result, name) for name in ("users", "without_events", "events", "items", "epochs", "best_epoch")
    }
    assert (result.users, result.epochs, len(metrics.history)) == (600, 1, 1)
    config = RunConfig.read(folder / "config.json")
    assert (config.settings, config.start_from, config.as_of) == (ONE_EPOCH, None, manifest.as_of)
    live = representation.live_version(workspace)
    assert live.folder.name == result.version == "v000002"
    assert live.manifest.run == result.run
    assert result.churn is not None
    assert 0 < result.churn < 1


def test_the_same_settings_store_the_same_bytes(workspace: WorkspaceFolder, tiny_run: Tiny) -> None:
    result = train(workspace, TrainRequest(tiny_run.settings, device="cpu"), QuietProgress())
    assert result is not None
    assert result.churn == 0
    for name in ("model.safetensors", "fitted.safetensors", "items.npy", "items.parquet", "vocabulary.json"):
        first, second = ((workspace.runs / run / name).read_bytes() for run in ("r000001", result.run))
        assert first == second, name


def test_what_is_reported(workspace: WorkspaceFolder) -> None:
    progress = RecordingProgress()
    result = train(workspace, TrainRequest(SMALL, device="cpu"), progress)
    assert result is not None
    expected = ["training_started", "epoch_finished", "epoch_finished", "finished_on_all_events", "list_churn"]
    assert progress.codes == expected
    started = progress.messages[0]
    assert isinstance(started, TrainingStarted)
    assert 0 < started.events < result.events
    history = RunMetrics.read(workspace.runs / result.run / "metrics.json").history
    assert [message.epoch for message in progress.messages if isinstance(message, EpochFinished)] == list(history)


def test_a_warm_start_on_the_same_log_reports_that_figures_are_not_held_out(workspace: WorkspaceFolder) -> None:
    progress = RecordingProgress()
    result = train(workspace, TrainRequest(ONE_EPOCH, device="cpu", start_from="r000001"), progress)
    assert result is not None
    config = RunConfig.read(workspace.runs / result.run / "config.json")
    assert progress.codes[0] == "warm_start"
    assert FiguresNotHeldOut(run="r000001", trained_until=config.as_of) in progress.messages
    assert result.figures.weights_had_seen == config.as_of
    assert config.start_from == "r000001"


def interrupt(workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains, and stops after the first epoch."""

    def save_and_stop(*arguments: object) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    save: Callable[..., None] = checkpoints.save_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(workspace, TrainRequest(SMALL, device="cpu"), QuietProgress())


def test_an_interrupted_training_is_resumed_or_discarded(
    workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(workspace, monkeypatch)
    progress = RecordingProgress()
    resumed = train(workspace, TrainRequest(ONE_EPOCH, device="cpu", resume=True), progress)
    assert resumed is not None
    assert (resumed.epochs, progress.codes[0]) == (2, "training_resumed")
    weights = [(workspace.runs / run / "model.safetensors").read_bytes() for run in ("r000001", resumed.run)]
    assert weights[0] == weights[1], "as if it had not been interrupted"
    interrupt(workspace, monkeypatch)
    progress = RecordingProgress()
    assert train(workspace, TrainRequest(ONE_EPOCH, device="cpu"), progress) is not None
    assert progress.codes[0] == "checkpoint_discarded"
    assert not checkpoints.has_checkpoint(workspace)


def test_a_failed_training_leaves_the_live_version(workspace: WorkspaceFolder) -> None:
    before = representation.live_version(workspace).folder
    with pytest.raises(StateError):
        train(workspace, TrainRequest(ONE_EPOCH, as_of=None, device="cpu", start_from="r000009"), QuietProgress())
    with pytest.raises(StateError):
        train(workspace, TrainRequest(replace(ONE_EPOCH, min_events=10_000), device="cpu"), QuietProgress())
    assert representation.live_version(workspace).folder == before
    assert [path.name for path in workspace.runs.iterdir()] == ["r000001"]


# --- an executor -----------------------------------------------------------------------------------------------------


@dataclass
class FakeExecutor:
    """Runs the function here, after it was sent like to another process."""

    folders: list[str] = field(default_factory=list)

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        raise AssertionError("a training has no shards")

    def run_together(self, function: Callable[[], str | None], folder: str) -> str:
        self.folders.append(folder)
        text = pickle.loads(pickle.dumps(function))()
        assert text is not None
        return str(text)


def test_an_executor_trains_the_same_run(
    workspace: WorkspaceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executor = FakeExecutor()
    request = TrainRequest(SMALL, device="cpu", executor=executor)
    result = train(WorkspaceFolder(Path("space")), request, QuietProgress())
    assert result is not None
    assert executor.folders == [str(workspace.root.resolve())]
    assert result.figures == RunMetrics.read(workspace.runs / result.run / "metrics.json").figures
    first, second = (np.load(workspace.runs / run / "items.npy") for run in ("r000001", result.run))
    assert np.array_equal(first, second)


def test_an_executor_cannot_resume(workspace: WorkspaceFolder) -> None:
    request = TrainRequest(SMALL, resume=True, executor=FakeExecutor())
    with pytest.raises(SettingsError, match="--resume works with one process"):
        train(workspace, request, QuietProgress())


def test_resume_takes_no_other_start(workspace: WorkspaceFolder) -> None:
    with pytest.raises(SettingsError, match="as it was started"):
        train(workspace, TrainRequest(SMALL, resume=True, start_from="r000001"), QuietProgress())


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing was ingested"):
        train(WorkspaceFolder(tmp_path), TrainRequest(SMALL), QuietProgress())

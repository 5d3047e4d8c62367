"""Ray: the tasks of shards spread over the machines of a cluster, and a training over several processes of it.

Every machine sees the workspace under the same path and has this program installed. The tasks are the functions that
one machine runs as well, so the result is the same byte for byte; what a lost worker had begun is begun anew elsewhere.
The only module that knows Ray.
"""

import contextlib
import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lookalike import errors, evaluation, learn
from lookalike.engine import Columns, Task
from lookalike.errors import LookalikeError, SettingsError, StateError
from lookalike.learn import TrainRequest
from lookalike.talk import Silent, Talk
from lookalike.workspace import Workspace

# before the import, which reads them: nothing is reported to anybody, and a lost worker is our affair, not the terminal's
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
try:
    import ray
except ImportError as error:
    raise SettingsError("Ray is not installed", "pip install 'lookalike[ray]', or leave --engine out") from error

TRIES = 3  # of a worker, before the whole is given up
OBJECT_STORE = 256 * 2**20  # of a cluster of our own: tasks go out once, and only heads of lists come back


@dataclass(frozen=True)
class Ray:
    """A running cluster at an address (`auto`, `HOST:6379`), or one of some of this machine's own cores."""

    address: str | None = None

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        """What each task gives, in any order. A lost worker is replaced, a few times; then, or when a task raises, so does
        this: what the task raised, or StateError."""
        self.join()
        shared = ray.put(task)
        work = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        done = work.map_batches(
            _Worker,
            fn_constructor_args=(_Shared(shared, torch.get_num_threads()),),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(len(numbers), max(1, int(_cpus())))),
            max_restarts=TRIES,
            max_task_retries=TRIES,
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Ray tells of lost workers there, which is for data only
                yield from done.iter_batches(batch_size=None, batch_format="numpy")
        except ray.exceptions.RayError as error:
            raise _original(error) from error

    def join(self) -> None:
        """Connects to the cluster, or starts one. Raises StateError where none can be reached."""
        own: dict[str, Any] = {"address": self.address} if self.address else {
            "address": "local", "num_cpus": evaluation.workers(), "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
        }  # fmt: skip
        try:
            if not ray.is_initialized():
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = self.address or "this machine"
            raise StateError(f"no Ray cluster can be joined at {where}: {_told(error)}", "ray status") from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        for name in ("ray.data", "ray.train", "ray._common"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def train(self, workspace: Workspace, request: TrainRequest, talk: Talk) -> dict[str, Any]:
        """What `learn.train` gives, run by one process a CPU of the cluster, which share every batch."""
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        if request.resume:
            raise SettingsError("--resume works with one process", "lookalike train --resume, without --engine")
        workspace = Workspace(workspace.root.resolve())
        self.join()
        count = max(1, int(_cpus()))
        talk.note(f"training in {count} processes of the cluster")
        # on one machine nobody else has to see it; else it lies where all do
        shared = None if self.address is None else workspace.root
        with tempfile.TemporaryDirectory(dir=shared, prefix="ray-") as folder:
            told = Path(folder) / "told.json"
            trainer = TorchTrainer(
                _train,
                train_loop_config={"workspace": workspace, "request": request, "told": told},
                # the others wait while the first one reads the log and judges
                torch_config=TorchConfig(backend="gloo", timeout_s=12 * 3600),
                scaling_config=ScalingConfig(num_workers=count, use_gpu=False),
                run_config=RunConfig(name="lookalike", storage_path=folder),
            )
            try:
                trainer.fit()
            except (TrainingFailedError, ray.exceptions.RayError) as error:
                raise _refused(told) or StateError(f"the training failed: {_told(error)}", "the logs of Ray") from error
            found: dict[str, Any] = json.loads(told.read_text())
        return found


@dataclass(frozen=True)
class _Shared:
    """Where a task is, and on how many threads it runs at home: sums may differ in their last digits with that."""

    task: Any
    threads: int


class _Worker:
    """One process of the cluster. It fetches the task once."""

    def __init__(self, shared: _Shared) -> None:
        self.task: Task = ray.get(shared.task)
        torch.set_num_threads(shared.threads)

    def __call__(self, batch: dict[str, Any]) -> Columns:
        with threadpool_limits(1, "blas"):
            parts = [self._tried(int(number)) for number in batch["number"]]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _tried(self, number: int) -> Columns:
        """A shared file system may fail once."""
        for _ in range(TRIES):
            with contextlib.suppress(OSError):
                return self.task(number)
            time.sleep(1)
        return self.task(number)


def _train(asked: dict[str, Any]) -> None:
    """What each process of a training does; the first one writes down what it gives, or why it could not."""
    try:
        result = learn.train(asked["workspace"], asked["request"], Silent())
    except LookalikeError as error:
        asked["told"].write_text(json.dumps({"error": [type(error).__name__, error.message, error.hint]}))
        raise
    if result:
        asked["told"].write_text(json.dumps(result))


def _refused(told: Path) -> LookalikeError | None:
    """What a process of a training could not do, where it is one of our own errors."""
    given = json.loads(told.read_text()).get("error") if told.exists() else None
    return getattr(errors, given[0])(given[1], given[2]) if given else None


def _cpus() -> float:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found.get("CPU", 1.0)


def _original(error: BaseException) -> LookalikeError:
    """The error that a task raised, where it is one of our own; else a StateError."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(cause := getattr(inner, "cause", None), LookalikeError):
            return cause
        if isinstance(inner, LookalikeError) and not isinstance(inner, ray.exceptions.RayError):
            return inner
        inner = inner.__cause__
    return StateError(f"a worker failed: {_told(error)}", "the logs of Ray on the worker's machine")


def _told(error: BaseException) -> str:
    """The last line that names an error, of one that Ray has wrapped: the innermost stands last."""
    lines = [line.strip() for line in str(error).splitlines() if "Error" in line or "died" in line]
    return (lines or str(error).strip().splitlines() or [type(error).__name__])[-1][:300]

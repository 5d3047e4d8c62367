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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lookalike import evaluation, learn
from lookalike.engine import Columns, Task
from lookalike.errors import SettingsError, StateError
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

OBJECT_STORE = 256 * 2**20  # of a cluster of our own: tasks go out once, and only heads of lists come back


@dataclass(frozen=True)
class Ray:
    """A running cluster at an address (`auto`, `ray://…`), or one of this machine's own cores."""

    address: str | None = None

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        """What each task gives, in any order. Raises StateError when one fails however often it is tried."""
        self.join()
        shared = ray.put(task)
        work = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        done = work.map_batches(
            _Worker,
            fn_constructor_args=(_Shared(shared, torch.get_num_threads()),),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(len(numbers), max(1, int(_cpus())))),
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Ray tells of lost workers there, which is for data only
                yield from done.iter_batches(batch_size=None, batch_format="numpy")
        except ray.exceptions.RayError as error:
            raise StateError(
                f"a worker failed: {_first_line(error)}", "the logs of Ray on the worker's machine"
            ) from error

    def join(self) -> None:
        """Connects to the cluster, or starts one."""
        if not ray.is_initialized():
            own: dict[str, Any] = {} if self.address else {
                "num_cpus": evaluation.workers(), "object_store_memory": OBJECT_STORE, "include_dashboard": False,
            }  # fmt: skip
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **own)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        for name in ("ray.data", "ray.train", "ray._common"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def train(self, workspace: Workspace, request: TrainRequest, talk: Talk) -> dict[str, Any]:
        """What `learn.train` gives, run by one process a CPU of the cluster."""
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        self.join()
        count = max(1, int(_cpus()))
        talk.note(f"training in {count} processes of the cluster")
        with tempfile.TemporaryDirectory(dir=workspace.root, prefix="ray-") as folder:
            told = Path(folder) / "told.json"
            asked = {"workspace": workspace, "request": request, "told": told}
            trainer = TorchTrainer(
                _train,
                train_loop_config=asked,
                torch_config=TorchConfig(backend="gloo"),
                scaling_config=ScalingConfig(num_workers=count, use_gpu=False),
                run_config=RunConfig(name="lookalike", storage_path=folder),
            )
            trainer.fit()
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
            parts = [self.task(int(number)) for number in batch["number"]]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _train(asked: dict[str, Any]) -> None:
    """What each process of a training does; the first one writes down what it gives."""
    result = learn.train(asked["workspace"], asked["request"], Silent())
    if result:
        asked["told"].write_text(json.dumps(result))


def _cpus() -> float:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found.get("CPU", 1.0)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__

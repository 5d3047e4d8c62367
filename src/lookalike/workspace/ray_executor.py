"""Ray: tasks on shards spread over the machines of a cluster, and one function run in many processes of it.

Every machine sees the workspace under the same path and has this program installed. Tasks are the functions that one
machine runs as well, so the result is the same byte for byte; the task of a lost worker is run again elsewhere.
The only module that knows Ray.
"""

import contextlib
import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lookalike import errors
from lookalike.errors import LookalikeError, SettingsError, StateError
from lookalike.workspace.executor import Columns, Task
from lookalike.workspace.parallel import thread_count

# set before the import, which reads them: no usage statistics, and nothing of a lost worker in the terminal
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
try:
    import ray
except ImportError as error:
    raise SettingsError("Ray is not installed", "pip install 'lookalike[ray]', or leave --engine out") from error

MAX_TRIES = 3  # of a task or a worker
OBJECT_STORE_BYTES = 256 * 2**20  # of a cluster we start: tasks go out once, and only the heads of lists come back
WAIT_SECONDS = 12 * 3_600  # for the first process, which reads the log and evaluates alone


@dataclass(frozen=True)
class RayExecutor:
    """A running cluster at an address (`auto`, `HOST:6379`), or one of this machine's own cores."""

    address: str | None = None

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        """The result of the task for each number, in any order.

        Raises what the task raised when that is one of our errors, StateError when workers are lost again and again.
        """
        import torch  # its thread count decides the last digits of sums, so workers take this process's

        self.connect()
        reference = _TaskReference(ray.put(task), torch.get_num_threads())
        work = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        results = work.map_batches(
            _Worker,
            fn_constructor_args=(reference,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(len(numbers), self.processes)),
            max_restarts=MAX_TRIES,
            max_task_retries=MAX_TRIES,
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Ray reports lost workers there, which is for data only
                yield from results.iter_batches(batch_size=None, batch_format="numpy")
        except ray.exceptions.RayError as error:
            raise _original_error(error) from error

    def run_together(self, function: Callable[[], str | None], folder: str) -> str:
        """Runs `function` in one process for each CPU, joined in a process group; gives the text one of them returned."""
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        self.connect()
        # on one machine a local folder will do; on several it must be one that all of them see
        shared = None if self.address is None else folder
        with tempfile.TemporaryDirectory(dir=shared, prefix="ray-") as storage:
            outcome = _Outcome(Path(storage) / "outcome.json")
            trainer = TorchTrainer(
                _run_and_record,
                train_loop_config={"function": function, "outcome": outcome},
                torch_config=TorchConfig(backend="gloo", timeout_s=WAIT_SECONDS),
                scaling_config=ScalingConfig(num_workers=self.processes, use_gpu=False),
                run_config=RunConfig(name="lookalike", storage_path=storage),
            )
            try:
                trainer.fit()
            except (TrainingFailedError, ray.exceptions.RayError) as error:
                raise outcome.error() or StateError(
                    f"the work on the cluster failed: {_last_error_line(error)}", "see Ray's own logs"
                ) from error
            return outcome.text()

    @property
    def processes(self) -> int:
        """One for each CPU of the cluster."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1.0)))

    def connect(self) -> None:
        """Connects to the cluster, or starts one. Raises StateError when none can be reached."""
        options: dict[str, Any] = {"address": self.address} if self.address else {
            "address": "local", "num_cpus": thread_count(), "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }  # fmt: skip
        try:
            if not ray.is_initialized():
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = self.address or "this machine"
            raise StateError(
                f"no Ray cluster can be joined at {where}: {_last_error_line(error)}", "ray status"
            ) from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        for name in ("ray.data", "ray.train", "ray._common"):
            logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class _TaskReference:
    """Where a task is stored in the cluster, and the torch threads to run it on."""

    task: Any
    threads: int


class _Worker:
    """One process of the cluster. It fetches the task once."""

    def __init__(self, reference: _TaskReference) -> None:
        import torch

        self.task: Task = ray.get(reference.task)
        torch.set_num_threads(reference.threads)

    def __call__(self, batch: dict[str, Any]) -> Columns:
        with threadpool_limits(1, "blas"):
            parts = [self._run(int(number)) for number in batch["number"]]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, number: int) -> Columns:
        """Tries again when a shared file system fails."""
        for _ in range(MAX_TRIES):
            with contextlib.suppress(OSError):
                return self.task(number)
            time.sleep(1)
        return self.task(number)


@dataclass(frozen=True)
class _Outcome:
    """The file in which a process leaves its text, or the error that stopped it."""

    file: Path

    def record(self, text: str | None, error: LookalikeError | None = None) -> None:
        failure = [type(error).__name__, error.message, error.hint] if error else None
        self.file.write_text(json.dumps({"text": text, "error": failure}))

    def text(self) -> str:
        return str(json.loads(self.file.read_text())["text"])

    def error(self) -> LookalikeError | None:
        failure = json.loads(self.file.read_text())["error"] if self.file.exists() else None
        return getattr(errors, failure[0])(failure[1], failure[2]) if failure else None


def _run_and_record(config: dict[str, Any]) -> None:
    try:
        text = config["function"]()
    except LookalikeError as error:
        config["outcome"].record(None, error)
        raise
    if text is not None:
        config["outcome"].record(text)


def _original_error(error: BaseException) -> LookalikeError:
    """The error that a task raised when it is one of ours; else a StateError."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(cause := getattr(inner, "cause", None), LookalikeError):
            return cause
        if isinstance(inner, LookalikeError) and not isinstance(inner, ray.exceptions.RayError):
            return inner
        inner = inner.__cause__
    return StateError(f"a worker failed: {_last_error_line(error)}", "see Ray's own logs on the worker's machine")


def _last_error_line(error: BaseException) -> str:
    """The last line that names an error: Ray wraps errors, and the innermost comes last."""
    lines = [line.strip() for line in str(error).splitlines() if "Error" in line or "died" in line]
    return (lines or str(error).strip().splitlines() or [type(error).__name__])[-1][:300]

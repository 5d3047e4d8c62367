"""Threads of ours instead of torch's: those share every operation and wait for each other by spinning, and are up to eight
times slower when a core is busy. Ours share whole batches."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from lookalike.workspace.parallel import in_pool, thread_count, thread_pool

T = TypeVar("T")
R = TypeVar("R")


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Lets torch use one thread for each of ours."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class OwnThreads:
    """Computes items side by side, or one by one if there is a single thread."""

    threads: int

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The function's results in order, each computed by one thread."""
        if self.threads < 2:
            return [function(item) for item in items]
        return list(thread_pool().map(partial(_with_one_torch_thread, function), items))


def _with_one_torch_thread(function: Callable[[T], R], item: T) -> R:
    _keep_one_torch_thread()
    return function(item)


def _keep_one_torch_thread() -> None:
    """A thread of the pool that computed with torch before has kept the number of threads of that time."""
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)


@contextlib.contextmanager
def own_threads() -> Iterator[OwnThreads]:
    """As many threads as torch has, at most the cores; inside, torch has one. In a thread of the pool there is only that
    one, because the others may wait for it."""
    if in_pool():
        _keep_one_torch_thread()
        yield OwnThreads(1)
        return
    threads = min(torch.get_num_threads(), thread_count())
    with one_torch_thread():
        yield OwnThreads(threads)

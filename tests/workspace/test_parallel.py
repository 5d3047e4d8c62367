"""The number of threads: the process's cores, at most four."""

import os

import pytest

from lookalike.workspace.parallel import MAX_THREADS, thread_count, thread_pool


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 3), (4, 4), (64, 4)])
def test_threads_follow_the_cores_up_to_four(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert thread_count() == threads <= MAX_THREADS


def test_without_affinity_the_machines_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert thread_count() == 2


def test_the_pool_is_the_same_for_the_whole_process() -> None:
    assert thread_pool() is thread_pool()
    assert list(thread_pool().map(abs, [-1, 2])) == [1, 2]

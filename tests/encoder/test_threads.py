"""Threads of ours: results in order, one torch thread each, and no thread waits for others of its pool."""

import threading

import torch

from lookalike.encoder.threads import own_threads
from lookalike.workspace.parallel import thread_count, thread_pool


def test_results_are_in_order_and_torch_has_one_thread_in_each() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        list(thread_pool().map(lambda n: torch.ones(300, 300).sum(0), range(20)))  # the pool may have two, too
        with own_threads() as threads:
            assert threads.threads == min(2, thread_count())
            assert threads.map(lambda n: (n * n, torch.get_num_threads()), range(20)) == [(n * n, 1) for n in range(20)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_torch_with_one_thread_has_one_of_ours() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with own_threads() as threads:
            assert set(threads.map(lambda n: threading.current_thread(), range(3))) == {threading.current_thread()}
    finally:
        torch.set_num_threads(before)


def test_a_thread_of_the_pool_works_alone() -> None:
    def nested(number: int) -> bool:
        with own_threads() as threads:
            alone = set(threads.map(lambda n: threading.current_thread(), range(3))) == {threading.current_thread()}
            return alone and torch.get_num_threads() == 1

    assert all(thread_pool().map(nested, range(8)))

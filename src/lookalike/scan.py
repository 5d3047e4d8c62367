"""Everybody past the scorers, once, and the exact first of them for each."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike import evaluation
from lookalike.embeddings import Representation, check_finite
from lookalike.orders import Score
from lookalike.ranking import Ranked, TopN

Rows = NDArray[np.int64]
TILE = 4_096  # users scored at once; part of the result's definition only in so far as it never changes it


@dataclass(frozen=True)
class Wanted:
    """A list to be made: the scorer, how many, and the ascending rows that must not stand on it."""

    score: Score
    size: int
    left_out: Rows


def rank(representation: Representation, wanted: list[Wanted], on_users: Callable[[int], None]) -> list[Ranked]:
    """For each list the exact first `size` of all users but those left out."""
    found = []
    for one in wanted:
        top = TopN(one.size)
        for first, scores, ties in _scored(representation, one.score):
            rows = np.arange(first, first + len(scores))
            if (there := within(rows, one.left_out)).any():
                rows, scores, ties = rows[~there], scores[~there], ties[~there]
            top.add(scores, ties, rows)
            on_users(first + len(rows))
        found.append(top.result())
    return found


def _scored(
    representation: Representation, score: Score
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.uint64]]]:
    """Scores of all users in order. Tiles are fixed and each is one thread's, so threads cannot change a sum."""

    kept = threading.local()  # a thread's tile is used again: fresh memory costs as much as the sums

    def one(blocks: list[NDArray[np.float16]]) -> NDArray[np.float64]:
        if not hasattr(kept, "tile"):
            kept.tile = np.zeros((TILE, representation.width))
        tile: NDArray[np.float64] = (
            kept.tile
        )  # scored whole, also when its end is stale: the same sums for the same user
        rows, at = len(blocks[0]), 0
        for block in blocks:
            tile[:rows, at : at + block.shape[1]] = block
            at += block.shape[1]
        scores = score(tile)[:rows]
        check_finite(scores, representation.folder)
        return scores

    threads = evaluation.workers()  # BLAS itself stays on one thread, as the caller has set it
    waiting: deque[tuple[int, Future[NDArray[np.float64]], NDArray[np.uint64]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for first, blocks, ties in representation.stream(TILE):
            waiting.append((first, pool.submit(one, blocks), ties))
            if len(waiting) > 2 * threads:
                at, future, tied = waiting.popleft()
                yield at, future.result(), tied
        while waiting:
            at, future, tied = waiting.popleft()
            yield at, future.result(), tied


def within(rows: Rows, ascending: Rows) -> NDArray[np.bool_]:
    """Which rows stand in an ascending list."""
    if not len(ascending):
        return np.zeros(len(rows), bool)
    at = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == rows
    return found

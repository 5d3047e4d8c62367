"""Everybody past the scorers, once, and the exact first of them for each.

A linear scorer looks at nearly everybody in single precision only: who surely stays below the list's end is not scored
exactly (`sieve`). Where that end is, a sample guesses before, a little too low; if it was too high after all, fewer come
out than were asked for, and the list is made again without a guess. So neither the sample nor threads nor steps decide
who is listed or in which order. Any other scorer scores everybody, in tiles of one size, for its sums may hang on that.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows, is_member
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation, check_finite, not_finite_error
from lookalike.expansion.ranking import prefilter
from lookalike.expansion.ranking.prefilter import ComputeSums, Halves, Prefilter, Survivors
from lookalike.expansion.ranking.top_k import Ranking, TopN
from lookalike.expansion.scorers import Selected, columns_read
from lookalike.expansion.scorers.logistic import Linear
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.workspace import parallel
from lookalike.workspace.executor import Columns, Executor

USERS_PER_STEP = 65_536  # users that a thread takes at once


MIN_SHARED_SUMS = 50_000_000  # sums (users times lists) that are worth the second in which torch is imported


TILE_USERS = 4_096  # users that a scorer which is not linear is given at once


WIDEN_USERS = 1_024  # users made doubles at once: more would not stay in the cache of one core


SAMPLE_USERS, SAMPLE_RUN = (
    16_384,
    128,
)  # users by whom the end of a list is guessed, and how many of them stand together


@dataclass(frozen=True)
class RankingRequest:
    """A list to be made: the scorer, how many, and the ascending rows that must not stand on it."""

    score: Score
    size: int
    left_out: Rows


@dataclass(frozen=True)
class _Reader:
    """What a scorer reads. `linear` is a linear one's own sum over `columns`, counted among those of its blocks."""

    wanted: RankingRequest
    spans: dict[str, tuple[int, int]]  # of the blocks that are read, among all columns
    columns: NDArray[np.int64]
    linear: Linear | None
    sieve: Prefilter | None

    @cached_property
    def whole(self) -> bool:
        """Whether a linear scorer reads all columns of its blocks, in their order."""
        width = sum(last - first for first, last in self.spans.values())
        return np.array_equal(self.columns, np.arange(width))


@dataclass
class _Candidates:
    """Users who may be listed, ascending."""

    rows: Rows
    scores: Floats
    ties: NDArray[np.uint64]


def rank(
    representation: Representation, wanted: Sequence[RankingRequest], on_users: Callable[[int], None]
) -> list[Ranking]:
    """For each list the exact first `size` of all users but those left out, all in one reading.

    Raises StateError where a block that is read holds figures that are no numbers.
    """
    readers = [_reader(representation, one) for one in wanted]
    starts = [_guess_threshold(representation, one) for one in readers]
    found = _rank(representation, readers, starts, on_users)
    short = [
        at
        for at, (one, start) in enumerate(zip(wanted, starts, strict=True))
        if start > -np.inf and len(found[at].rows) < one.size
    ]
    if short:
        whole = _rank(representation, [readers[at] for at in short], [-np.inf] * len(short), on_users)
        for at, ranked in zip(short, whole, strict=True):
            found[at] = ranked
    return found


def rank_by(
    engine: Executor, representation: Representation, wanted: Sequence[RankingRequest], on_users: Callable[[int], None]
) -> list[Ranking]:
    """The same lists as `rank`, each shard ranked by an engine and their heads merged here."""
    starts = [_guess_threshold(representation, _reader(representation, one)) for one in wanted]
    found = _merged(engine, _Pass(representation, wanted, starts), on_users)
    short = [
        at
        for at, (one, start) in enumerate(zip(wanted, starts, strict=True))
        if start > -np.inf and len(found[at].rows) < one.size
    ]
    if short:
        again = _Pass(representation, [wanted[at] for at in short], [-np.inf] * len(short))
        for at, ranked in zip(short, _merged(engine, again, on_users), strict=True):
            found[at] = ranked
    return found


SHARD_DONE = -1  # stands for a list in the row that says a shard was done


@dataclass(frozen=True)
class _Pass:
    """What a process needs to rank the users of one shard."""

    representation: Representation
    wanted: Sequence[RankingRequest]
    starts: Sequence[float]

    def shard(self, number: int) -> Columns:
        """`list`, `row` and `score` of the shard's first users for each list; one more row tells that the shard was done."""
        live = replace(self.representation, only=number)
        ranked = _rank(live, [_reader(live, one) for one in self.wanted], self.starts, lambda done: None)
        lists = [np.full(len(one.rows), at) for at, one in enumerate(ranked)]
        return {
            "list": np.concatenate([*lists, [SHARD_DONE]]).astype(np.int64),
            "row": np.concatenate([*(one.rows for one in ranked), [number]]).astype(np.int64),
            "score": np.concatenate([*(one.scores for one in ranked), [0.0]]),
        }


def _merged(engine: Executor, work: _Pass, on_users: Callable[[int], None]) -> list[Ranking]:
    tops = [TopN(one.size) for one in work.wanted]
    sizes, seen = work.representation.manifest.shards, 0
    for part in engine.each(work.shard, range(len(sizes))):
        for at, top in enumerate(tops):
            mine = np.flatnonzero(part["list"] == at)
            mine = mine[np.argsort(part["row"][mine])]
            rows = part["row"][mine]
            top.add(part["score"][mine], work.representation.ties(rows), rows)
        done = part["row"][part["list"] == SHARD_DONE]
        on_users(seen := seen + sum(sizes[number] for number in done))
    return [top.result() for top in tops]


def _reader(representation: Representation, wanted: RankingRequest) -> _Reader:
    score = wanted.score
    read = columns_read(score, representation.layout.width)
    spans = {
        block: (first, last)
        for block, (first, last) in representation.layout.spans.items()
        if ((first <= read) & (read < last)).any()
    }
    inner = score.score if isinstance(score, Selected) else score
    if not isinstance(inner, Linear):
        return _Reader(wanted, spans, read, None, None)
    columns = score.columns if isinstance(score, Selected) else read
    there = np.concatenate([np.arange(first, last) for first, last in spans.values()])
    return _Reader(wanted, spans, np.searchsorted(there, columns), inner, Prefilter.of(inner, columns, spans))


def _guess_threshold(representation: Representation, reader: _Reader) -> float:
    """A score that surely more users reach than are asked for, unless the sample is an odd one; -inf for no guess."""
    wanted, users = reader.wanted, representation.users
    if reader.sieve is None or users < 4 * SAMPLE_USERS:
        return -np.inf
    rows = (
        np.linspace(0, users - SAMPLE_RUN, SAMPLE_USERS // SAMPLE_RUN).astype(np.int64)[:, None] + np.arange(SAMPLE_RUN)
    ).ravel()
    rows = rows[~is_member(rows, wanted.left_out)]
    expected = len(rows) * wanted.size / max(1, users - len(wanted.left_out))
    place = int(1.05 * expected + 5 * expected**0.5) + 10
    if place > 2 * len(rows) // 3:  # to sift nearly everybody in costs more than to score all
        return -np.inf
    raw = representation.raw(rows, tuple(reader.spans))
    with np.errstate(invalid="ignore", over="ignore"):
        scores = _exact(reader, raw, np.arange(len(rows)), np.empty(WIDEN_USERS * len(reader.columns)))
    return float(np.partition(scores, len(scores) - place)[len(scores) - place])


def _rank(
    representation: Representation,
    readers: Sequence[_Reader],
    starts: Sequence[float],
    on_users: Callable[[int], None],
) -> list[Ranking]:
    tops = [TopN(one.wanted.size, start) for one, start in zip(readers, starts, strict=True)]
    for last, found in _found(representation, readers, tops):
        for top, one in zip(tops, found, strict=True):
            top.add(one.scores, one.ties, one.rows)
        on_users(last)
    return [top.result() for top in tops]


def _found(
    representation: Representation, readers: Sequence[_Reader], tops: Sequence[TopN]
) -> Iterator[tuple[int, list[_Candidates]]]:
    """How many users were seen, and who of the last of them may be on each list; in order, read ahead by threads."""
    blocks = tuple(block for block in BLOCKS if any(block in one.spans for one in readers))
    sieves = [one.sieve for one in readers if one.sieve]
    together = len(sieves) > 2 and len(sieves) * representation.users > MIN_SHARED_SUMS
    spare = _ThreadBuffers(representation.layout.width, sieves, together)

    def one(first: int, read: dict[str, Halves], ties: NDArray[np.uint64]) -> tuple[int, list[_Candidates]]:
        largest = representation.largest(first, blocks)
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number is refused, not warned of
            places = _scored(representation, readers, [top.threshold for top in tops], (read, largest), spare)
        found = []
        for reader, (at, scores) in zip(readers, places, strict=True):
            rows = first + at
            if (there := is_member(rows, reader.wanted.left_out)).any():
                at, rows, scores = at[~there], rows[~there], scores[~there]
            found.append(_Candidates(rows, scores, ties[at]))
        return first + len(ties), found

    threads = parallel.thread_count()  # BLAS itself stays on one thread, as the caller has set it
    waiting: deque[Future[tuple[int, list[_Candidates]]]] = deque()
    alone = prefilter.torch_on_one_thread() if together else contextlib.nullcontext()
    with alone, ThreadPoolExecutor(threads) as pool:
        for first, read, ties in representation.stream(USERS_PER_STEP, blocks):
            waiting.append(pool.submit(one, first, dict(zip(blocks, read, strict=True)), ties))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _ThreadBuffers(threading.local):
    """What a thread uses again: fresh memory costs as much as the sums."""

    def __init__(self, width: int, sieves: Sequence[Prefilter], together: bool) -> None:
        self.width, self.sieves, self.together = width, sieves, together

    @cached_property  # of each thread that asks, and not of the one that hands out the work
    def tile(self) -> Floats:
        return np.zeros((TILE_USERS, self.width))

    @cached_property
    def sums(self) -> ComputeSums:
        return prefilter.sums_for(self.sieves, self.together)


def _scored(
    representation: Representation,
    readers: Sequence[_Reader],
    thresholds: Sequence[float],
    read: tuple[dict[str, Halves], dict[str, float]],
    spare: _ThreadBuffers,
) -> list[tuple[Rows, Floats]]:
    """For each reader the places and the exact scores of all who may reach its threshold."""
    blocks, _ = read
    sieves = [(one.sieve, above) for one, above in zip(readers, thresholds, strict=True) if one.sieve]
    # without a threshold everybody is scored exactly, and looked at by that
    looked = any(above > -np.inf for _, above in sieves)
    sifted = iter(_sifted(representation, sieves, spare.sums, read) if looked else [])
    found = []
    for reader in readers:
        if reader.sieve and looked:
            may = next(sifted)
            at, scores = may.places, _exact(reader, blocks, may.places, spare.tile)
            reader.sieve.check(scores, may)
        else:
            at = np.arange(len(next(iter(blocks.values()))))
            scores = (_exact if reader.linear else _any)(reader, blocks, at, spare.tile)
        check_finite(scores, representation.folder)
        found.append((at, scores))
    return found


def _sifted(
    representation: Representation,
    sieves: list[tuple[Prefilter, float]],
    sums: ComputeSums,
    read: tuple[dict[str, Halves], dict[str, float]],
) -> list[Survivors]:
    """Who of the users may reach each sieve's threshold. Raises StateError where a figure that is read is no number."""
    blocks = {block: halves for block, halves in read[0].items() if any(block in one.weights for one, _ in sieves)}
    try:
        return prefilter.apply_prefilters(sieves, sums, blocks, read[1])
    except FloatingPointError as error:
        raise not_finite_error(representation.folder) from error


def _exact(reader: _Reader, blocks: dict[str, Halves], at: Rows, tile: Floats) -> Floats:
    """A linear scorer's scores of some users."""
    assert reader.linear
    scores, width = np.empty(len(at)), len(reader.columns)
    doubles = tile.reshape(-1)[: WIDEN_USERS * width].reshape(WIDEN_USERS, width)
    for first in range(0, len(at), WIDEN_USERS):
        some = at[first : first + WIDEN_USERS]
        rows = [blocks[block].take(some, axis=0) for block in reader.spans]
        row = doubles[: len(some)]
        if reader.whole:
            np.concatenate(rows, axis=1, out=row)
        else:
            row[:] = np.concatenate(rows, axis=1).take(reader.columns, axis=1)
        scores[first : first + len(some)] = reader.linear(row)
    return scores


def _any(reader: _Reader, blocks: dict[str, Halves], at: Rows, tile: Floats) -> Floats:
    """Any scorer's scores of all users of the blocks, by whole tiles, also where a tile's end is stale or not read."""
    users = len(next(iter(blocks.values())))
    scores = []
    for first in range(0, users, len(tile)):
        for block, (low, high) in reader.spans.items():
            part = blocks[block][first : first + len(tile)]
            tile[: len(part), low:high] = part
        scores.append(reader.wanted.score(tile)[: users - first])
    return np.concatenate(scores)

"""One pass over the stored blocks that offers all users to several lists, read ahead by threads."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lookalike.data.arrays import Floats, Rows, is_member
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation, check_finite, not_finite_error
from lookalike.expansion.ranking import half_sums, score_readers
from lookalike.expansion.ranking.half_sums import BlockWeights, ComputeSums
from lookalike.expansion.ranking.prefilter import Survivors, apply_prefilters
from lookalike.expansion.ranking.score_readers import Blocks, LinearReader, ScoreReader
from lookalike.expansion.ranking.top_k import TieHashes, TopK
from lookalike.workspace.parallel import thread_count

USERS_PER_STEP = 65_536  # users that a thread takes at once
MIN_SHARED_SUMS = 50_000_000  # sums (users times lists) that are worth the second that importing torch takes

Candidates = tuple[Floats, TieHashes, Rows]  # scores, hashes and rows of users, as TopK.add takes them


@dataclass(frozen=True)
class PartialList:
    """A list that is being made: how its score is read, who must not be on it, and the first users so far."""

    reader: ScoreReader
    excluded: Rows  # ascending
    top: TopK


def offer_all_users(
    representation: Representation, lists: Sequence[PartialList], on_users: Callable[[int], None]
) -> None:
    """Offers every user to every list. Raises StateError when a block that is read has NaN or infinite values."""
    blocks = tuple(block for block in BLOCKS if any(block in partial.reader.spans for partial in lists))
    step_scorer = _StepScorer(representation, lists)
    pending: deque[Future[_ScoredStep]] = deque()

    def collect() -> None:
        step = pending.popleft().result()
        for partial, candidates in zip(lists, step.candidates, strict=True):
            partial.top.add(*candidates)
        on_users(step.users)

    threads = thread_count()  # BLAS itself stays on one thread, which the caller sees to
    with step_scorer.torch_threads(), ThreadPoolExecutor(threads) as pool:
        for first, halves, ties in representation.stream(USERS_PER_STEP, blocks):
            step = _Step(first, dict(zip(blocks, halves, strict=True)), ties)
            pending.append(pool.submit(step_scorer.score, step))
            if len(pending) > 2 * threads:
                collect()
        while pending:
            collect()


@dataclass(frozen=True)
class _Step:
    """Users that are read together."""

    first: int  # the row of the first
    blocks: Blocks
    ties: TieHashes  # [n]


@dataclass(frozen=True)
class _ScoredStep:
    users: int  # from the first row of all to the last of the step
    candidates: list[Candidates]  # of each list


class _StepScorer:
    """Finds the users of a step who may be on each list, in any thread."""

    def __init__(self, representation: Representation, lists: Sequence[PartialList]) -> None:
        weights = [partial.reader.prefilter.weights for partial in lists if partial.reader.prefilter]
        self.representation, self.lists = representation, lists
        self.shared_sums = len(weights) > 2 and len(weights) * representation.users > MIN_SHARED_SUMS
        self.buffers = _ThreadBuffers(representation.layout.width, weights, self.shared_sums)

    def torch_threads(self) -> contextlib.AbstractContextManager[None]:
        return half_sums.torch_on_one_thread() if self.shared_sums else contextlib.nullcontext()

    def score(self, step: _Step) -> _ScoredStep:
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite raise StateError instead
            survivors = self._survivors(step)
            candidates = [
                self._candidates(step, partial, passed) for partial, passed in zip(self.lists, survivors, strict=True)
            ]
        return _ScoredStep(step.first + len(step.ties), candidates)

    def _survivors(self, step: _Step) -> list[Survivors | None]:
        """For each list who passes its prefilter; None where all users have to be scored exactly."""
        prefilters = {
            number: (partial.reader.prefilter, partial.top.threshold)
            for number, partial in enumerate(self.lists)
            if partial.reader.prefilter
        }
        if not any(threshold > -np.inf for _, threshold in prefilters.values()):
            return [None] * len(self.lists)
        read = {block for prefilter, _ in prefilters.values() for block in prefilter.weights}
        blocks = {block: halves for block, halves in step.blocks.items() if block in read}
        max_abs = self.representation.largest(step.first, tuple(blocks))
        try:
            survivors = apply_prefilters(list(prefilters.values()), self.buffers.compute_sums, blocks, max_abs)
        except FloatingPointError as error:
            raise not_finite_error(self.representation.folder) from error
        by_number = dict(zip(prefilters, survivors, strict=True))
        return [by_number.get(number) for number in range(len(self.lists))]

    def _candidates(self, step: _Step, partial: PartialList, survivors: Survivors | None) -> Candidates:
        """The users who may be on a list, with their exact scores."""
        reader = partial.reader
        if survivors is None:
            places, scores = np.arange(len(step.ties)), reader.all_scores(step.blocks, self.buffers.tile)
        else:
            assert isinstance(reader, LinearReader)
            assert reader.prefilter
            places, scores = survivors.places, reader.scores(step.blocks, survivors.places, self.buffers.tile)
            reader.prefilter.check(scores, survivors)
        check_finite(scores, self.representation.folder)
        rows = step.first + places
        excluded = is_member(rows, partial.excluded)
        if excluded.any():
            places, rows, scores = places[~excluded], rows[~excluded], scores[~excluded]
        return scores, step.ties[places], rows


class _ThreadBuffers(threading.local):
    """What each thread uses again from step to step: fresh memory costs as much time as the sums."""

    def __init__(self, width: int, weights: Sequence[BlockWeights], shared_sums: bool) -> None:
        self.width, self.weights, self.shared_sums = width, weights, shared_sums

    @cached_property  # made by the thread that asks, not by the one that hands out the work
    def tile(self) -> Floats:
        return np.zeros((score_readers.TILE_USERS, self.width))

    @cached_property
    def compute_sums(self) -> ComputeSums:
        return half_sums.sums_for(self.weights, self.shared_sums)

"""Ranks all users: the exact first of them for each of several requests, in one pass over the stored blocks.

A linear score looks at nearly all users in single precision only: those who cannot reach the last score on the list are
not scored exactly (`prefilter`). That last score is guessed from a sample, a little too low (`threshold`). If the guess is
too high after all, fewer users come out than requested, and the list is made again without a guess. So neither the sample
nor threads nor steps decide who is listed or in which order. Other scores are computed for all users (`score_readers`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Rows
from lookalike.embeddings.representation import Representation
from lookalike.expansion.ranking.block_pass import PartialList, offer_all_users
from lookalike.expansion.ranking.score_readers import reader_of
from lookalike.expansion.ranking.threshold import NO_GUESS, guess_threshold
from lookalike.expansion.ranking.top_k import Ranking, TopK
from lookalike.expansion.scorers import Score
from lookalike.workspace.executor import Columns, Executor

SHARD_DONE = -1  # in place of a list's number, in the row that reports a finished shard


@dataclass(frozen=True)
class RankingRequest:
    """A list to make."""

    score: Score
    size: int
    excluded: Rows  # ascending rows of users who must not be listed


def rank(
    representation: Representation,
    requests: Sequence[RankingRequest],
    on_users: Callable[[int], None],
    executor: Executor | None = None,
) -> list[Ranking]:
    """For each request the exact first `size` of all users who are not excluded.

    With an executor each shard is ranked by it and the results are merged here, to the same lists. Raises StateError
    when a block that is read has NaN or infinite values.
    """
    thresholds = [_guess(representation, request) for request in requests]
    rankings = _Pass(representation, requests, thresholds).run(on_users, executor)
    short = [
        number
        for number, (request, threshold) in enumerate(zip(requests, thresholds, strict=True))
        if threshold > NO_GUESS and len(rankings[number].rows) < request.size
    ]
    if short:
        again = _Pass(representation, [requests[number] for number in short], [NO_GUESS] * len(short))
        for number, ranking in zip(short, again.run(on_users, executor), strict=True):
            rankings[number] = ranking
    return rankings


def _guess(representation: Representation, request: RankingRequest) -> float:
    reader = reader_of(request.score, representation)
    return guess_threshold(representation, reader, request.size, request.excluded)


@dataclass(frozen=True)
class _Pass:
    """One pass over all users. Any process that sees the stored files can do one shard of it."""

    representation: Representation
    requests: Sequence[RankingRequest]
    thresholds: Sequence[float]

    def run(self, on_users: Callable[[int], None], executor: Executor | None) -> list[Ranking]:
        return self._rank_here(on_users) if executor is None else self._rank_by(executor, on_users)

    def rank_shard(self, shard: int) -> Columns:
        """`list`, `row` and `score` of a shard's first users for each list, and a last row that reports the shard."""
        limited = replace(self, representation=replace(self.representation, only=shard))
        rankings = limited._rank_here(lambda users: None)
        lists = [np.full(len(ranking.rows), number) for number, ranking in enumerate(rankings)]
        return {
            "list": np.concatenate([*lists, [SHARD_DONE]]).astype(np.int64),
            "row": np.concatenate([*(ranking.rows for ranking in rankings), [shard]]).astype(np.int64),
            "score": np.concatenate([*(ranking.scores for ranking in rankings), [0.0]]),
        }

    def _rank_here(self, on_users: Callable[[int], None]) -> list[Ranking]:
        lists = [
            PartialList(reader_of(request.score, self.representation), request.excluded, TopK(request.size, threshold))
            for request, threshold in zip(self.requests, self.thresholds, strict=True)
        ]
        offer_all_users(self.representation, lists, on_users)
        return [partial.top.result() for partial in lists]

    def _rank_by(self, executor: Executor, on_users: Callable[[int], None]) -> list[Ranking]:
        """The lists made from those of the shards, which the executor returns in any order and perhaps joined."""
        tops = [TopK(request.size) for request in self.requests]
        shard_users, users = self.representation.manifest.shards, 0
        for part in executor.each(self.rank_shard, range(len(shard_users))):
            for number, top in enumerate(tops):
                places = np.flatnonzero(part["list"] == number)
                places = places[np.argsort(part["row"][places])]
                rows = part["row"][places]
                top.add(part["score"][places], self.representation.ties(rows), rows)
            finished = part["row"][part["list"] == SHARD_DONE]
            on_users(users := users + sum(shard_users[shard] for shard in finished))
        return [top.result() for top in tops]

"""The exact first k of any number of scored users, in memory that grows with k only.

Order: higher score first; equal scores by the hash of the user id, lower first; equal hashes by row. Neither the size of
a block, nor the number of threads, nor the order of arrival matters.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows

MIN_BUFFERED = 65_536

TieHashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Ranking:
    """User rows in order, and their scores, descending."""

    scores: Floats  # [n]
    rows: Rows  # [n]


@dataclass
class TopK:
    """Keeps the first k. A running threshold rejects most users with one comparison.

    `threshold` may start at a score that at least k users are known or guessed to reach. Where the guess is too high,
    fewer than k come out, and those are right.
    """

    k: int
    threshold: float = -np.inf
    _kept: list[tuple[Floats, TieHashes, Rows]] = field(default_factory=list)
    _buffered: int = 0

    def add(self, scores: Floats, ties: TieHashes, rows: Rows) -> None:
        """Offers users [n]. The scores must not be NaN."""
        passed = scores >= self.threshold
        if not passed.all():
            scores, ties, rows = scores[passed], ties[passed], rows[passed]
        self._kept.append((scores, ties, rows))
        self._buffered += len(scores)
        if self._buffered > 2 * self.k + MIN_BUFFERED:
            self._shrink()

    def result(self) -> Ranking:
        """The first k of all users offered, in order."""
        if not self._kept:
            return Ranking(np.zeros(0), np.zeros(0, np.int64))
        scores, ties, rows = self._merged()
        if len(scores) > self.k:
            kept = np.flatnonzero(scores >= self._kth_score(scores))
            scores, ties, rows = scores[kept], ties[kept], rows[kept]
        order = np.argsort(-scores)
        descending = scores[order]
        _sort_tied_users(order, descending, ties, rows)
        return Ranking(descending[: self.k], rows[order[: self.k]])

    def _shrink(self) -> None:
        """Keeps all users above the k-th score, and of those equal to it the first by hash; raises the threshold to it."""
        scores, ties, rows = self._merged()
        if len(scores) > self.k:
            kth = self._kth_score(scores)
            above, equal = np.flatnonzero(scores > kth), np.flatnonzero(scores == kth)
            order = np.lexsort((rows[equal], ties[equal]))
            kept = np.concatenate([above, equal[order[: self.k - len(above)]]])
            scores, ties, rows = scores[kept], ties[kept], rows[kept]
            self.threshold = float(kth)
        self._kept, self._buffered = [(scores, ties, rows)], len(scores)

    def _merged(self) -> tuple[Floats, TieHashes, Rows]:
        scores, ties, rows = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        return scores, ties, rows

    def _kth_score(self, scores: Floats) -> np.float64:
        kth: np.float64 = np.partition(scores, len(scores) - self.k)[len(scores) - self.k]
        return kth


def _sort_tied_users(order: Rows, descending: Floats, ties: TieHashes, rows: Rows) -> None:
    """Sorts users with equal scores by hash and row, in place in `order`.

    To sort all users by three keys at once would take ten times as long as by score alone.
    """
    equal = descending[1:] == descending[:-1]
    if equal.any():
        places = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        users = order[places]
        order[places] = users[np.lexsort((rows[users], ties[users], -descending[places]))]

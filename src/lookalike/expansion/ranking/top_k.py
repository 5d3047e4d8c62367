"""The exact first n of any number of scored users, in memory that follows n.

Order: higher score first; equal scores by the hash of the user id, lower first; equal hashes by row. Nothing else counts:
not the size of a block, not the number of threads, not who came first.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranking:
    """Floats descending, and the user rows they belong to."""

    scores: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass
class TopN:
    """Keeps the first n. A running threshold turns most rows away with one comparison.

    `threshold` may be set from the start, to what at least n rows are known or guessed to reach: rows below are turned
    away, so where a guess was too high fewer than n come out, and all of them are right.
    """

    n: int
    threshold: float = -np.inf
    _kept: list[tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[np.int64]]] = field(default_factory=list)
    _waiting: int = 0

    def add(self, scores: NDArray[np.float64], ties: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
        """Offers a block [m]. Floats are numbers; NaN is for the caller to refuse."""
        good = scores >= self.threshold
        if not good.all():
            scores, ties, rows = scores[good], ties[good], rows[good]
        self._kept.append((scores, ties, rows))
        self._waiting += len(scores)
        if self._waiting > 2 * self.n + 65_536:
            self._settle()

    def _settle(self) -> None:
        scores, ties, rows = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        if len(scores) > self.n:
            # all above the n-th score, and of its equals the first by hash
            border = np.partition(scores, len(scores) - self.n)[len(scores) - self.n]
            above, equal = np.flatnonzero(scores > border), np.flatnonzero(scores == border)
            order = np.lexsort((rows[equal], ties[equal]))
            keep = np.concatenate([above, equal[order[: self.n - len(above)]]])
            scores, ties, rows = scores[keep], ties[keep], rows[keep]
            self.threshold = float(border)
        self._kept, self._waiting = [(scores, ties, rows)], len(scores)

    def result(self) -> Ranking:
        if not self._kept:
            return Ranking(np.zeros(0), np.zeros(0, np.int64))
        scores, ties, rows = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        if len(scores) > self.n:
            keep = np.flatnonzero(scores >= np.partition(scores, len(scores) - self.n)[len(scores) - self.n])
            scores, ties, rows = scores[keep], ties[keep], rows[keep]
        order = np.argsort(-scores)  # equals in any order: three keys take ten times as long as one
        scores = scores[order]
        equal = scores[1:] == scores[:-1]
        if equal.any():
            at = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
            some = order[at]
            order[at] = some[np.lexsort((rows[some], ties[some], -scores[at]))]
        return Ranking(scores[: self.n], rows[order[: self.n]])

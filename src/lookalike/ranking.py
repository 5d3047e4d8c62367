"""The exact first n of any number of scored users, in memory that follows n.

Order: higher score first; equal scores by the hash of the user id, lower first; equal hashes by row. Nothing else counts:
not the size of a block, not the number of threads, not who came first.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranked:
    """Scores descending, and the user rows they belong to."""

    scores: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass
class TopN:
    """Keeps the first n. A running threshold turns most rows away with one comparison."""

    n: int
    _kept: list[tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[np.int64]]] = field(default_factory=list)
    _waiting: int = 0
    _threshold: float = -np.inf

    def add(self, scores: NDArray[np.float64], ties: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
        """Offers a block [m]. Scores are numbers; NaN is for the caller to refuse."""
        good = scores >= self._threshold
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
            self._threshold = float(border)
        self._kept, self._waiting = [(scores, ties, rows)], len(scores)

    def result(self) -> Ranked:
        if not self._kept:
            return Ranked(np.zeros(0), np.zeros(0, np.int64))
        self._settle()
        scores, ties, rows = self._kept[0]
        order = np.lexsort((rows, ties, -scores))
        return Ranked(scores[order], rows[order])

"""Orders made of other orders: the average of several, and one that keeps the shares of a seed's sub-audiences.

Both are scores themselves, so that they stream, are held out, and stay exact as any scorer does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Matrix

Score = Callable[[Matrix], Floats]


@dataclass(frozen=True)
class RankAverage:
    """Weighted mean of the members' places in the background's order, 0 to 1; beyond its ends the place goes on growing.

    The background stands in for the whole population, which lets a rank be known without seeing every candidate.
    """

    members: tuple[Score, ...]
    knots: tuple[Floats, ...]  # the members' scores at even places of the background
    weights: Floats  # of the members, 1 together

    @classmethod
    def of(cls, members: tuple[Score, ...], background: Matrix, weights: Floats) -> "RankAverage":
        places = np.linspace(0, 1, 513)
        return cls(members, tuple(np.quantile(member(background), places) for member in members), weights)

    def __call__(self, block: Matrix) -> Floats:
        places = [
            _place(member(block), knots, np.linspace(0, 1, len(knots)))
            for member, knots in zip(self.members, self.knots, strict=True)
        ]
        return cast(Floats, np.average(places, axis=0, weights=self.weights))


def _place(scores: Floats, knots: Floats, places: Floats) -> Floats:
    """Where scores stand among the knots, whose places are known; beyond the ends the place goes on growing."""
    spread = max(float(knots[-1] - knots[0]), 1e-12)
    beyond = np.maximum(scores - knots[-1], 0) + np.minimum(scores - knots[0], 0)
    return cast(Floats, np.interp(scores, knots, places) + beyond / spread)


def _middles(scores: Floats) -> tuple[Floats, Floats]:
    """The different scores, ascending, and the middle place, from 0 to 1, of those who have each."""
    knots, counts = np.unique(scores, return_counts=True)
    return knots, (np.cumsum(counts) - counts / 2) / len(scores)


@dataclass(frozen=True)
class Balanced:
    """An order whose first n hold of each sub-audience what the seed does, for every n.

    Somebody belongs to the sub-audience with the nearest centre. Their score is minus the size at which a balanced list
    comes to them: the share of that sub-audience's crowd before them, times its share of the crowd / of the seed.
    """

    score: Score
    columns: NDArray[np.int64]  # of the vectors
    centres: Floats  # [G, D]
    knots: tuple[tuple[Floats, Floats], ...]  # of each sub-audience, its crowd's scores, ascending, and their places
    factor: Floats  # [G]

    @classmethod
    def of(
        cls, score: Score, scores: Floats, vectors: tuple[Matrix, list[Matrix]], columns: NDArray[np.int64]
    ) -> "Balanced":
        """`scores` [P] are a crowd's without the seed, `vectors` those of the crowd and of each sub-audience of the seed."""
        background, groups = vectors
        centres = cluster_centres(groups)
        near = nearest_centre(background, centres)
        crowd = np.bincount(near, minlength=len(groups)) + 1
        knots = tuple(_middles(scores[near == one] if crowd[one] > 2 else scores) for one in range(len(groups)))
        sizes = np.array([len(group) for group in groups])
        return cls(score, columns, centres, knots, crowd / crowd.sum() / (sizes / sizes.sum()))

    def __call__(self, block: Matrix) -> Floats:
        near, scores = nearest_centre(block[:, self.columns], self.centres), self.score(block)
        found = np.empty(len(block))
        for one, knots in enumerate(self.knots):
            found[near == one] = self.factor[one] * (_place(scores[near == one], *knots) - 1)
        return found


def cluster_centres(groups: list[Matrix]) -> Floats:
    """The mean of each group's unit vectors, made unit length again, [G, D]."""
    means = np.stack([group.mean(axis=0, dtype=np.float64) for group in groups])
    centres: Floats = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return centres


def nearest_centre(vectors: Matrix, centres: Floats) -> NDArray[np.int64]:
    """Which of the unit vectors `centres` [G, D] each row is most alike, [n]."""
    found: NDArray[np.int64] = np.argmax(vectors @ centres.T, axis=1)
    return found

"""Scores made from other scores: the average of their rankings, and one that keeps the shares of sub-audiences.

Both are scores themselves: they are computed block by block, held out and ranked exactly like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.expansion.clustering import cluster_centres, nearest_centre

Score = Callable[[Matrix], Floats]  # columns of users [B, W] -> scores [B]; higher is more similar to the seed

KNOTS = 513


@dataclass(frozen=True)
class RankAverage:
    """Weighted mean of the members' quantiles in the background, 0 to 1, extrapolated linearly beyond its ends.

    The background stands for the population, so a user's rank is known without scoring all candidates.
    """

    members: tuple[Score, ...]
    knots: tuple[Floats, ...]  # of each member, the background's scores at evenly spaced quantiles
    weights: Floats  # of the members, with sum 1

    @classmethod
    def of(cls, members: tuple[Score, ...], background: Matrix, weights: Floats) -> "RankAverage":
        quantiles = np.linspace(0, 1, KNOTS)
        return cls(members, tuple(np.quantile(member(background), quantiles) for member in members), weights)

    def __call__(self, block: Matrix) -> Floats:
        quantiles = [
            _quantile(member(block), knots, np.linspace(0, 1, len(knots)))
            for member, knots in zip(self.members, self.knots, strict=True)
        ]
        return cast(Floats, np.average(quantiles, axis=0, weights=self.weights))


@dataclass(frozen=True)
class Balanced:
    """A score whose first n users contain each sub-audience in the seed's proportions, for every n.

    A user belongs to the sub-audience with the nearest centre. The score is minus the length at which a balanced list
    reaches the user: the share of the sub-audience's background that ranks before them, times the sub-audience's share
    of the background / its share of the seed.
    """

    score: Score
    columns: Rows  # of the user embedding
    centres: Floats  # [G, D]
    knots: tuple[tuple[Floats, Floats], ...]  # of each sub-audience, its background's distinct scores and quantiles
    factor: Floats  # [G]: share of the background / share of the seed

    @classmethod
    def of(cls, score: Score, columns: Rows, background: Matrix, groups: list[Matrix]) -> "Balanced":
        """`background` [P, W] has no seeds; `groups` are the embeddings of each sub-audience of the seed."""
        centres, scores = cluster_centres(groups), score(background)
        nearest = nearest_centre(background[:, columns], centres)
        counts = np.bincount(nearest, minlength=len(groups)) + 1
        # with fewer than two users of its own a sub-audience is ranked among the whole background
        knots = tuple(_mid_quantiles(scores[nearest == g] if counts[g] > 2 else scores) for g in range(len(groups)))
        sizes = np.array([len(group) for group in groups])
        return cls(score, columns, centres, knots, counts / counts.sum() / (sizes / sizes.sum()))

    def __call__(self, block: Matrix) -> Floats:
        nearest, scores = nearest_centre(block[:, self.columns], self.centres), self.score(block)
        balanced = np.empty(len(block))
        for g, knots in enumerate(self.knots):
            balanced[nearest == g] = self.factor[g] * (_quantile(scores[nearest == g], *knots) - 1)
        return balanced


def _quantile(scores: Floats, knots: Floats, quantiles: Floats) -> Floats:
    """Interpolated between knots whose quantiles are known, and growing linearly beyond the first and last of them."""
    spread = max(float(knots[-1] - knots[0]), 1e-12)
    beyond = np.maximum(scores - knots[-1], 0) + np.minimum(scores - knots[0], 0)
    return cast(Floats, np.interp(scores, knots, quantiles) + beyond / spread)


def _mid_quantiles(scores: Floats) -> tuple[Floats, Floats]:
    """The distinct scores, ascending, and the middle of the quantiles of the users who have each."""
    knots, counts = np.unique(scores, return_counts=True)
    return knots, (np.cumsum(counts) - counts / 2) / len(scores)

"""Scorers by what sets the seed apart: the difference of means, and log odds of single columns."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from lookalike.data.arrays import Floats, Matrix
from lookalike.embeddings.linear import Standardised
from lookalike.expansion.scorers.part_fits import LinearSample, Parts
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import NEGATIVE_WEIGHT, Rng, TrainingSample, draw_fit_rows, fit_rows

WHITENING = (
    30.0  # added to the covariance's diagonal: with hundreds of columns a full correction is noise for few seeds
)
PRIOR_USERS = 10.0  # users' worth by which the seed's rates are drawn towards the background's


def background(sample: TrainingSample, rng: Rng) -> Score:
    """The seed's mean minus the background's, with the columns' correlation partly removed (Fisher 1936).

    Subtracting the background's mean ignores what is common to all users, as Pinterest does for a seed's affinities.
    """
    scale = Standardised.of(sample.background)
    rows = scale(sample.background[fit_rows(sample, rng)])
    difference = sample.weight @ scale(sample.seed) / sample.weight.sum() - rows.mean(axis=0)
    if len(sample.negatives):
        difference -= NEGATIVE_WEIGHT * (scale(sample.negatives).mean(axis=0) - rows.mean(axis=0))
    covariance = rows.T @ rows / len(rows)
    return scale.unscaled(np.linalg.solve(covariance + WHITENING * np.eye(len(difference)), difference))


def background_parts(sample: LinearSample, parts: Parts, rng: Rng) -> Floats:
    """The weights of `background` of each part, whitened by the covariance of the whole background."""
    chosen = draw_fit_rows(len(sample.background), len(sample.seed), rng)
    rows = sample.background[chosen]
    of_seed, of_rows = parts.seed * sample.weight, parts.background[:, chosen].astype(float)
    base = of_rows @ rows / of_rows.sum(axis=1, keepdims=True)  # [Q, W]
    difference = of_seed @ sample.seed / of_seed.sum(axis=1, keepdims=True) - base
    if len(sample.negatives):
        difference -= NEGATIVE_WEIGHT * (sample.negatives.mean(axis=0) - base)
    covariance = (rows.T @ rows).astype(np.float64) / len(rows)
    return cast(Floats, np.linalg.solve(covariance + WHITENING * np.eye(rows.shape[1]), difference.T).T)


def logodds(sample: TrainingSample, rng: Rng) -> Score:
    """Sum over a user's positive columns of how much more common each is in the seed.

    These are Yahoo's weighted criteria (arXiv:1602.01820).
    """
    base_rate = ((sample.background > 0).sum(axis=0) + 0.5) / (len(sample.background) + 1)
    weights = _log_odds_ratio(sample.seed, sample.weight, base_rate)
    if len(sample.negatives):
        weights -= NEGATIVE_WEIGHT * _log_odds_ratio(sample.negatives, np.ones(len(sample.negatives)), base_rate)
    return PositiveColumns(weights)


@dataclass(frozen=True)
class PositiveColumns:
    """Sum of the weights of the columns that are above 0."""

    weights: Floats  # [W]

    def __call__(self, block: Matrix) -> Floats:
        return (block > 0).astype(np.float64) @ self.weights


def _log_odds_ratio(users: Matrix, weight: Floats, base_rate: Floats) -> Floats:
    rate = (weight @ (users > 0) + PRIOR_USERS * base_rate) / (weight.sum() + PRIOR_USERS)
    return cast(Floats, np.log(rate / base_rate) - np.log((1 - rate) / (1 - base_rate)))

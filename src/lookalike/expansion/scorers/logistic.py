"""How strong the ridge, or the normal prior over the weights, of a logistic regression is to be."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.embeddings.linear import ridge_logistic

RIDGES = (300.0, 1_000.0, 3_000.0, 10_000.0)
DEFAULT_RIDGE = 1_000.0
RIDGE_FOLDS = 4

PRIOR_PREFIX: Final = "prior."  # of the names of the prior's arrays in a run
STRENGTHS = (1.0, 3.0, 0.3, 0.1, 0.03)
RELIABLE = 2  # standard errors from which on another strength is taken
PRIOR_PRECISION: Final = 3_000.0
AUDIENCE_VARIANCE: Final = 3.0


@dataclass(frozen=True)
class Prior:
    """A normal prior over weights of standardised columns, with covariance I / 3,000 + 3 · factor factorᵀ.

    The factor spans the directions in which audiences of the log differ. Both constants were chosen on audiences drawn
    from public logs before their cut (docs/log.md).
    """

    mean: Floats  # [W]
    factor: Floats  # [W, R]
    strength: float = 1.0  # a ridge in the columns transformed by the root: less trusts the prior less

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> "Prior | None":
        """The prior of a run's arrays, None without any. Runs of earlier versions have no strength."""
        if not arrays:
            return None
        strength = float(arrays["strength"][0]) if "strength" in arrays else 1.0
        return cls(arrays["mean"], arrays["factor"], strength)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean, "factor": self.factor, "strength": np.array([self.strength])}

    @property
    def strengths(self) -> Floats:
        """Those that may be tried, its own first."""
        return np.array([self.strength, *(other for other in STRENGTHS if other != self.strength)])

    @property
    def root(self) -> Floats:
        """The symmetric square root of the covariance, [W, W]."""
        directions, values, _ = np.linalg.svd(self.factor, full_matrices=False)
        base = PRIOR_PRECISION**-0.5
        added = np.sqrt(base**2 + AUDIENCE_VARIANCE * values**2) - base
        root: Floats = base * np.eye(len(self.mean)) + (directions * added) @ directions.T
        return root


def best_ridge(x: Matrix, y: Floats, weight: Floats, rng: np.random.Generator) -> float:
    """The ridge that ranks held-out seeds best, or the default one when there are too few seeds to tell.

    x [n, W], y [n] of 1 (seed) and 0, weight [n].
    """
    seeds = int(y.sum())
    if seeds < 2 * RIDGE_FOLDS:
        return DEFAULT_RIDGE
    fold = np.concatenate([rng.permutation(np.arange(n) % RIDGE_FOLDS) for n in (seeds, len(y) - seeds)])
    fitted = fold != np.arange(RIDGE_FOLDS)[:, None]  # [folds, n]
    x = x.astype(np.float32)
    weights = deviations_by_strength(x, y, fitted * weight, 0.0, np.array(RIDGES)).astype(np.float32)
    scores = np.moveaxis(x @ np.moveaxis(weights, 1, 2), 1, 2)  # [folds, ridges, n]
    rank_score = np.zeros(len(RIDGES))
    for k in range(RIDGE_FOLDS):
        held_seeds, held_others = (fold == k) & (y == 1), (fold == k) & (y == 0)
        rank_score += [head_rank_score(by_ridge[held_seeds], by_ridge[held_others]) for by_ridge in scores[k]]
    # of equally good ridges the strongest, which promises least
    return RIDGES[len(RIDGES) - 1 - int(np.argmax(rank_score[::-1]))]


def best_ridges(depths: Floats, fitted: Flags) -> Rows:
    """For each part the place in `RIDGES` of the ridge by which its seeds rank best where they are left out, [Q].

    `depths` [ridges, M] are those of all seeds, of which each part is fitted on some, [Q, M].
    """
    # of equally good ridges the strongest, which promises least
    scores = np.array([depths[::-1, own].mean(axis=1) for own in fitted])
    chosen: Rows = len(RIDGES) - 1 - scores.argmax(axis=1)
    return chosen


def held_out_depths(x: Matrix, weights: Floats, is_seed: Flags, kept: Flags, offset: Floats | float = 0.0) -> Floats:
    """How deep each seed ranks in the parts that leave it out, on average, by each kind of weights, [kinds, seeds].

    `weights` [Q, kinds, W] were fitted on the rows `kept` [Q, n] of x [n, W]; `offset` [n] is added to the scores.
    """
    sums, counts = np.zeros((weights.shape[1], int(is_seed.sum()))), np.zeros(int(is_seed.sum()))
    for by_kind, fitted in zip(weights, kept, strict=True):
        held_seeds, held_others = is_seed & ~fitted, ~is_seed & ~fitted
        scores = (x @ by_kind.T.astype(x.dtype)).T + offset  # [kinds, n]
        sums[:, ~fitted[is_seed]] += [head_depths(row[held_seeds], row[held_others]) for row in scores]
        counts += ~fitted[is_seed]
    return sums / counts


def deviations_by_strength(
    x: Matrix, y: Floats, row_weights: Floats, offset: Floats | float, strengths: Floats
) -> Floats:
    """The deviations from a prior's mean in columns transformed by its root, x [n, W], with each strength, [Q, strengths, W].

    `row_weights` [Q, n]; `offset` [n] are the scores by the prior's mean.
    """
    repeated = np.repeat(row_weights, len(strengths), axis=0)
    weights = ridge_logistic(x, y, repeated, np.tile(strengths, len(row_weights)), offset)
    return weights.reshape(len(row_weights), len(strengths), -1)


def reliable_strength(depths: Floats, reliable: float = RELIABLE) -> int:
    """The place of the strength by which people rank best, [strengths, M]: the first, unless another is better by so many
    standard errors. The best of several is else mostly the luckiest."""
    chosen = 0
    for strength in range(1, len(depths)):
        gain = depths[strength] - depths[chosen]
        if gain.mean() > reliable * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = strength
    return chosen


def head_rank_score(seeds: Floats, background: Floats) -> float:
    """The mean of `head_depths`. Unlike AUC it puts most weight on the head of the list."""
    return float(head_depths(seeds, background).mean())


def head_depths(seeds: Floats, background: Floats) -> Floats:
    """-log of the share of the background that ranks before each seed."""
    before = len(background) - np.searchsorted(np.sort(background), seeds)
    depths: Floats = -np.log((before + 1) / (len(background) + 1))
    return depths

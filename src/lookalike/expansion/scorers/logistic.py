"""Linear scorers: standardised columns, and logistic regressions with a normal prior over their weights."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from lookalike.data.arrays import Floats, Matrix

RIDGES = (300.0, 1_000.0, 3_000.0, 10_000.0)


RIDGE_FOLDS = 4


@dataclass(frozen=True)
class Linear:
    """Floats block · weights + offset.

    Each row's sum is made by itself and in the same order, so a score does not hang on which rows stand beside it, or how
    many: a matrix product would round a row by its place.
    """

    weights: Floats  # [W]
    offset: float = 0.0

    def __call__(self, block: Matrix) -> Floats:
        # a dot product over columns that lie apart is made in another order
        rows, weights = (np.ascontiguousarray(part, np.float64) for part in (block, self.weights))
        scores: Floats = np.vecdot(rows, weights) + self.offset
        return scores


@dataclass(frozen=True)
class Standardised:
    """Columns to mean 0 and deviation 1 in the background; constant columns to 0."""

    mean: Floats
    factor: Floats

    @classmethod
    def of(cls, background: Matrix) -> "Standardised":
        deviation = background.std(axis=0, dtype=np.float64)
        factor = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
        return cls(background.mean(axis=0, dtype=np.float64), factor)

    def __call__(self, block: Matrix) -> Floats:
        return (block - self.mean) * self.factor

    def unscaled(self, weights: Floats) -> Linear:
        """Weights of standardised columns as a scorer of the raw ones."""
        raw = weights * self.factor
        return Linear(raw, -float(raw @ self.mean))


PRIOR_PRECISION: Final = 3_000.0


AUDIENCE_VARIANCE: Final = 3.0


PRIOR_PREFIX: Final = "prior."  # how the names of its arrays begin in a run


@dataclass(frozen=True)
class Prior:
    """What weights of standardised columns are like: normal with this mean, and covariance I / 3,000 + 3 · factor factorᵀ.

    The factor spans the directions in which the audiences of a log differ. Both numbers were chosen on audiences drawn
    from public logs before their cut (docs/log.md).
    """

    mean: Floats  # [W]
    factor: Floats  # [W, R]

    @property
    def root(self) -> Floats:
        """A square root of the covariance, [W, W]."""
        directions, values, _ = np.linalg.svd(self.factor, full_matrices=False)
        own = PRIOR_PRECISION**-0.5
        grown = np.sqrt(own**2 + AUDIENCE_VARIANCE * values**2) - own
        root: Floats = own * np.eye(len(self.mean)) + (directions * grown) @ directions.T
        return root


def best_ridge(x: Floats, y: Floats, weight: Floats, rng: np.random.Generator) -> float:
    """The ridge by which held-out seeds are ranked best; a usual one where seeds are too few to tell.

    x [n, W], y [n] of 1 and 0, weight [n].
    """
    seeds = int(y.sum())
    if seeds < 2 * RIDGE_FOLDS:
        return RIDGES[1]
    fold = np.concatenate([rng.permutation(np.arange(n) % RIDGE_FOLDS) for n in (seeds, len(y) - seeds)])
    used = (
        np.repeat(fold != np.arange(RIDGE_FOLDS)[:, None], len(RIDGES), axis=0).astype(float) * weight
    )  # [folds * ridges, n]
    weights = ridge_logistic(x, y, used, np.tile(RIDGES, RIDGE_FOLDS))
    scores = (x @ weights.T).T.reshape(RIDGE_FOLDS, len(RIDGES), -1)
    worth = np.zeros(len(RIDGES))
    for k in range(RIDGE_FOLDS):
        held = fold == k
        worth += [head_rank_score(of[held & (y == 1)], of[held & (y == 0)]) for of in scores[k]]
    # of equals the stronger ridge, which promises less
    return RIDGES[len(RIDGES) - 1 - int(np.argmax(worth[::-1]))]


def head_rank_score(seeds: Floats, background: Floats) -> float:
    """Mean over the seeds of -log of the share of the background ranked before: the head of the list weighs most."""
    before = len(background) - np.searchsorted(np.sort(background), seeds)
    return float(np.mean(-np.log((before + 1) / (len(background) + 1))))


def ridge_logistic(x: Floats, y: Floats, used: Floats, ridges: Floats, offset: Floats | float = 0.0) -> Floats:
    """Weights [Q, W] of Q logistic regressions over the same rows, without their intercepts, which rank nothing.

    Problem q weighs the rows by used[q] and penalises by ridges[q] / 2 · |w|². All are solved at once, in the
    eigenbasis of the columns scaled by the Hessian at the base rate, where each is nearly round: a few steps do.
    x [n, W], y [n] or one row a problem [Q, n], used [Q, n], ridges [Q]; `offset` [n] is added to the log odds.
    """
    problems, width = len(ridges), x.shape[1]
    rate = ((used * y).sum(1) / used.sum(1))[:, None] if y.ndim > 1 else np.full((problems, 1), y.mean())
    values, basis = np.linalg.eigh(x.T @ x)
    rotated = np.hstack([x @ basis, np.ones((len(x), 1))])  # the last column is the intercept, which is not penalised
    curvature = rate * (1 - rate) * np.append(np.maximum(values, 0), len(x))
    penalty = np.hstack([np.repeat(ridges[:, None], width, axis=1), np.zeros((problems, 1))])
    factor = 1 / np.sqrt(curvature + penalty)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(problems, -1) * factor
        odds = weights @ rotated.T + offset  # [Q, n]
        error = used * (expit(odds) - y)
        value = (used * (np.logaddexp(0, odds) - y * odds)).sum() + 0.5 * (penalty * weights**2).sum()
        return float(value), ((error @ rotated + penalty * weights) * factor).ravel()

    start = np.zeros((problems, width + 1))
    start[:, -1] = np.log(rate / (1 - rate))[:, 0] / factor[:, -1]
    solved = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-9, "gtol": 1e-3}
    )
    weights: Floats = (solved.x.reshape(problems, -1) * factor)[:, :width] @ basis.T
    return weights

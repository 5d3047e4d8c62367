"""Linear scores of users' columns: standardised columns, and logistic regressions with a ridge.

Scorers are made of them, and an encoder's evaluation asks by them what its block adds to the others.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from lookalike.data.arrays import Floats, Matrix


@dataclass(frozen=True)
class Linear:
    """block · weights + offset.

    Each row is summed on its own and in the same order, so a score does not depend on which rows stand beside it or how
    many; a matrix product would round a row differently by its place.
    """

    weights: Floats  # [W]
    offset: float = 0.0

    def __call__(self, block: Matrix) -> Floats:
        # the dot product of a strided row adds in another order
        rows, weights = (np.ascontiguousarray(part, np.float64) for part in (block, self.weights))
        scores: Floats = np.vecdot(rows, weights) + self.offset
        return scores


@dataclass(frozen=True)
class Standardised:
    """Columns scaled to mean 0 and standard deviation 1 in the background; constant columns become 0."""

    mean: Floats  # [W]
    factor: Floats  # [W]: 1 / standard deviation

    @classmethod
    def of(cls, background: Matrix) -> "Standardised":
        deviation = background.std(axis=0, dtype=np.float64)
        factor = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
        return cls(background.mean(axis=0, dtype=np.float64), factor)

    def __call__(self, block: Matrix) -> Floats:
        return (block - self.mean) * self.factor

    def unscaled(self, weights: Floats) -> Linear:
        """The linear score of raw columns that these weights of standardised columns [W] make."""
        raw = weights * self.factor
        return Linear(raw, -float(raw @ self.mean))


def ridge_logistic(
    x: Floats | Matrix, y: Floats, row_weights: Floats, ridges: Floats, offset: Floats | float = 0.0
) -> Floats:
    """Weights [Q, W] of Q logistic regressions over the same rows; intercepts, which rank nothing, are left out.

    Problem q weights the rows by row_weights[q] and adds the penalty ridges[q] / 2 · |w|². All are solved at once, in
    the eigenbasis of the columns scaled by the Hessian at the base rate: there each loss is nearly round, so a few steps
    are enough. x [n, W], y [n] or one row per problem [Q, n], row_weights [Q, n], ridges [Q]; `offset` [n] is added to
    the log odds. Products with rows in single precision are in single precision.
    """
    problems, width = len(ridges), x.shape[1]
    rate = _base_rates(y, row_weights)
    values, basis = np.linalg.eigh((x.T @ x).astype(np.float64))
    # the last column is the intercept, which is not penalised
    rotated = np.hstack([x @ basis.astype(x.dtype), np.ones((len(x), 1), x.dtype)])
    curvature = rate * (1 - rate) * np.append(np.maximum(values, 0), len(x))
    penalty = np.hstack([np.repeat(ridges[:, None], width, axis=1), np.zeros((problems, 1))])
    factor = 1 / np.sqrt(curvature + penalty)

    labels, row_factors, base = (np.asarray(values, x.dtype) for values in (y, row_weights, offset))

    def loss_and_gradient(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(problems, -1) * factor
        odds = weights.astype(x.dtype) @ rotated.T + base  # [Q, n]
        losses = row_factors * (np.maximum(odds, 0) + np.log1p(np.exp(-np.abs(odds))) - labels * odds)
        loss = losses.sum(dtype=np.float64) + 0.5 * (penalty * weights**2).sum()
        return float(loss), (
            (row_factors * (expit(odds) - labels)) @ rotated * factor + penalty * weights * factor
        ).ravel()

    start = np.zeros((problems, width + 1))
    start[:, -1] = np.log(rate / (1 - rate))[:, 0] / factor[:, -1]
    solution = minimize(
        loss_and_gradient,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 100, "ftol": 1e-9 if x.dtype == np.float64 else 1e-5, "gtol": 1e-3},
    )
    weights: Floats = (solution.x.reshape(problems, -1) * factor)[:, :width] @ basis.T
    return weights


def _base_rates(y: Floats, row_weights: Floats) -> Floats:
    """The share of positives in each problem, [Q, 1]; unweighted when all problems share y."""
    if y.ndim == 1:
        return np.full((len(row_weights), 1), y.mean())
    rates: Floats = (row_weights * y).sum(axis=1, keepdims=True) / row_weights.sum(axis=1, keepdims=True)
    return rates

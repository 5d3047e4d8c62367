"""Scorers: ways to rank candidates against a seed.

A scorer is `fit(seed [M, W], background [P, W], rng) -> (block [n, W] -> scores [n])`. Higher is more alike; a score has
no unit. Whatever it learns, it learns from the two samples; the candidates are then streamed past it in blocks.

To add one: a function and a line in `SCORERS`, with the blocks of columns it reads. The contract tests, the bake-off and
the report then cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Matrix = NDArray[np.float32] | NDArray[np.float64]
Scores = NDArray[np.float64]
Score = Callable[[Matrix], Scores]
Fit = Callable[[Matrix, Matrix, np.random.Generator], Score]


@dataclass(frozen=True)
class Linear:
    """Scores block · weights + offset."""

    weights: NDArray[np.float64]  # [W]
    offset: float = 0.0

    def __call__(self, block: Matrix) -> Scores:
        return block.astype(np.float64, copy=False) @ self.weights + self.offset


# --- centroid --------------------------------------------------------------------------------------------------------


def centroid(seed: Matrix, background: Matrix, rng: np.random.Generator) -> Score:
    """Dot product with the mean of the seed's unit vectors, made unit length again."""
    mean = seed.astype(np.float64).mean(axis=0)
    return Linear(mean / max(float(np.linalg.norm(mean)), 1e-12))


# --- logistic --------------------------------------------------------------------------------------------------------

RIDGES = (300.0, 1_000.0, 3_000.0, 10_000.0)
RIDGE_FOLDS = 4
FIT_ROWS = 5_000  # background rows a fit reads, or ten a seed where that is more


def logistic(seed: Matrix, background: Matrix, rng: np.random.Generator) -> Score:
    """Log odds of being a seed user and not a background user, with a ridge on standardised columns.

    The background is drawn from all eligible users, so the odds are a density ratio (case-control sampling: King and
    Zeng 2001); its hidden look-alikes only shrink them. The ridge is chosen by how well held-out seeds are ranked.
    """
    scale = Standardised.of(background)
    rows = rng.permutation(len(background))[: max(FIT_ROWS, 10 * len(seed))]
    x = np.vstack([scale(seed), scale(background[rows])])
    y = np.repeat([1.0, 0.0], [len(seed), len(rows)])
    return scale.unscaled(ridge_logistic(x, y, np.ones((1, len(y))), np.array([_best_ridge(x, y, rng)]))[0])


@dataclass(frozen=True)
class Standardised:
    """Columns to mean 0 and deviation 1 in the background; constant columns to 0."""

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, background: Matrix) -> "Standardised":
        deviation = background.std(axis=0, dtype=np.float64)
        factor = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
        return cls(background.mean(axis=0, dtype=np.float64), factor)

    def __call__(self, block: Matrix) -> NDArray[np.float64]:
        return (block - self.mean) * self.factor

    def unscaled(self, weights: NDArray[np.float64]) -> Linear:
        """Weights of standardised columns as a scorer of the raw ones."""
        raw = weights * self.factor
        return Linear(raw, -float(raw @ self.mean))


def _best_ridge(x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator) -> float:
    seeds = int(y.sum())
    if seeds < 2 * RIDGE_FOLDS:
        return RIDGES[1]
    fold = np.concatenate([rng.permutation(np.arange(n) % RIDGE_FOLDS) for n in (seeds, len(y) - seeds)])
    used = np.repeat(fold != np.arange(RIDGE_FOLDS)[:, None], len(RIDGES), axis=0).astype(float)  # [folds * ridges, n]
    weights = ridge_logistic(x, y, used, np.tile(RIDGES, RIDGE_FOLDS))
    scores = (x @ weights.T).T.reshape(RIDGE_FOLDS, len(RIDGES), -1)
    worth = np.zeros(len(RIDGES))
    for k in range(RIDGE_FOLDS):
        held = fold == k
        worth += [_ranking(of[held & (y == 1)], of[held & (y == 0)]) for of in scores[k]]
    # of equals the stronger ridge, which promises less
    return RIDGES[len(RIDGES) - 1 - int(np.argmax(worth[::-1]))]


def _ranking(seeds: Scores, background: Scores) -> float:
    """Mean over the seeds of -log of the share of the background ranked before: the head of the list weighs most."""
    before = len(background) - np.searchsorted(np.sort(background), seeds)
    return float(np.mean(-np.log((before + 1) / (len(background) + 1))))


def ridge_logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], used: NDArray[np.float64], ridges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights [Q, W] of Q logistic regressions over the same rows, without their intercepts, which rank nothing.

    Problem q reads the rows where used[q] is 1 and penalises by ridges[q] / 2 · |w|². All are solved at once, in the
    eigenbasis of the columns scaled by the Hessian at the base rate, where each is nearly round: a few steps do.
    x [n, W], y [n], used [Q, n], ridges [Q].
    """
    problems, width = len(ridges), x.shape[1]
    rate = y.mean()
    values, basis = np.linalg.eigh(x.T @ x)
    rotated = np.hstack([x @ basis, np.ones((len(x), 1))])  # the last column is the intercept, which is not penalised
    curvature = rate * (1 - rate) * np.append(np.maximum(values, 0), len(x))
    penalty = np.hstack([np.repeat(ridges[:, None], width, axis=1), np.zeros((problems, 1))])
    factor = 1 / np.sqrt(curvature + penalty)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(problems, -1) * factor
        odds = weights @ rotated.T  # [Q, n]
        error = used * (expit(odds) - y)
        value = (used * (np.logaddexp(0, odds) - y * odds)).sum() + 0.5 * (penalty * weights**2).sum()
        return float(value), ((error @ rotated + penalty * weights) * factor).ravel()

    start = np.zeros((problems, width + 1))
    start[:, -1] = np.log(rate / (1 - rate)) / factor[:, -1]
    solved = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-9, "gtol": 1e-3}
    )
    weights: NDArray[np.float64] = (solved.x.reshape(problems, -1) * factor)[:, :width] @ basis.T
    return weights


# --- registry and ensemble -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    fit: Fit
    blocks: tuple[str, ...]


# the sequence block holds the content of a history too: with both, each would be shrunken half as much
LEARNT_AND_COUNTED = ("sequence", "aggregates")
SCORERS: dict[str, Scorer] = {
    "centroid": Scorer(centroid, ("sequence",)),
    "logistic": Scorer(logistic, LEARNT_AND_COUNTED),
}
# Rank averages of other scorers: name -> members.
ENSEMBLES: dict[str, tuple[str, ...]] = {"ensemble": ("centroid", "logistic")}
NAMES = (*SCORERS, *ENSEMBLES)


@dataclass(frozen=True)
class RankAverage:
    """Mean of the members' places in the background's order, from 0 to 1; beyond its ends the place goes on growing.

    The background stands in for the whole population, which lets a rank be known without seeing every candidate.
    """

    members: tuple[Score, ...]
    knots: tuple[Scores, ...]  # the members' scores at even places of the background

    @classmethod
    def of(cls, members: tuple[Score, ...], background: Matrix) -> "RankAverage":
        places = np.linspace(0, 1, 513)
        return cls(members, tuple(np.quantile(member(background), places) for member in members))

    def __call__(self, block: Matrix) -> Scores:
        places = [_place(member(block), knots) for member, knots in zip(self.members, self.knots, strict=True)]
        return cast(Scores, np.mean(places, axis=0))


def _place(scores: Scores, knots: Scores) -> Scores:
    spread = max(float(knots[-1] - knots[0]), 1e-12)
    beyond = np.maximum(scores - knots[-1], 0) + np.minimum(scores - knots[0], 0)
    return cast(Scores, np.interp(scores, knots, np.linspace(0, 1, len(knots))) + beyond / spread)


def fit_all(
    names: tuple[str, ...],
    columns: Callable[[tuple[str, ...]], NDArray[np.int64]],
    seed: Matrix,
    background: Matrix,
    rng: np.random.Generator,
) -> dict[str, Score]:
    """Every named scorer, each base one fitted once. `columns` tells where the columns of some blocks stand."""
    needed = [name for name in SCORERS if name in names or any(name in ENSEMBLES.get(n, ()) for n in names)]
    fitted: dict[str, Score] = {}
    for name in needed:
        at = columns(SCORERS[name].blocks)
        fitted[name] = Selected(at, SCORERS[name].fit(seed[:, at], background[:, at], rng))
    for name, members in ENSEMBLES.items():
        if name in names:
            fitted[name] = RankAverage.of(tuple(fitted[member] for member in members), background)
    return {name: fitted[name] for name in names}


@dataclass(frozen=True)
class Selected:
    """A scorer that reads some of the columns."""

    columns: NDArray[np.int64]
    score: Score

    def __call__(self, block: Matrix) -> Scores:
        return self.score(block[:, self.columns])

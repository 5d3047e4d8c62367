"""Recall and lift by size, with confidence bands."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from lookalike.data.arrays import Floats
from lookalike.expansion import metrics
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.result import Band, CurvePoint, ScorerFigures
from lookalike.expansion.scorers import NAMES

# forty sizes from a thousandth of the candidates to all of them
_PER_MILLE = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75)
_PERCENT = (10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75)
SIZE_GRID = (*(size / 1_000 for size in _PER_MILLE), *(size / 100 for size in _PERCENT), 0.8, 0.9, 1.0)
SAME_SIZE = 0.02  # relative difference below which the requested size replaces one of the grid
RANDOM = "random"


@dataclass(frozen=True)
class EffectiveSample:
    """Why held-out hits carry less information than as many independent ones.

    `pool` is the number of users, drawn from an infinite population, that would tell as much about the candidates as the
    background does: the score threshold of a size is only known as well as they determine it. Folds share the users
    they are fitted on, which raises the variance by 1 / (folds - 1) (Nadeau and Bengio 2003). `trust` is the share of the
    hits that counts: a band that shall hold what is counted later has to leave room for the error of that count too.
    """

    pool: float = np.inf
    folds: int | None = None
    trust: float = 1.0

    def discount(self, hits: float, share: float) -> float:
        """The factor for hits and trials that gives a binomial band all of the variance.

        The relative variance of lift is 1 / hits from the hits plus 1 / (share * pool) from the users of the pool
        within the size; hits / (1 + hits / (share * pool)) hits have both.
        """
        factor = share * self.pool / (hits + share * self.pool) if np.isfinite(self.pool) else 1.0
        factor *= self.trust
        return float(factor * (1 - 1 / self.folds)) if self.folds else float(factor)


INDEPENDENT = EffectiveSample()


@dataclass(frozen=True)
class BandSettings:
    """What every band of an expansion depends on."""

    confidence: float
    sample: EffectiveSample = INDEPENDENT


def recall_band(quantiles: Floats, share: float, bands: BandSettings) -> Band:
    """Recall at a share of the candidates with an exact binomial band (Clopper and Pearson 1934).

    Repeats refine the estimate but add no seeds, so each seed counts once, discounted by the effective sample.
    """
    seeds = quantiles.shape[1]
    return _binomial_band(metrics.recall(quantiles, share) * seeds, seeds, share, bands)


def lift_band(quantiles: Floats, share: float, bands: BandSettings) -> Band:
    """Lift at a share of the candidates."""
    return recall_band(quantiles, share, bands).divided(share)


def marginal_band(quantiles: Floats, first: float, last: float, bands: BandSettings) -> Band:
    """Lift of the ranks between two shares of the candidates alone."""
    seeds, width = quantiles.shape[1], max(last - first, 1e-12)
    hits = (metrics.recall(quantiles, last) - metrics.recall(quantiles, first)) * seeds
    return _binomial_band(hits, seeds, width, bands).divided(width)


def _binomial_band(hits: float, seeds: float, share: float, bands: BandSettings) -> Band:
    factor = bands.sample.discount(hits, share)
    hits, trials = hits * factor, seeds * factor
    tail = (1 - bands.confidence) / 2
    low = float(special.betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return Band(hits / trials, low, high)


def curve_shares(candidates: int, requested: float | None) -> list[float]:
    """The sizes of a curve as shares of the candidates, ascending: the grid and the requested size.

    Shares of the grid below one user are left out, and of shares that are the same number of users all but the smallest.
    """
    by_count = {round(share * candidates): share for share in reversed(SIZE_GRID) if share * candidates >= 1}
    grid = set(by_count.values())
    if requested is None:
        return sorted(grid)
    return sorted({share for share in grid if abs(share / requested - 1) > SAME_SIZE} | {requested})


def lift_curve(quantiles: Floats, shares: list[float], candidates: int, bands: BandSettings) -> tuple[CurvePoint, ...]:
    """Recall and lift at each size, and the lift of the ranks since the size before it."""
    points = []
    for previous, share in zip([0.0, *shares], shares, strict=False):
        recall = recall_band(quantiles, share, bands)
        points.append(
            _point(share, candidates, recall, recall.divided(share), marginal_band(quantiles, previous, share, bands))
        )
    return tuple(points)


def random_curve(shares: list[float], candidates: int) -> tuple[CurvePoint, ...]:
    """What a random order finds: exactly its share."""
    chance = Band(1, 1, 1)
    return tuple(_point(share, candidates, Band(share, share, share), chance, chance) for share in shares)


def _point(share: float, candidates: int, recall: Band, lift: Band, marginal: Band) -> CurvePoint:
    return CurvePoint(
        share=share,
        size=round(share * candidates),
        recall=recall.value,
        recall_low=recall.low,
        recall_high=recall.high,
        lift=lift.value,
        lift_low=lift.low,
        lift_high=lift.high,
        marginal=marginal.value,
        marginal_low=marginal.low,
        marginal_high=marginal.high,
    )


def scorer_figures(quantiles: Quantiles, chosen: str, share: float, bands: BandSettings) -> tuple[ScorerFigures, ...]:
    """The comparison of the scorers at one size."""
    figures = []
    for name in (name for name in quantiles if name in NAMES):
        lift = lift_band(quantiles[name], share, bands)
        figures.append(
            ScorerFigures(
                name=name,
                chosen=name == chosen,
                auc=metrics.auc(quantiles[name]),
                partial_auc=metrics.partial_auc(quantiles[name]),
                gain=metrics.gain(quantiles[name]),
                lift=lift.value,
                low=lift.low,
                high=lift.high,
            )
        )
    return tuple(figures)

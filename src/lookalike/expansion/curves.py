"""TODO"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from lookalike.data.arrays import Floats
from lookalike.expansion import metrics
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import NAMES

# forty sizes from a thousandth of the candidates to all of them
SIZE_GRID = tuple(
    per_mille / 1_000 for per_mille in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75)
)


SIZE_GRID += tuple(
    percent / 100 for percent in (10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75)
)


SIZE_GRID += (0.8, 0.9, 1.0)


RANDOM = "random"


@dataclass(frozen=True)
class EffectiveSample:
    """Why held-out hits tell less than as many independent ones.

    `pool` is how many users drawn from an endless crowd tell as much of the candidates as the background does: the border
    of a size is known only as well as they tell. Folds share the people they are fitted on: their variance grows by
    1 / (folds - 1) (Nadeau and Bengio 2003).
    """

    pool: float = np.inf
    folds: int | None = None

    def counted(self, hits: float, share: float) -> float:
        """What part of the hits to count, so that a binomial band has all the noise.

        The relative variance of lift is that of the hits, 1 / hits, and that of the pool's users within the border,
        1 / (share * pool); hits / (1 + hits / (share * pool)) of them have both.
        """
        part = share * self.pool / (hits + share * self.pool) if np.isfinite(self.pool) else 1.0
        return float(part * (1 - 1 / self.folds)) if self.folds else float(part)


INDEPENDENT = EffectiveSample()


@dataclass(frozen=True)
class Band:
    value: float
    low: float
    high: float

    def over(self, divisor: float) -> "Band":
        return Band(self.value / divisor, self.low / divisor, self.high / divisor)

    def times(self, factor: float) -> "Band":
        return Band(self.value * factor, self.low * factor, self.high * factor)


def recall_band(quantiles: Floats, share: float, confidence: float, doubt: EffectiveSample = INDEPENDENT) -> Band:
    """Recall at a share of the candidates with an exact binomial band (Clopper and Pearson 1934).

    Repeats refine the estimate but bring no new people, so the band counts each seed once, and less by what `doubt` says.
    """
    seeds = quantiles.shape[1]
    hits = metrics.recall(quantiles, share) * seeds
    certain = doubt.counted(hits, share)
    return _clopper_pearson(hits * certain, seeds * certain, confidence)


def lift_band(quantiles: Floats, share: float, confidence: float, doubt: EffectiveSample = INDEPENDENT) -> Band:
    return recall_band(quantiles, share, confidence, doubt).over(share)


def marginal_band(
    quantiles: Floats, first: float, last: float, confidence: float, doubt: EffectiveSample = INDEPENDENT
) -> Band:
    """Lift of the ranks between two shares of the candidates alone."""
    seeds, width = quantiles.shape[1], max(last - first, 1e-12)
    hits = (metrics.recall(quantiles, last) - metrics.recall(quantiles, first)) * seeds
    certain = doubt.counted(hits, width)
    return _clopper_pearson(hits * certain, seeds * certain, confidence).over(width)


def _clopper_pearson(hits: float, trials: float, confidence: float) -> Band:
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Band(hits / trials, low, high)


def curve_shares(candidates: int, asked: float | None) -> list[float]:
    """The sizes of a curve as shares of the candidates: the usual ones of at least one user, and the one asked for.

    Of shares that are the same number of users only the first is one.
    """
    counts = {round(share * candidates): share for share in reversed(SIZE_GRID) if share * candidates >= 1}
    usual = set(counts.values())
    if asked is None:
        return sorted(usual)
    return sorted({share for share in usual if abs(share / asked - 1) > 0.02} | {asked})


def lift_curve(
    quantiles: Floats, at: list[float], candidates: int, confidence: float, doubt: EffectiveSample = INDEPENDENT
) -> list[dict[str, float]]:
    """Recall and lift of each size, and the lift of the ranks since the size before it, all with bands."""
    points = []
    for before, share in zip([0.0, *at], at, strict=False):
        recall = recall_band(quantiles, share, confidence, doubt)
        lift, slice_lift = recall.over(share), marginal_band(quantiles, before, share, confidence, doubt)
        points.append(
            {
                "share": share,
                "size": round(share * candidates),
                **_named("recall", recall),
                **_named("lift", lift),
                **_named("marginal", slice_lift),
            }
        )
    return points


def _named(name: str, band: Band) -> dict[str, float]:
    return {name: band.value, f"{name}_low": band.low, f"{name}_high": band.high}


def random_curve(at: list[float], candidates: int) -> list[dict[str, float]]:
    """What a random order finds: exactly its share."""
    chance = _named("lift", Band(1, 1, 1)) | _named("marginal", Band(1, 1, 1))
    return [{"share": s, "size": round(s * candidates), **_named("recall", Band(s, s, s)), **chance} for s in at]


def scorer_figures(
    quantiles: Quantiles, scorer: str, share: float, confidence: float, doubt: EffectiveSample = INDEPENDENT
) -> list[dict[str, Any]]:
    """The bake-off: each scorer with its lift at the asked size."""
    rows = []
    for name in (name for name in quantiles if name in NAMES):
        band = lift_band(quantiles[name], share, confidence, doubt)
        rows.append(
            {
                "name": name,
                "chosen": name == scorer,
                "auc": metrics.auc(quantiles[name]),
                "partial_auc": metrics.partial_auc(quantiles[name]),
                "gain": metrics.gain(quantiles[name]),
                "lift": band.value,
                "low": band.low,
                "high": band.high,
            }
        )
    return rows

"""How good a list would be: held-out seeds, and curves with bands.

Seed and background are cut into the same folds. A fold's scorers see neither its seeds nor its background; its seeds are
then ranked among its background, which stands in for all candidates. What is kept of each held-out seed is one number,
the share of the candidates ranked before it, and every figure follows from those.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lookalike import metrics
from lookalike.linear import Matrix
from lookalike.scoring import NAMES, Space, Taught, fit_all
from lookalike.settings import ExpandSettings

Floats = NDArray[np.float64]
# forty sizes from a thousandth of the candidates to all of them
GRID = tuple(
    per_mille / 1_000 for per_mille in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75)
)
GRID += tuple(
    percent / 100 for percent in (10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75)
)
GRID += (0.8, 0.9, 1.0)
MOST_WORKERS = 4
ACTIVITY = "activity"
RANDOM = "random"


@dataclass(frozen=True)
class Examples:
    """What is known before ranking. Rows of `background` are eligible users, some of them seeds."""

    seed: Matrix  # [M, W]
    weight: Floats  # [M]: how much each seed counts, 1 on average
    against: Matrix  # [K, W]: people of whom fewer are wanted
    background: Matrix  # [P, W]
    seed_of: NDArray[np.int64]  # [P]: the place in `seed` of a background row that is one, else -1
    candidates: int  # all who are neither seed nor suppressed
    space: Space
    activity: int  # the column that holds the log count of events
    taken: int = 0  # candidates who are not to be listed, because they are on another list
    group: NDArray[np.int64] | None = None  # [M]: the sub-audience of each seed, where the list is to keep their shares
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [M]: who the seeds are

    @property
    def taught(self) -> Taught:
        return Taught(self.seed, self.background, self.weight, self.against, self.group, self.seed_of)

    @property
    def seeds(self) -> int:
        return len(self.seed)

    def only(self, kept: NDArray[np.int64]) -> "Examples":
        """With some of the seeds alone; the others stay no part of the background."""
        place = np.full(self.seeds, -1)
        place[kept] = np.arange(len(kept))
        stays = (self.seed_of < 0) | (place[self.seed_of] >= 0)
        seed_of = np.where(self.seed_of < 0, -1, place[self.seed_of])[stays]
        group = None if self.group is None else self.group[kept]
        rows = self.rows[kept] if len(self.rows) else self.rows
        some = replace(self, seed=self.seed[kept], weight=self.weight[kept], group=group, rows=rows)
        return replace(some, background=self.background[stays], seed_of=seed_of)

    def doubt(self, folds: int) -> "Doubt":
        """Of figures held out on so many folds."""
        drawn = int((self.seed_of < 0).sum())
        pool = drawn / (1 - drawn / self.candidates) if drawn < self.candidates else np.inf
        return Doubt(pool, min(folds, self.seeds))


@dataclass(frozen=True)
class Doubt:
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


SURE = Doubt()


@dataclass(frozen=True)
class Band:
    value: float
    low: float
    high: float

    def over(self, divisor: float) -> "Band":
        return Band(self.value / divisor, self.low / divisor, self.high / divisor)

    def times(self, factor: float) -> "Band":
        return Band(self.value * factor, self.low * factor, self.high * factor)


Quantiles = dict[str, Floats]  # of each method: [repeats, M], the share of the candidates before each held-out seed


def hold_out(
    examples: Examples, names: tuple[str, ...], settings: ExpandSettings, on_fold: Callable[[int], None]
) -> Quantiles:
    """Every method's quantiles, by repeated K-fold over the seed; the activity baseline is always among them."""
    folds = min(settings.folds, examples.seeds)
    quantiles = {name: np.empty((settings.repeats, examples.seeds)) for name in (*names, ACTIVITY)}

    def one(repeat: int, split: Split, fold: int) -> None:
        rng = np.random.default_rng([settings.random_seed, 3, repeat, fold])
        for name, found in _held_out(examples, names, split, fold, rng).items():
            quantiles[name][repeat, split.seed == fold] = found

    with ThreadPoolExecutor(workers()) as pool:
        splits = [
            _split(examples, folds, np.random.default_rng([settings.random_seed, 3, r]))
            for r in range(settings.repeats)
        ]
        work = [pool.submit(one, repeat, split, fold) for repeat, split in enumerate(splits) for fold in range(folds)]
        for done, future in enumerate(work, 1):
            future.result()
            on_fold(done)
    return quantiles


def workers() -> int:
    """Threads to spread work over: the cores we may use, but few enough that their copies stay within the memory budget."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@dataclass(frozen=True)
class Split:
    """The fold of each seed and of each background row; a seed in the background has its own fold."""

    seed: NDArray[np.int64]
    background: NDArray[np.int64]


def _split(examples: Examples, folds: int, rng: np.random.Generator) -> Split:
    seed = rng.permutation(np.arange(examples.seeds) % folds)
    background = rng.permutation(np.arange(len(examples.background)) % folds)
    return Split(seed, np.where(examples.seed_of >= 0, seed[examples.seed_of], background))


def _held_out(
    examples: Examples, names: tuple[str, ...], split: Split, fold: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Fits without one fold and gives each method's places of that fold's seeds."""
    held, apart = split.seed == fold, split.background == fold
    taught = examples.taught.part(~held, ~apart)
    fitted = fit_all(names, examples.space, taught, rng)
    fitted[ACTIVITY] = lambda block: block[:, examples.activity].astype(np.float64)
    pool = examples.background[apart & (examples.seed_of < 0)]
    chance = rng.random(int(held.sum()))  # the same for all, so that methods differ by their scores alone
    return {
        name: places(score(examples.seed[held]), score(pool), examples.candidates, chance)
        for name, score in fitted.items()
    }


def places(held: Floats, pool: Floats, candidates: int, chance: Floats) -> Floats:
    """The share of the candidates ranked before each held-out seed.

    The pool is a sample that stands for all candidates, so each of its users counts for many; the held-out seeds, which
    hide among the candidates, count for themselves. `chance` [M], uniform, orders equal scores, as the list does by a
    hash, and sets each seed somewhere between its neighbours in the pool. So a scorer that knows nothing finds the share
    of any size, however many scores are equal and however small the pool (the smoothed p-value of Vovk et al. 2005).
    """
    ordered = np.sort(pool)
    low, high = np.searchsorted(ordered, held, "left"), np.searchsorted(ordered, held, "right")
    before = (len(pool) - high + chance * (high - low + 1)) / (len(pool) + 1)
    seeds_before = np.empty(len(held))
    seeds_before[np.lexsort((chance, -held))] = np.arange(len(held))
    found: Floats = (candidates * before + seeds_before) / (candidates + len(held))
    return found


# --- curves ----------------------------------------------------------------------------------------------------------


def recall_band(quantiles: Floats, share: float, confidence: float, doubt: Doubt = SURE) -> Band:
    """Recall at a share of the candidates with an exact binomial band (Clopper and Pearson 1934).

    Repeats refine the estimate but bring no new people, so the band counts each seed once, and less by what `doubt` says.
    """
    seeds = quantiles.shape[1]
    hits = metrics.recall(quantiles, share) * seeds
    certain = doubt.counted(hits, share)
    return _binomial(hits * certain, seeds * certain, confidence)


def lift_band(quantiles: Floats, share: float, confidence: float, doubt: Doubt = SURE) -> Band:
    return recall_band(quantiles, share, confidence, doubt).over(share)


def marginal_band(quantiles: Floats, first: float, last: float, confidence: float, doubt: Doubt = SURE) -> Band:
    """Lift of the ranks between two shares of the candidates alone."""
    seeds, width = quantiles.shape[1], max(last - first, 1e-12)
    hits = (metrics.recall(quantiles, last) - metrics.recall(quantiles, first)) * seeds
    certain = doubt.counted(hits, width)
    return _binomial(hits * certain, seeds * certain, confidence).over(width)


def _binomial(hits: float, trials: float, confidence: float) -> Band:
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Band(hits / trials, low, high)


def shares(candidates: int, asked: float | None) -> list[float]:
    """The sizes of a curve as shares of the candidates: the usual ones of at least one user, and the one asked for.

    Of shares that are the same number of users only the first is one.
    """
    counts = {round(share * candidates): share for share in reversed(GRID) if share * candidates >= 1}
    usual = set(counts.values())
    if asked is None:
        return sorted(usual)
    return sorted({share for share in usual if abs(share / asked - 1) > 0.02} | {asked})


def curve(
    quantiles: Floats, at: list[float], candidates: int, confidence: float, doubt: Doubt = SURE
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


def summary(
    quantiles: Quantiles, scorer: str, share: float, confidence: float, doubt: Doubt = SURE
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

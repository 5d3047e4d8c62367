"""What kind of people a seed is: how active, how alike, in how many groups, and whether more or fewer of them would help."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.expansion import holdout, metrics
from lookalike.expansion.clustering import cluster, cluster_centres, mean_cosine, stability
from lookalike.expansion.examples import Examples
from lookalike.workspace.settings import ExpandSettings

MAX_SUB_AUDIENCES = 5


MIN_SUB_AUDIENCE = 25


MIN_STABILITY = 0.8  # adjusted Rand index of two clusterings made from different halves


MIN_SEPARATION = 1.15  # how much farther apart two of the whole seed are than two of a cluster; 1.09 in random seeds


BUSY_QUANTILE = 0.999  # events a day above this share of everybody's


@dataclass(frozen=True)
class SubAudience:
    """A part of the seed that stands apart: its share, and what it has more of than the rest of the seed."""

    share: float
    more_of: tuple[str, ...]


@dataclass(frozen=True)
class SeedProfile:
    median_events: float
    usual_events: float  # of the background
    median_days_since: float
    usual_days_since: float
    alike: float  # mean cosine of two seeds
    usual_alike: float  # of two users of the background
    groups: tuple[SubAudience, ...]  # empty where the seed is one audience
    group_of: Rows  # [M]: of each seed
    often: int  # seeds with more events a day than nearly anybody: bots, or staff

    def centres(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of the groups, [G, D], from the seeds' vectors [M, D]."""
        return cluster_centres([vectors[self.group_of == one] for one in range(len(self.groups))])

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "group_of"}


def profile_seed(examples: Examples, names: list[str], first: int, vectors: Rows, seed: int) -> SeedProfile:
    """`names` are the columns of the aggregates, which begin at `first`; `vectors` are those of the user embedding."""
    others = examples.background[examples.seed_of < 0]
    at = {name: first + place for place, name in enumerate(names)}
    groups, group_of = _find_sub_audiences(examples, examples.seed[:, vectors], (names, first), seed)

    def middle(rows: NDArray[np.floating], column: str) -> float:
        return float(np.expm1(np.median(rows[:, at[column]]))) if len(rows) else 0.0

    rates = [rows[:, at["log_events"]] - rows[:, at["log_days"]] for rows in (examples.seed, others)]
    return SeedProfile(
        median_events=middle(examples.seed, "log_events"),
        usual_events=middle(others, "log_events"),
        median_days_since=middle(examples.seed, "log_recency_days"),
        usual_days_since=middle(others, "log_recency_days"),
        alike=mean_cosine(examples.seed[:, vectors]),
        usual_alike=mean_cosine(others[:, vectors]),
        groups=groups,
        group_of=group_of,
        often=int((rates[0] > np.quantile(rates[1], BUSY_QUANTILE)).sum()) if len(others) else 0,
    )


def _find_sub_audiences(
    examples: Examples, block: NDArray[np.floating], named: tuple[list[str], int], seed: int
) -> tuple[tuple[SubAudience, ...], Rows]:
    """The largest number of clusters that come out the same from different halves and hold together; none: one audience."""
    vectors = np.ascontiguousarray(block, np.float32)
    one = np.zeros(len(vectors), np.int64)
    loose = 1 - mean_cosine(vectors)
    for count in range(min(MAX_SUB_AUDIENCES, len(vectors) // MIN_SUB_AUDIENCE), 1, -1):
        rng = np.random.default_rng([seed, 21, count])
        group = cluster(vectors, vectors, count, 1)
        sizes = np.bincount(group, minlength=count)
        if sizes.min() < MIN_SUB_AUDIENCE:
            continue
        tight = 1 - float(np.average([mean_cosine(vectors[group == g]) for g in range(count)], weights=sizes))
        if loose < MIN_SEPARATION * tight or stability(vectors, count, rng) < MIN_STABILITY:
            continue
        order = np.argsort(-sizes, kind="stable")
        renamed = np.argsort(order)[group]
        names, first = named
        had = examples.seed[:, first : first + len(names)]
        made = [
            SubAudience(float(np.mean(renamed == g)), distinguishing_columns(had, renamed == g, names))
            for g in range(count)
        ]
        return tuple(made), renamed.astype(np.int64)
    return (), one


def distinguishing_columns(
    columns: NDArray[np.floating], inside: NDArray[np.bool_], names: list[str]
) -> tuple[str, ...]:
    """The three counting columns that a part of the seed has most more often than the rest of it.

    `columns` are the seed's aggregates, [M, len(names)].
    """
    had = columns > 0
    counted = [at for at, name in enumerate(names) if "=" in name]
    rate = [(had[part][:, counted].sum(axis=0) + 1) / (part.sum() + 2) for part in (inside, ~inside)]
    gain = rate[0] * np.log(rate[0] / rate[1])
    best = np.argsort(-gain, kind="stable")[:3]
    return tuple(
        dict.fromkeys(names[counted[at]] for at in best if gain[at] > 0)
    )  # an event and a user may share a name


OUTLIER_QUANTILE = 0.95


def count_outliers(quantiles: NDArray[np.float64]) -> int:
    """How many held-out seeds [R, M] come behind 95 % of the candidates: strangers among the seed, beside 5 % by chance."""
    return int((quantiles.mean(axis=0) > OUTLIER_QUANTILE).sum())


def gain_of_splitting(
    examples: Examples, group_of: Rows, scorer: str, share: float, settings: ExpandSettings
) -> tuple[float, bool]:
    """By what part more held-out seeds the lists of the groups find than one list of as many people, and whether surely.

    Each group's list is as long as its share of the seed, and only its own people are looked for in it.
    """
    once = replace(settings, repeats=1)
    part_of = np.bincount(group_of) / len(group_of)

    def lifts(kept: Rows, part: float) -> NDArray[np.float64]:
        found = holdout.hold_out(examples.only(kept), (scorer,), once, lambda done: None)[scorer]
        return metrics.lifts(found, share, part)

    apart = np.empty(examples.seeds)
    for group, part in enumerate(part_of):
        kept = np.flatnonzero(group_of == group)
        apart[kept] = lifts(kept, float(part))
    whole = lifts(np.arange(examples.seeds), 1.0)
    gain = apart - whole
    sure = gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))
    return float(gain.mean() / max(whole.mean(), 1e-12)), bool(sure)


def gain_of_doubling(
    examples: Examples, scorer: str, share: float, settings: ExpandSettings, on_fold: Callable[[int], None]
) -> float | None:
    """By what part held-out lift grew from half of the seed to all of it; None where it did not surely grow.

    What the last doubling brought is a cautious guess at what the next would. Each seed is held out from both, so the
    difference is taken seed by seed, and has to be more than two standard errors.
    """
    if examples.seeds < 4 * settings.folds:
        return None
    once = replace(settings, repeats=1)
    every = np.random.default_rng([settings.random_seed, 22]).permutation(examples.seeds)

    def lifts(kept: Rows) -> NDArray[np.float64]:
        return metrics.lifts(holdout.hold_out(examples.only(kept), (scorer,), once, on_fold)[scorer], share)

    half = np.empty(examples.seeds)
    for part in np.array_split(every, 2):
        half[np.sort(part)] = lifts(np.sort(part))
    gain = lifts(np.sort(every)) - half
    sure = gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))
    return float(gain.mean() / half.mean()) if sure and half.mean() > 0 else None

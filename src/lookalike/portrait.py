"""What kind of people a seed is: how active, how alike, in how many groups, and whether more or fewer of them would help."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from lookalike import evaluation, metrics
from lookalike.evaluation import Examples
from lookalike.orders import centres_of
from lookalike.settings import ExpandSettings

Rows = NDArray[np.int64]
MOST_GROUPS = 5
FEWEST_IN_GROUP = 25
STABLE = 0.8  # adjusted Rand index of two clusterings made from different halves
APART = 1.15  # how much farther apart two of the whole seed are than two of a cluster; 1.09 in random seeds
DRAWS = 8
OFTEN = 0.999  # events a day above this share of everybody's


@dataclass(frozen=True)
class Group:
    """A part of the seed that stands apart: its share, and what it has more of than the rest of the seed."""

    share: float
    more_of: tuple[str, ...]


@dataclass(frozen=True)
class Portrait:
    median_events: float
    usual_events: float  # of the background
    median_days_since: float
    usual_days_since: float
    alike: float  # mean cosine of two seeds
    usual_alike: float  # of two users of the background
    groups: tuple[Group, ...]  # empty where the seed is one audience
    group_of: Rows  # [M]: of each seed
    often: int  # seeds with more events a day than nearly anybody: bots, or staff

    def centres(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of the groups, [G, D], from the seeds' vectors [M, D]."""
        return centres_of([vectors[self.group_of == one] for one in range(len(self.groups))])

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "group_of"}


def portrait(examples: Examples, names: list[str], first: int, vectors: Rows, seed: int) -> Portrait:
    """`names` are the columns of the aggregates, which begin at `first`; `vectors` are those of the user embedding."""
    others = examples.background[examples.seed_of < 0]
    at = {name: first + place for place, name in enumerate(names)}
    groups, group_of = _groups(examples, examples.seed[:, vectors], (names, first), seed)

    def middle(rows: NDArray[np.floating], column: str) -> float:
        return float(np.expm1(np.median(rows[:, at[column]]))) if len(rows) else 0.0

    rates = [rows[:, at["log_events"]] - rows[:, at["log_days"]] for rows in (examples.seed, others)]
    return Portrait(
        median_events=middle(examples.seed, "log_events"),
        usual_events=middle(others, "log_events"),
        median_days_since=middle(examples.seed, "log_recency_days"),
        usual_days_since=middle(others, "log_recency_days"),
        alike=_alike(examples.seed[:, vectors]),
        usual_alike=_alike(others[:, vectors]),
        groups=groups,
        group_of=group_of,
        often=int((rates[0] > np.quantile(rates[1], OFTEN)).sum()) if len(others) else 0,
    )


def _alike(vectors: NDArray[np.floating]) -> float:
    """Mean cosine of two different ones of these unit vectors."""
    count = len(vectors)
    if count < 2:
        return 1.0
    total = vectors.astype(np.float64).sum(axis=0)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    return float((total @ total - squares) / (count * (count - 1)))


# --- is it one audience? ---------------------------------------------------------------------------------------------


def _groups(
    examples: Examples, block: NDArray[np.floating], named: tuple[list[str], int], seed: int
) -> tuple[tuple[Group, ...], Rows]:
    """The largest number of clusters that come out the same from different halves and hold together; none: one audience."""
    vectors = np.ascontiguousarray(block, np.float32)
    one = np.zeros(len(vectors), np.int64)
    loose = 1 - _alike(vectors)
    for count in range(min(MOST_GROUPS, len(vectors) // FEWEST_IN_GROUP), 1, -1):
        rng = np.random.default_rng([seed, 21, count])
        group = clustered(vectors, vectors, count, 1)
        sizes = np.bincount(group, minlength=count)
        if sizes.min() < FEWEST_IN_GROUP:
            continue
        tight = 1 - float(np.average([_alike(vectors[group == g]) for g in range(count)], weights=sizes))
        if loose < APART * tight or _stability(vectors, count, rng) < STABLE:
            continue
        order = np.argsort(-sizes, kind="stable")
        renamed = np.argsort(order)[group]
        names, first = named
        had = examples.seed[:, first : first + len(names)]
        made = [Group(float(np.mean(renamed == g)), more_of(had, renamed == g, names)) for g in range(count)]
        return tuple(made), renamed.astype(np.int64)
    return (), one


def clustered(taught: NDArray[np.float32], vectors: NDArray[np.float32], count: int, seed: int) -> Rows:
    """The nearest of so many clusters (spherical k-means of `taught`) of each of the vectors."""
    means = faiss.Kmeans(
        taught.shape[1], count, niter=25, nredo=4, seed=seed, spherical=True, min_points_per_centroid=1
    )
    means.train(np.ascontiguousarray(taught))
    nearest: Rows = np.argmax(vectors @ np.asarray(means.centroids).T, axis=1).astype(np.int64)
    return nearest


def _stability(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> float:
    """Mean agreement about everybody of clusterings made from two halves (Hennig 2007)."""
    from sklearn.metrics import adjusted_rand_score  # slow to import, and seldom needed

    agreed = []
    for draw in range(DRAWS):
        half = rng.permutation(len(vectors)) < len(vectors) // 2
        pair = [clustered(vectors[side], vectors, count, draw) for side in (half, ~half)]
        agreed.append(adjusted_rand_score(*pair))
    return float(np.mean(agreed))


def more_of(columns: NDArray[np.floating], inside: NDArray[np.bool_], names: list[str]) -> tuple[str, ...]:
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


UNLIKE = 0.95


def unlike(quantiles: NDArray[np.float64]) -> int:
    """How many held-out seeds [R, M] come behind 95 % of the candidates: strangers among the seed, beside 5 % by chance."""
    return int((quantiles.mean(axis=0) > UNLIKE).sum())


# --- would more of them help? ----------------------------------------------------------------------------------------


def gain_of_splitting(
    examples: Examples, group_of: Rows, scorer: str, share: float, settings: ExpandSettings
) -> tuple[float, bool]:
    """By what part more held-out seeds the lists of the groups find than one list of as many people, and whether surely.

    Each group's list is as long as its share of the seed, and only its own people are looked for in it.
    """
    once = replace(settings, repeats=1)
    part_of = np.bincount(group_of) / len(group_of)

    def lifts(kept: Rows, part: float) -> NDArray[np.float64]:
        found = evaluation.hold_out(examples.only(kept), (scorer,), once, lambda done: None)[scorer]
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
        return metrics.lifts(evaluation.hold_out(examples.only(kept), (scorer,), once, on_fold)[scorer], share)

    half = np.empty(examples.seeds)
    for part in np.array_split(every, 2):
        half[np.sort(part)] = lifts(np.sort(part))
    gain = lifts(np.sort(every)) - half
    sure = gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain))
    return float(gain.mean() / half.mean()) if sure and half.mean() > 0 else None

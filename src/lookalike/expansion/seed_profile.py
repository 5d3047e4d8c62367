"""What kind of people a seed is: how active, how similar, how many audiences, and whether more seeds would help."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion import leakage, metrics
from lookalike.expansion.clustering import cluster, cluster_centres, mean_cosine, stability
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import FoldScores, held_out_scores, hold_out, quantiles_of
from lookalike.expansion.result import SeedProfile, SubAudience
from lookalike.expansion.selection import Selection
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

MAX_SUB_AUDIENCES = 5
MIN_SUB_AUDIENCE = 25
MIN_STABILITY = 0.8  # adjusted Rand index of clusterings from different halves
MIN_SEPARATION = 1.15  # distance of two seeds over distance within a cluster; random seeds have 1.09
FEATURES_NAMED = 3
BUSY_QUANTILE = 0.999  # of events a day
MIN_OTHERS = 200  # users, below which their busiest one is no measure of what is usual
MANY_TIMES = 5.0
OUTLIER_QUANTILE = 0.95
RELIABLE = 2  # standard errors from which on a difference counts


# --- is it one audience? ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubAudiences:
    """The parts of a seed that stand apart; none if it is one audience."""

    parts: tuple[SubAudience, ...]
    of: Rows  # [M]: the part of each seed

    def centres(self, vectors: Matrix) -> Floats:
        """The centre of each part [G, D], from the seeds' vectors [M, D]."""
        return cluster_centres([vectors[self.of == part] for part in range(len(self.parts))])


def find_sub_audiences(examples: Examples, layout: BlockLayout, random_seed: int) -> SubAudiences:
    """The largest number of clusters that are reproducible from different halves of the seed and well separated."""
    vectors = np.ascontiguousarray(examples.seed[:, layout.columns("sequence")], np.float32)
    spread = 1 - mean_cosine(vectors)
    for count in range(min(MAX_SUB_AUDIENCES, len(vectors) // MIN_SUB_AUDIENCE), 1, -1):
        rng = generator(random_seed, Stream.SUB_AUDIENCES, count)
        part = cluster(vectors, vectors, count, 1)
        sizes = np.bincount(part, minlength=count)
        if sizes.min() < MIN_SUB_AUDIENCE:
            continue
        within = [mean_cosine(vectors[part == number]) for number in range(count)]
        if spread < MIN_SEPARATION * (1 - float(np.average(within, weights=sizes))):
            continue
        if stability(vectors, count, rng) < MIN_STABILITY:
            continue
        by_size = np.argsort(np.argsort(-sizes, kind="stable"))[part].astype(np.int64)
        return SubAudiences(_described(examples, layout, by_size, count), by_size)
    return SubAudiences((), np.zeros(len(vectors), np.int64))


def _described(examples: Examples, layout: BlockLayout, part: Rows, count: int) -> tuple[SubAudience, ...]:
    aggregates = seed_aggregates(examples, layout)
    return tuple(
        SubAudience(
            share=float(np.mean(part == number)),
            more_of=distinguishing_columns(aggregates, part == number, layout.aggregates),
        )
        for number in range(count)
    )


def seed_aggregates(examples: Examples, layout: BlockLayout) -> Matrix:
    """The seeds' aggregate columns, [M, len(layout.aggregates)]."""
    return examples.seed[:, layout.aggregates_start : layout.aggregates_start + len(layout.aggregates)]


def distinguishing_columns(aggregates: Matrix, inside: Flags, names: tuple[str, ...]) -> tuple[str, ...]:
    """The three counting columns [M, len(names)] that a part of the seed has more often than the rest."""
    has = aggregates > 0
    counted = [column for column, name in enumerate(names) if "=" in name]
    rate = [(has[part][:, counted].sum(axis=0) + 1) / (part.sum() + 2) for part in (inside, ~inside)]
    gain = rate[0] * np.log(rate[0] / rate[1])
    best = np.argsort(-gain, kind="stable")[:FEATURES_NAMED]
    # a field of events and a field of users may share a name
    return tuple(dict.fromkeys(names[counted[column]] for column in best if gain[column] > 0))


# --- the profile -----------------------------------------------------------------------------------------------------


def profile_seed(
    examples: Examples,
    layout: BlockLayout,
    parts: SubAudiences,
    selection: Selection,
    settings: ExpandSettings,
    once: Sequence[FoldScores] = (),
) -> SeedProfile:
    """Everything that describes the seed, with figures held out by the selected scorer; `once` if it is held out already."""
    others, share = examples.others, selection.share
    leaks = leakage.find_leaks(examples, layout) if examples.seeds >= settings.min_cell else ()
    splitting, reliable = None, False
    if parts.parts and examples.sub_audience is None:
        splitting, reliable = gain_of_splitting(examples, parts.of, selection.scorer, share, settings)
    vectors = layout.columns("sequence")
    return SeedProfile(
        median_events=_median(examples.seed, layout, "log_events"),
        others_median_events=_median(others, layout, "log_events"),
        median_days_since=_median_days_since(examples.seed, layout),
        others_median_days_since=_median_days_since(others, layout),
        mean_cosine=mean_cosine(examples.seed[:, vectors]),
        others_mean_cosine=mean_cosine(others[:, vectors]),
        sub_audiences=parts.parts,
        busy=_count_busy(examples, layout),
        outliers=count_outliers(selection.own_quantiles),
        leaks=leaks,
        gain_of_doubling=gain_of_doubling(examples, selection.scorer, share, settings, once),
        gain_of_splitting=splitting,
        splitting_reliable=reliable,
    )


def _median(users: Matrix, layout: BlockLayout, column: str) -> float:
    """The median of a logarithmic column, as the plain figure."""
    return float(np.expm1(np.median(users[:, layout.column(column)]))) if len(users) else 0.0


def _median_days_since(users: Matrix, layout: BlockLayout) -> float | None:
    """Of those who have events; None if nobody has."""
    active = users[users[:, layout.column("log_events")] > 0]
    return _median(active, layout, "log_recency_days") if len(active) else None


def _count_busy(examples: Examples, layout: BlockLayout) -> int:
    """Seeds with more events a day than nearly everybody: bots or staff.

    Beside a rule the others are people who have not done it, less active as a whole: then only many times as much counts.
    """
    events, days = layout.column("log_events"), layout.column("log_days")
    rows, margin = (examples.seed, 1.0) if examples.as_now is None else (examples.as_now, MANY_TIMES)
    seed, others = (users[:, events] - users[:, days] for users in (rows, examples.others))
    if len(others) < MIN_OTHERS:
        return 0
    return int((seed > np.quantile(others, BUSY_QUANTILE) + np.log(margin)).sum())


def count_outliers(quantiles: Floats) -> int:
    """Held-out seeds [R, M] that rank behind 95 % of the candidates; by chance 5 % of the seeds would."""
    return int((quantiles.mean(axis=0) > OUTLIER_QUANTILE).sum())


# --- would more seeds, or more lists, help? --------------------------------------------------------------------------


def gain_of_splitting(
    examples: Examples, part_of: Rows, scorer: str, share: float, settings: ExpandSettings
) -> tuple[float, bool]:
    """The relative gain in held-out seeds of one list for each part over one list of the same total size, and whether
    it is reliable.

    The list of a part is as long as its share of the seed, and only its own seeds are looked for in it.
    """
    once = replace(settings, repeats=1)
    apart = hold_out(examples, (scorer,), once, group=part_of)[scorer]
    split = np.empty(examples.seeds)
    for number, part in enumerate(np.bincount(part_of) / len(part_of)):
        own = part_of == number
        split[own] = metrics.lifts(apart[:, own], share, float(part))
    whole = metrics.lifts(hold_out(examples, (scorer,), once)[scorer], share)
    gain = split - whole
    return float(gain.mean() / max(whole.mean(), 1e-12)), _is_reliable(gain)


def held_out_once(examples: Examples, scorer: str, settings: ExpandSettings) -> list[FoldScores]:
    """The scorer's hold-out of the whole seed, folds drawn once."""
    return held_out_scores(examples, (scorer,), replace(settings, repeats=1))


def gain_of_doubling(
    examples: Examples, scorer: str, share: float, settings: ExpandSettings, once: Sequence[FoldScores] = ()
) -> float | None:
    """The relative gain in held-out lift from half of the seed to all of it; None if it is not reliable. `once` is its
    `held_out_once`, if that is there already.

    The last doubling is a cautious guess at what the next would bring. Each seed is held out from both, so differences
    are taken seed by seed.
    """
    if examples.seeds < 4 * settings.folds:
        return None
    order = generator(settings.random_seed, Stream.SEED_HALVES).permutation(examples.seeds)
    apart = hold_out(examples, (scorer,), replace(settings, repeats=1), group=order % 2)
    together = quantiles_of(once or held_out_once(examples, scorer, settings), repeats=1)
    half, whole = (metrics.lifts(quantiles[scorer], share) for quantiles in (apart, together))
    gain = whole - half
    return float(gain.mean() / half.mean()) if _is_reliable(gain) and half.mean() > 0 else None


def _is_reliable(gain: Floats) -> bool:
    return bool(gain.mean() > RELIABLE * gain.std(ddof=1) / np.sqrt(len(gain)))

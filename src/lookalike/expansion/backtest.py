"""The list of an earlier day, and who became a seed after it.

The seeds that came first are taken as the seed; everybody is embedded as they were when the last of them had come; and
the later seeds are what the list of that day has to find. A hold-out hides seeds of the same time; a backtest asks what
an advertiser asks, whether the list finds those who come next.

Some of the future leaks in: the encoder and the prior were trained on the whole log, the scorer was chosen on the whole
seed, and user attributes are those of today. `plain`, a logistic scorer on the aggregates of events alone, is the
leakage-free baseline: only which of its columns are counted was decided on the whole log.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, CLOCK_COLUMNS, VALUE_COLUMNS
from lookalike.errors import ExpansionError
from lookalike.expansion.clustering import cluster
from lookalike.expansion.curves import BandSettings, EffectiveSample, curve_shares, lift_band, lift_curve
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import ACTIVITY, rank_quantiles
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.point_in_time import PointInTime, examples_at_moments
from lookalike.expansion.result import Backtest, MethodLift
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.scorers import fit_all
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.seed import Seed, to_seconds
from lookalike.expansion.seed_checks import MIN_SEEDS
from lookalike.expansion.selection import Selection
from lookalike.workspace.random_streams import Stream, generator

EARLIER_SHARE = 0.7  # of the seeds, by moment, that are the backtest's seed
MIN_LATER_SEEDS = 10
PLAIN = "plain"


def run_backtest(past: PointInTime, seed: Seed, examples: Examples, selection: Selection) -> Backtest:
    """Makes the list of an earlier day and looks for the later seeds in it. Raises ExpansionError when there are too few
    of either.

    Of `examples`, those of the whole seed as they were, only the feature space and the sub-audiences are used.
    """
    assert seed.moment is not None
    settings, users = past.context.settings, past.context.representation.users
    dated = seed.moment <= to_seconds(past.cut.as_of)  # a seed without the event has no moment
    cut = earlier_cut(seed.moment[dated])
    earlier, later = dated & (seed.moment < cut), dated & (seed.moment >= cut)
    _check_counts(int(earlier.sum()), int(later.sum()), cut)
    then = past.until(datetime.fromtimestamp(cut, UTC).replace(tzinfo=None))
    rng = generator(settings.random_seed, Stream.BACKTEST)
    everybody = draw_background(users, seed.suppressed, settings.background, settings.random_seed)
    fitted_on = rng.random(len(everybody)) < 0.5  # these do not stand for the candidates as well
    # nor do the later seeds count as background
    background = np.setdiff1d(everybody[fitted_on], seed.rows[later])
    training, _ = examples_at_moments(then, seed.subset(earlier), examples, background)
    if examples.sub_audience is not None:
        training = replace(training, sub_audience=_clustered(training, int(examples.sub_audience.max()) + 1))
    sampled_later = draw_sample(seed.rows[later], settings.background, settings.random_seed)
    strangers = np.setdiff1d(everybody[~fitted_on], seed.rows[earlier | later])
    universe = _universe(then, strangers, sampled_later)
    _check_counts(training.seeds, len(universe.later), cut)
    eligible = users - len(seed.suppressed) - training.seeds
    candidates = max(len(universe.others), round(universe.share_there * eligible))
    tie_breaks = rng.random(len(universe.later))
    quantiles = {
        name: rank_quantiles(score(universe.later), score(universe.others), candidates, tie_breaks)[None]
        for name, score in _scores(past, training, selection.scorer, rng).items()
    }
    pool = len(universe.others)
    sample = EffectiveSample(pool / (1 - pool / candidates) if pool < candidates else np.inf)
    facts = _Facts(then.cut.as_of, training.seeds, len(sampled_later), candidates)
    return _record(facts, quantiles, selection, BandSettings(settings.confidence, sample))


def earlier_cut(moments: Rows) -> int:
    """The moment before which the earlier seeds came. Raises ExpansionError when there is no moment."""
    if not len(moments):
        raise ExpansionError(
            "all seeds became seeds after the log ends", "ingest the events since then, or leave --backtest out"
        )
    return int(np.quantile(moments, EARLIER_SHARE, method="higher"))


def _check_counts(earlier: int, later: int, cut: int) -> None:
    if earlier < MIN_SEEDS or later < MIN_LATER_SEEDS:
        day = datetime.fromtimestamp(cut, UTC).date()
        raise ExpansionError(
            f"{earlier:,} seeds before {day} and {later:,} known users after it are too few for a backtest",
            f"at least {MIN_SEEDS} before and {MIN_LATER_SEEDS} after are needed; leave --backtest out",
        )


def _clustered(training: Examples, count: int) -> Rows:
    """The earlier seeds in as many clusters as the whole seed has sub-audiences."""
    vectors = np.ascontiguousarray(training.seed[:, training.space.columns(("sequence",))], np.float32)
    return cluster(vectors, vectors, count, 1)


@dataclass(frozen=True)
class _Universe:
    """Users as they were at the cut, only those with events by then."""

    others: Matrix  # [P, W]
    later: Matrix  # [L, W]: the later seeds
    share_there: float  # of the others, who had events by then


def _universe(then: PointInTime, strangers: Rows, later: Rows) -> _Universe:
    ids = then.context.index.ids(np.concatenate([strangers, later]))
    past = then.vectors(ids, np.full(len(ids), to_seconds(then.cut.as_of)))
    others, seeds = slice(0, len(strangers)), slice(len(strangers), None)
    return _Universe(
        others=past.vectors[others][past.had_events[others]],
        later=past.vectors[seeds][past.had_events[seeds]],
        share_there=float(past.had_events[others].mean()) if len(strangers) else 0.0,
    )


def _scores(past: PointInTime, training: Examples, scorer: str, rng: np.random.Generator) -> dict[str, Score]:
    """The scorer, the centroid where there is one, the leakage-free baseline, and activity alone."""
    names = tuple(name for name in training.space.names if name in ("centroid", scorer))
    scores = fit_all(names, training.space, training.training_sample, rng)
    events_only = training.space.without(_profile_columns(past))
    unbalanced = replace(training, sub_audience=None).training_sample
    scores[PLAIN] = fit_all(("logistic",), events_only, unbalanced, rng)["logistic"]
    scores[ACTIVITY] = lambda block: block[:, training.activity_column].astype(np.float64)
    return scores


def _profile_columns(past: PointInTime) -> Rows:
    """The columns of user attributes: these have no time, and may tell who became a seed."""
    aggregates = past.context.run.config.aggregates
    start = past.context.representation.layout.aggregates_start
    start += len(ACTIVITY_COLUMNS) + len(VALUE_COLUMNS) + len(CLOCK_COLUMNS) + sum(aggregates.codes.values())
    return np.arange(start, start + aggregates.profile)


@dataclass(frozen=True)
class _Facts:
    cut: datetime
    seeds: int
    later: int  # later seeds looked for, newcomers included
    candidates: int


def _record(facts: _Facts, quantiles: Quantiles, selection: Selection, bands: BandSettings) -> Backtest:
    shares = curve_shares(facts.candidates, selection.share)
    measured = quantiles[selection.scorer].shape[1]
    return Backtest(
        cut=facts.cut,
        seeds=facts.seeds,
        later=measured,
        newcomers=facts.later - measured,
        candidates=facts.candidates,
        share=selection.share,
        lifts={name: _lift(values, selection.share, bands) for name, values in quantiles.items()},
        curves={name: lift_curve(values, shares, facts.candidates, bands) for name, values in quantiles.items()},
    )


def _lift(quantiles: Floats, share: float, bands: BandSettings) -> MethodLift:
    band = lift_band(quantiles, share, bands)
    return MethodLift(lift=band.value, low=band.low, high=band.high)

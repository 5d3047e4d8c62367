"""The list that would have been made at an earlier moment, and who became a seed after it.

The first of the seeds, by the moment each became one, are taken as the seed; everybody is embedded as they were when the
last of them had become one; and the seeds that came later are what the list of that day has to find. A hold-out hides
people of the same time; this asks what an advertiser asks, whether the list finds those who come next.

The encoder and the prior were trained on the whole log, the time after the cut included; which scorer is tried was
chosen on the whole seed; and what a table of users says of them is of today. `plain`, a logistic scorer on the figures
of the events alone, reads none of that; only which of them are counted was decided on the whole log.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, CLOCK_COLUMNS, VALUE_COLUMNS
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import ExpansionError
from lookalike.expansion import clustering, curves, examples, holdout, point_in_time
from lookalike.expansion.curves import EffectiveSample
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.point_in_time import PointInTime
from lookalike.expansion.scorers import fit_all
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.seed import SeedPeople
from lookalike.expansion.seed_checks import MIN_SEEDS
from lookalike.workspace.settings import ExpandSettings

EARLIER_SHARE = 0.7  # share of the seeds, in the order in which they became seeds, that are the backtest's seed


MIN_LATER_SEEDS = 10


PLAIN = "plain"


@dataclass(frozen=True)
class Backtest:
    cut: datetime
    seeds: int
    newcomers: int  # later seeds who had done nothing before the cut: no list could have held them
    candidates: int
    quantiles: Quantiles  # of each method, [1, later]: the share of the candidates before each later seed
    doubt: EffectiveSample


def run_backtest(
    past: PointInTime, people: SeedPeople, known: Examples, scorer: str, settings: ExpandSettings
) -> Backtest:
    """Makes the list of the cut and looks for the later seeds in it. Raises ExpansionError when either are too few.

    Of `known`, the examples of the whole seed as they were, only the columns and the prior are used.
    """
    assert people.moment is not None
    dated = people.moment <= point_in_time.to_seconds(past.cut.as_of)  # who never did what makes a seed has no moment
    cut = cut_of(people.moment[dated])
    before, after = dated & (people.moment < cut), dated & (people.moment >= cut)
    _check(int(before.sum()), int(after.sum()), cut)
    then = past.until(datetime.fromtimestamp(cut, UTC).replace(tzinfo=None))
    rng = np.random.default_rng([settings.random_seed, 31])
    users = past.representation.users
    everybody = examples.draw_background(users, people.suppressed, settings.background, settings.random_seed)
    fitted = rng.random(len(everybody)) < 0.5  # who was fitted on does not stand for the candidates
    # nor does who is looked for teach as somebody who is none
    crowd_of = np.setdiff1d(everybody[fitted], people.seed[after])
    taught, _ = point_in_time.examples_at_moments(then, _those(people, before), known, settings, crowd_of)
    if known.group is not None:
        taught = replace(taught, group=_grouped(taught, int(known.group.max()) + 1))
    after_cut = examples.draw_sample(people.seed[after], settings.background, settings.random_seed)
    strangers = np.setdiff1d(everybody[~fitted], people.seed[before | after])
    crowd, later, there = _universe(then, strangers, after_cut)
    _check(taught.seeds, len(later), cut)
    candidates = max(len(crowd), round(there * (users - len(people.suppressed) - taught.seeds)))
    chance = rng.random(len(later))
    quantiles = {
        name: holdout.rank_quantiles(score(later), score(crowd), candidates, chance)[None]
        for name, score in _scores(past, taught, scorer, rng).items()
    }
    return Backtest(
        then.cut.as_of, taught.seeds, len(after_cut) - len(later), candidates, quantiles, _doubt(len(crowd), candidates)
    )


def cut_of(moment: Rows) -> int:
    """The moment before which the earlier seeds became seeds. Raises ExpansionError where there is no moment."""
    if not len(moment):
        raise ExpansionError(
            "all seeds became seeds after the log ends", "ingest what came since, or leave --backtest out"
        )
    return int(np.quantile(moment, EARLIER_SHARE, method="higher"))


def _those(people: SeedPeople, kept: NDArray[np.bool_]) -> SeedPeople:
    assert people.moment is not None
    value = None if people.value is None else people.value[kept]
    return replace(people, seed=people.seed[kept], moment=people.moment[kept], value=value)


def _check(before: int, after: int, cut: int) -> None:
    if before < MIN_SEEDS or after < MIN_LATER_SEEDS:
        day = datetime.fromtimestamp(cut, UTC).date()
        raise ExpansionError(
            f"{before:,} seeds before {day} and {after:,} known ones after it are too few for a backtest",
            f"{MIN_SEEDS} before and {MIN_LATER_SEEDS} after are the least; leave --backtest out",
        )


def _grouped(taught: Examples, count: int) -> Rows:
    """The seeds in as many clusters as the whole seed has parts."""
    vectors = np.ascontiguousarray(taught.seed[:, taught.space.columns(("sequence",))], np.float32)
    return clustering.cluster(vectors, vectors, count, 1)


def _universe(
    then: PointInTime, strangers: Rows, later: Rows
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Strangers and the later seeds as they were at the cut, each [n, W], and the share of strangers who were there."""
    ids = UserIndex(then.representation).ids(np.concatenate([strangers, later]))
    moment = np.full(len(ids), point_in_time.to_seconds(then.cut.as_of))
    vectors, had = then.vectors(pl.DataFrame({"user_id": ids, "moment": moment}))
    first, rest = slice(0, len(strangers)), slice(len(strangers), None)
    there = float(had[first].mean()) if len(strangers) else 0.0
    return vectors[first][had[first]], vectors[rest][had[rest]], there


def _scores(past: PointInTime, taught: Examples, scorer: str, rng: np.random.Generator) -> dict[str, Score]:
    """The scorer, the centroid where there is one, activity alone, and what reads nothing that came later."""
    names = tuple(name for name in taught.space.names if name in ("centroid", scorer))
    scores = fit_all(names, taught.space, taught.taught, rng)
    of_events = taught.space.without(_profile(past))
    alone = replace(taught, group=None).taught
    scores[PLAIN] = fit_all(("logistic",), of_events, alone, rng)["logistic"]
    scores[ACTIVITY] = lambda block: block[:, taught.activity].astype(np.float64)
    return scores


def _profile(past: PointInTime) -> Rows:
    """The columns of what the table of users says: it has no time, and may say who became a seed."""
    aggregates = past.run.config["aggregates"]
    codes = sum(aggregates["codes"].values())
    first = (
        past.representation.layout.aggregates_start + len((*ACTIVITY_COLUMNS, *VALUE_COLUMNS, *CLOCK_COLUMNS)) + codes
    )
    return np.arange(first, first + aggregates["profile"])


def _doubt(crowd: int, candidates: int) -> EffectiveSample:
    return EffectiveSample(crowd / (1 - crowd / candidates) if crowd < candidates else np.inf)


def backtest_record(found: Backtest, scorer: str, share: float, confidence: float) -> dict[str, object]:
    """As evaluation.json holds it: the lift of each method at the share asked for, and the curves."""
    at = curves.curve_shares(found.candidates, share)
    later = {name: curves.lift_band(of, share, confidence, found.doubt) for name, of in found.quantiles.items()}

    def curve(of: Floats) -> list[dict[str, float]]:
        return curves.lift_curve(of, at, found.candidates, confidence, found.doubt)

    return {
        "cut": found.cut.isoformat(),
        "seeds": found.seeds,
        "later": found.quantiles[scorer].shape[1],
        "newcomers": found.newcomers,
        "candidates": found.candidates,
        "share": share,
        "lifts": {name: {"lift": band.value, "low": band.low, "high": band.high} for name, band in later.items()},
        "curves": {name: curve(of) for name, of in found.quantiles.items()},
    }

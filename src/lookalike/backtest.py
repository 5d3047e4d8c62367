"""The list that would have been made at an earlier moment, and who became a seed after it.

The first of the seeds, by the moment each became one, are taken as the seed; everybody is embedded as they were when the
last of them had become one; and the seeds that came later are what the list of that day has to find. A hold-out hides
people of the same time; this asks what an advertiser asks, whether the list finds those who come next.

The encoder and the prior were trained on the whole log, the time after the cut included. `blind`, a logistic scorer on
the plain aggregates, was not: what it finds, nothing of later can have helped to find.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike import embeddings, evaluation, expansion, leakage, moments
from lookalike.diagnosis import FEWEST
from lookalike.errors import ExpansionError
from lookalike.evaluation import ACTIVITY, Doubt, Examples, Floats, Quantiles
from lookalike.expansion import People
from lookalike.moments import Past
from lookalike.orders import Score
from lookalike.scoring import fit_all
from lookalike.settings import ExpandSettings

Rows = NDArray[np.int64]
EARLIER = 0.7  # share of the seeds, in the order in which they became seeds, that are the backtest's seed
FEWEST_LATER = 10
BLIND = "blind"


@dataclass(frozen=True)
class Backtest:
    cut: datetime
    seeds: int
    newcomers: int  # later seeds who had done nothing before the cut: no list could have held them
    candidates: int
    quantiles: Quantiles  # of each method, [1, later]: the share of the candidates before each later seed
    doubt: Doubt


def run(past: Past, people: People, known: Examples, scorer: str, settings: ExpandSettings) -> Backtest:
    """Makes the list of the cut and looks for the later seeds in it. Raises ExpansionError when either are too few.

    Of `known`, the examples of the whole seed as they were, only the columns and the prior are used.
    """
    assert people.moment is not None
    dated = people.moment <= moments.seconds(past.cut.as_of)  # who never did what makes a seed has no moment
    if not dated.any():
        raise ExpansionError(
            "all seeds became seeds after the log ends", "ingest what came since, or leave --backtest out"
        )
    cut = int(np.quantile(people.moment[dated], EARLIER, method="higher"))
    before, after = dated & (people.moment < cut), dated & (people.moment >= cut)
    _check(int(before.sum()), int(after.sum()), cut)
    then = past.until(datetime.fromtimestamp(cut, UTC).replace(tzinfo=None))
    taught, _ = moments.examples(then, _those(people, before), known, settings)
    crowd, later, there = _universe(then, people, (people.seed[before], people.seed[after]), settings)
    _check(taught.seeds, len(later), cut)
    rng = np.random.default_rng([settings.random_seed, 31])
    candidates = max(len(crowd), round(there * (past.representation.users - len(people.suppressed) - taught.seeds)))
    chance = rng.random(len(later))
    quantiles = {
        name: evaluation.places(score(later), score(crowd), candidates, chance)[None]
        for name, score in _scores(taught, scorer, rng).items()
    }
    newcomers = int(after.sum()) - len(later) if int(after.sum()) <= settings.background else 0
    return Backtest(then.cut.as_of, taught.seeds, newcomers, candidates, quantiles, _doubt(len(crowd), candidates))


def _those(people: People, kept: NDArray[np.bool_]) -> People:
    assert people.moment is not None
    value = None if people.value is None else people.value[kept]
    return replace(people, seed=people.seed[kept], moment=people.moment[kept], value=value)


def _check(before: int, after: int, cut: int) -> None:
    if before < FEWEST or after < FEWEST_LATER:
        day = datetime.fromtimestamp(cut, UTC).date()
        raise ExpansionError(
            f"{before:,} seeds before {day} and {after:,} known ones after it are too few for a backtest",
            f"{FEWEST} before and {FEWEST_LATER} after are the least; leave --backtest out",
        )


def _universe(
    then: Past, people: People, seeds: tuple[Rows, Rows], settings: ExpandSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """A crowd and the later seeds as they were at the cut, each [n, W], and the share of everybody who was there."""
    earlier, later = seeds
    drawn = expansion.draw_background(
        then.representation.users, people.suppressed, settings.background, settings.random_seed
    )
    others = np.setdiff1d(drawn, np.union1d(earlier, later))
    later = expansion.draw(later, settings.background, settings.random_seed)
    rows = np.concatenate([others, later])
    ids = embeddings.user_ids(then.representation, rows)
    moment = np.full(len(rows), moments.seconds(then.cut.as_of))
    vectors, had = then.vectors(pl.DataFrame({"user_id": ids, "moment": moment}))
    first, rest = slice(0, len(others)), slice(len(others), None)
    return vectors[first][had[first]], vectors[rest][had[rest]], float(had[first].mean()) if len(others) else 0.0


def _scores(taught: Examples, scorer: str, rng: np.random.Generator) -> dict[str, Score]:
    """The scorer, the centroid where there is one, activity alone, and what has not seen what came later."""
    names = tuple(name for name in taught.space.names if name in ("centroid", scorer))
    scores = fit_all(names, taught.space, taught.taught, rng)
    blind = leakage.without(taught.space, np.zeros(0, np.int64))
    scores[BLIND] = fit_all(("logistic",), blind, taught.taught, rng)["logistic"]
    scores[ACTIVITY] = lambda block: block[:, taught.activity].astype(np.float64)
    return scores


def _doubt(crowd: int, candidates: int) -> Doubt:
    return Doubt(crowd / (1 - crowd / candidates) if crowd < candidates else np.inf)


def record(found: Backtest, scorer: str, share: float, confidence: float) -> dict[str, object]:
    """As evaluation.json holds it: the lift of each method at the share asked for, and the curves."""
    at = evaluation.shares(found.candidates, share)
    later = {name: evaluation.lift_band(of, share, confidence, found.doubt) for name, of in found.quantiles.items()}

    def curve(of: Floats) -> list[dict[str, float]]:
        return evaluation.curve(of, at, found.candidates, confidence, found.doubt)

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

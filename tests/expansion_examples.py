"""Users with planted traits, as the examples that scorers are fitted and measured on."""

import numpy as np

from lookalike.data.arrays import Floats, Rows
from lookalike.expansion.curves import BandSettings
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.result import PermutationTest
from lookalike.expansion.scorers import FeatureSpace
from lookalike.expansion.selection import Selection
from lookalike.expansion.verdict import HeldOutRankings, RequestedList, decide
from lookalike.workspace.settings import ExpandSettings

QUICK = ExpandSettings(repeats=2, folds=4)
STANDS_OUT = PermutationTest(lift=4.0, random_lift=1.0, p_value=0.002, draws=400)


def examples_of(values: Floats, seed: Rows, background: Rows | None = None) -> Examples:
    """Users with these columns, of which the first is activity; every scorer reads all of them.

    `seed` and `background` are row numbers; by default the background is everybody.
    """
    background = np.arange(len(values)) if background is None else background
    position = {int(row): index for index, row in enumerate(seed)}
    return Examples(
        seed=values[seed].astype(np.float32),
        weight=np.ones(len(seed)),
        negatives=np.zeros((0, values.shape[1]), np.float32),
        background=values[background].astype(np.float32),
        seed_index=np.array([position.get(int(row), -1) for row in background]),
        candidates=len(values) - len(seed),
        space=FeatureSpace(lambda blocks: np.arange(values.shape[1])),
        activity_column=0,
        rows=seed,
    )


def log_like_values(rng: np.random.Generator, users: int, columns: int) -> Floats:
    """Activity with many ties, columns that follow it with noise, and independent columns."""
    activity = np.log1p(1 + rng.geometric(0.35, users))
    correlated = activity[:, None] + rng.normal(0, 0.5, (users, columns // 2))
    return np.hstack([activity[:, None], correlated, rng.normal(0, 1, (users, columns - columns // 2))])


def random_users(rng: np.random.Generator, values: Floats) -> Rows:
    return np.sort(rng.permutation(len(values))[:80])


def active_users(rng: np.random.Generator, values: Floats) -> Rows:
    """Drawn by activity and by nothing else."""
    odds = np.exp(values[:, 0])
    return np.sort(rng.choice(len(values), 80, replace=False, p=odds / odds.sum()))


def similar_users(rng: np.random.Generator, values: Floats) -> Rows:
    score = values[:, -1] + rng.normal(0, 0.5, len(values))
    return np.sort(np.argsort(-score)[: len(values) // 6][rng.permutation(len(values) // 6)[:80]])


def selection_of(
    quantiles: Floats, share: float, scorer: str = "logistic", candidates: int = 1_000, begin: float = 0.0
) -> Selection:
    """A selection of a scorer with these quantiles [R, M]; activity ranks at random."""
    bands = BandSettings(0.95)
    activity = np.random.default_rng(0).random(quantiles.shape)
    requested = RequestedList(share, largest=0.2, begin=begin)
    rankings = HeldOutRankings(quantiles, activity, bands)
    return Selection(
        scorer=scorer,
        size=round(share * candidates),
        requested=requested,
        quantiles={scorer: quantiles, ACTIVITY: activity},
        bands=bands,
        verdict=decide(rankings, STANDS_OUT, requested, candidates, 1.0),
        candidates=candidates,
    )

"""Which scorer makes the list, chosen by held-out lift."""

import numpy as np

from lookalike.data.arrays import Floats
from lookalike.errors import SettingsError
from lookalike.expansion import metrics
from lookalike.expansion.examples import Examples
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import NAMES, SCORERS
from lookalike.workspace.random_streams import Stream, generator

AUTO = "auto"
REFERENCE_SCORERS = ("transfer", "logistic")  # the best single scorers on most public logs, see docs/benchmarks.md
CROSS_FIT_GROUPS = 5
RELIABLE = 2  # standard errors from which on a difference counts
RELIABLE_FORECAST = 3  # in a forecast, which looks for fewer people than a hold-out repeats


def scorers_to_measure(requested: str, examples: Examples) -> tuple[str, ...]:
    """For `auto` every scorer that suits the seed; else the requested one and the plain centroid, where there is one.

    Raises SettingsError for an unknown scorer, or one that cannot be fitted here.
    """
    usable = examples.space.names
    if requested == AUTO:
        return tuple(name for name in usable if name in SCORERS and SCORERS[name].tried)
    if requested not in NAMES:
        raise SettingsError(f"no scorer is called {requested[:40]!r}", f"--scorer {'|'.join((AUTO, *NAMES))}")
    if requested not in usable and not len(
        examples.space.columns(SCORERS[requested].blocks if requested in SCORERS else ())
    ):
        raise SettingsError(
            f"{requested} reads the user embedding, which --drop-features removes",
            f"--scorer {'|'.join((AUTO, *usable))}",
        )
    if requested not in usable:
        raise SettingsError(
            f"{requested} needs what training learns from the log's own audiences, and this run has learned none",
            f"--scorer {'|'.join((AUTO, *usable))}; or train on a log with more users and items",
        )
    return tuple(name for name in usable if name in ("centroid", requested))


def choose_scorer(quantiles: Quantiles, names: tuple[str, ...], share: float, reliable: float = RELIABLE) -> str:
    """The reference scorer, unless the held-out lift of another is better by so many standard errors.

    With few seeds the best of several is mostly the luckiest. Differences are taken seed by seed.
    """
    lifts = {name: metrics.lifts(quantiles[name], share) for name in names}
    chosen = next((name for name in REFERENCE_SCORERS if name in names), names[0])
    for name in names:
        gain = lifts[name] - lifts[chosen]
        if gain.mean() > reliable * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = name
    return chosen


def cross_fitted_quantiles(
    quantiles: Quantiles, names: tuple[str, ...], share: float, random_seed: int, reliable: float = RELIABLE
) -> Floats:
    """The quantiles [R, M] of choosing as `choose_scorer` does: for each seed those of the scorer the other seeds chose.

    A scorer that was chosen for being best on some seeds looks better on them than it is.
    """
    count = next(iter(quantiles.values())).shape[1]
    group = generator(random_seed, Stream.CROSS_FIT).permutation(np.arange(count) % CROSS_FIT_GROUPS)
    cross_fitted = np.empty_like(quantiles[names[0]])
    for number in np.unique(group):
        inside = group == number
        others = {name: quantiles[name][:, ~inside] for name in names}
        cross_fitted[:, inside] = quantiles[choose_scorer(others, names, share, reliable)][:, inside]
    return cross_fitted

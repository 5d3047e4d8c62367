"""TODO"""

import numpy as np

from lookalike.data.arrays import Floats
from lookalike.expansion import metrics
from lookalike.expansion.metrics import Quantiles

REFERENCE_SCORERS = ("transfer", "logistic")  # the best single scorers on most public logs, see docs/benchmarks.md


CROSS_FIT_GROUPS = 5


def choose_scorer(quantiles: Quantiles, names: tuple[str, ...], share: float) -> str:
    """The reference scorer, unless another has a held-out lift that is better by more than two standard errors.

    With few seeds the best of several is mostly the luckiest. The difference is taken seed by seed.
    """
    found = {name: metrics.lifts(quantiles[name], share) for name in names}
    chosen = next((name for name in REFERENCE_SCORERS if name in names), names[0])
    for name in names:
        gain = found[name] - found[chosen]
        if gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = name
    return chosen


def cross_fitted_quantiles(quantiles: Quantiles, names: tuple[str, ...], share: float, seed: int) -> Floats:
    """Quantiles [R, M] of choosing as `choose` does: each seed's are those of the scorer that the other seeds chose.

    What was chosen for being best on some people looks better on them than it is.
    """
    count = next(iter(quantiles.values())).shape[1]
    group = np.random.default_rng([seed, 8]).permutation(np.arange(count) % CROSS_FIT_GROUPS)
    found = np.empty_like(quantiles[names[0]])
    for one in np.unique(group):
        others = {name: quantiles[name][:, group != one] for name in names}
        found[:, group == one] = quantiles[choose_scorer(others, names, share)][:, group == one]
    return found

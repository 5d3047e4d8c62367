"""Numbers about an ordering. Names and formulas: docs/concepts.md. Arrays in, floats out; no randomness."""

from collections.abc import Callable

import numpy as np

from lookalike.data.arrays import Floats


def recall(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """Held-out seeds found in the first `share` of the candidates / all of them; by weight [M], what they are worth.

    quantiles [R, M]: of each held-out seed, the share of the candidates ranked before it, in each repeat.
    """
    found = quantiles < share
    return float(np.mean(found) if weight is None else np.average(found, axis=1, weights=weight).mean())


def lift(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """recall / share: how many times more held-out seeds than a random order finds. 1 is chance."""
    return recall(quantiles, share, weight) / share


NEARBY_SIZES = (0.5, 0.71, 1, 1.41, 2)


def lifts(quantiles: Floats, share: float, part: float = 1.0) -> Floats:
    """What each seed adds to lift, [M], over sizes from half to twice this one: at one size there is only a handful of hits.

    Found within `part` of each size, it counts as found.
    """
    about = [min(1.0, share * factor) for factor in NEARBY_SIZES]
    found: Floats = np.mean([(quantiles < part * size) / size for size in about], axis=(0, 1))
    return found


def auc(quantiles: Floats) -> float:
    """Chance that a held-out seed is ranked before a random candidate. 0.5 is chance."""
    return float(1 - np.mean(quantiles))


def partial_auc(quantiles: Floats, most: float = 0.05) -> float:
    """Area under the head of the curve, to so many false positives / that many. Chance is most / 2, perfect 1."""
    return float(np.mean(np.maximum(0.0, 1 - quantiles / most)))


def gain(quantiles: Floats) -> float:
    """Area between the cumulative gain curve and chance / the same of a perfect order: 2 AUC - 1. 0 is chance."""
    return 2 * auc(quantiles) - 1


def precision_floor(recall: float, held_out: float, size: float) -> float:
    """The least share of the first `size` who are what is looked for: only the held-out seeds are known to be."""
    return recall * held_out / size


AUDIENCE_METRICS: dict[str, Callable[[Floats, float], float]] = {
    "recall": recall,
    "lift": lift,
    "auc": lambda quantiles, share: auc(quantiles),
    "partial_auc": lambda quantiles, share: partial_auc(quantiles),
    "gain": lambda quantiles, share: gain(quantiles),
}


Quantiles = dict[str, Floats]  # of each method: [repeats, M], the share of the candidates before each held-out seed

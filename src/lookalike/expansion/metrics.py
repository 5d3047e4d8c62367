"""Figures about an ordering. Names and formulas: docs/concepts.md. Arrays in, floats out; no randomness.

Everything follows from quantiles [R, M]: for each held-out seed, in each repeat, the share of the candidates ranked
before it.
"""

import numpy as np

from lookalike.data.arrays import Floats

Quantiles = dict[str, Floats]  # by method, [R, M]
NEARBY_SIZES = (0.5, 0.71, 1, 1.41, 2)


def recall(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """The share of held-out seeds in the first `share` of the candidates; with weights [M], of their total weight."""
    hits = quantiles < share
    return float(np.mean(hits) if weight is None else np.average(hits, axis=1, weights=weight).mean())


def lift(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """recall / share: how many times as many held-out seeds as in a random order. 1 is chance."""
    return recall(quantiles, share, weight) / share


def lifts(quantiles: Floats, share: float, part: float = 1.0) -> Floats:
    """Each seed's contribution to lift [M], averaged over sizes from half to twice `share`: one size alone has few hits.

    A seed counts as a hit within `part` of each size.
    """
    sizes = [min(1.0, share * factor) for factor in NEARBY_SIZES]
    contributions: Floats = np.mean([(quantiles < part * size) / size for size in sizes], axis=(0, 1))
    return contributions


def auc(quantiles: Floats) -> float:
    """The probability that a held-out seed is ranked before a random candidate. 0.5 is chance."""
    return float(1 - np.mean(quantiles))


def partial_auc(quantiles: Floats, max_share: float = 0.05) -> float:
    """Area under the curve up to `max_share` false positives, divided by it. Chance is max_share / 2, perfect is 1."""
    return float(np.mean(np.maximum(0.0, 1 - quantiles / max_share)))


def gain(quantiles: Floats) -> float:
    """Area between the cumulative gain curve and chance, relative to a perfect order: 2 AUC - 1. 0 is chance."""
    return 2 * auc(quantiles) - 1


def precision_floor(recall: float, held_out: float, size: float) -> float:
    """The least precision of the first `size`: only held-out seeds are known to belong to the audience."""
    return recall * held_out / size

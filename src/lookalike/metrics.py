"""Numbers about an ordering. Names and formulas: docs/concepts.md. Arrays in, floats out; no randomness."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def recall_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of hits among the first k / relevant items. hits [n, k] of 0 and 1 in rank order, relevant [n]."""
    return float(np.mean(hits.sum(1) / relevant)) if len(hits) else 0.0


def ndcg_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of the discounted gain / the best possible (Järvelin and Kekäläinen 2002, binary gains)."""
    if not len(hits):
        return 0.0
    discounts = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.cumsum(discounts)[np.minimum(relevant, hits.shape[1]).astype(int) - 1]
    return float(np.mean(hits @ discounts / best))


ITEM_METRICS: dict[str, Callable[[Floats, Floats], float]] = {"recall@20": recall_at, "ndcg@20": ndcg_at}


def recall(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """Held-out seeds found in the first `share` of the candidates / all of them; by weight [M], what they are worth.

    quantiles [R, M]: of each held-out seed, the share of the candidates ranked before it, in each repeat.
    """
    found = quantiles < share
    return float(np.mean(found) if weight is None else np.average(found, axis=1, weights=weight).mean())


def lift(quantiles: Floats, share: float, weight: Floats | None = None) -> float:
    """recall / share: how many times more held-out seeds than a random order finds. 1 is chance."""
    return recall(quantiles, share, weight) / share


ABOUT = (0.5, 0.71, 1, 1.41, 2)


def lifts(quantiles: Floats, share: float, part: float = 1.0) -> Floats:
    """What each seed adds to lift, [M], over sizes from half to twice this one: at one size there is only a handful of hits.

    Found within `part` of each size, it counts as found.
    """
    about = [min(1.0, share * factor) for factor in ABOUT]
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

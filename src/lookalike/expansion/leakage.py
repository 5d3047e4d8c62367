"""Leakage: single features that nearly define the seed.

Buyers are told apart from everybody else by having bought. A list ranked by that finds people who have bought already,
and its held-out lift is a promise about the past. Such columns are found and named here; the lift and the verdict without
them are those of `judgement.judge_without`.
"""

import numpy as np

from lookalike.data.arrays import Floats, Matrix
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion.examples import Examples
from lookalike.expansion.result import Leak

MIN_SEED_SHARE = 0.8  # of the seed beyond a column's threshold ...
MAX_OTHERS_SHARE = 0.2  # ... and of the others, at most
MIN_RATIO = 8.0
THRESHOLDS = 21  # quantiles of the seed that are tried


def find_leaks(examples: Examples, layout: BlockLayout) -> tuple[Leak, ...]:
    """The aggregate columns that nearly define the seed, the clearest first. Only columns a scorer may read count."""
    start, names = layout.aggregates_start, layout.aggregates
    columns = slice(start, start + len(names))
    seed, others = examples.seed[:, columns], examples.others[:, columns]
    leaks = []
    for column in examples.space.columns(("aggregates",)) - start:
        inside, outside, less = _best_threshold(seed[:, column], others[:, column])
        if inside >= MIN_SEED_SHARE and outside <= MAX_OTHERS_SHARE and inside >= MIN_RATIO * outside:
            leaks.append(Leak(column=names[column], seed=inside, others=outside, less=less))
    return tuple(sorted(leaks, key=lambda leak: leak.others - leak.seed))


def _best_threshold(seed: Matrix, others: Matrix) -> tuple[float, float, bool]:
    """The shares of both beyond the threshold where they differ most (Youden's J), and whether that side is below it."""
    thresholds = np.unique(np.quantile(seed, np.linspace(0, 1, THRESHOLDS)))
    ordered = [np.sort(values) for values in (seed, others)]
    above = np.stack([_share_above(values, thresholds) for values in ordered])
    below = np.stack([_share_below(values, thresholds) for values in ordered])
    shares = np.hstack([above, below])
    best = int(np.argmax(shares[0] - shares[1]))
    return float(shares[0, best]), float(shares[1, best]), best >= above.shape[1]


def _share_above(ordered: Matrix, thresholds: Matrix) -> Floats:
    return 1 - np.searchsorted(ordered, thresholds, "left") / max(1, len(ordered))


def _share_below(ordered: Matrix, thresholds: Matrix) -> Floats:
    return np.searchsorted(ordered, thresholds, "right") / max(1, len(ordered))

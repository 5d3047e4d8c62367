"""Repeated K-fold hold-out over the seed.

Seed and background are cut into the same folds. The scorers of a fold see neither its seeds nor its background; its seeds
are then ranked among its background, which stands for all candidates. One number is kept of each held-out seed, the
share of the candidates ranked before it, and every figure follows from those.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Rows
from lookalike.expansion.examples import Examples
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import fit_all
from lookalike.workspace.parallel import thread_pool
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

ACTIVITY = "activity"  # the baseline that ranks by the number of events


@dataclass(frozen=True)
class Split:
    """The fold of each seed [M] and of each background user [P]; a seed in the background has its own fold."""

    seed: Rows
    background: Rows


def hold_out(
    examples: Examples,
    names: tuple[str, ...],
    settings: ExpandSettings,
    on_fold: Callable[[int], None] = lambda folds: None,
) -> Quantiles:
    """The quantiles of every named scorer and of the activity baseline."""
    folds = min(settings.folds, examples.seeds)
    quantiles = {name: np.empty((settings.repeats, examples.seeds)) for name in (*names, ACTIVITY)}

    def measure_fold(repeat: int, split: Split, fold: int) -> None:
        rng = generator(settings.random_seed, Stream.HOLDOUT, repeat, fold)
        for name, values in _fold_quantiles(examples, names, split, fold, rng).items():
            quantiles[name][repeat, split.seed == fold] = values

    splits = [
        _split(examples, folds, generator(settings.random_seed, Stream.HOLDOUT, repeat))
        for repeat in range(settings.repeats)
    ]
    futures = [
        thread_pool().submit(measure_fold, repeat, split, fold)
        for repeat, split in enumerate(splits)
        for fold in range(folds)
    ]
    try:
        for finished, future in enumerate(futures, 1):
            future.result()
            on_fold(finished)
    finally:
        for future in futures:
            future.cancel()
    return quantiles


def _split(examples: Examples, folds: int, rng: np.random.Generator) -> Split:
    seed = rng.permutation(np.arange(examples.seeds) % folds)
    background = rng.permutation(np.arange(len(examples.background)) % folds)
    return Split(seed, np.where(examples.seed_index >= 0, seed[examples.seed_index], background))


def _fold_quantiles(
    examples: Examples, names: tuple[str, ...], split: Split, fold: int, rng: np.random.Generator
) -> Quantiles:
    """Fits without one fold and ranks that fold's seeds."""
    held_seed, held_background = split.seed == fold, split.background == fold
    scores = fit_all(names, examples.space, examples.training_sample.part(~held_seed, ~held_background), rng)
    scores[ACTIVITY] = lambda block: block[:, examples.activity_column].astype(np.float64)
    pool = examples.background[held_background & (examples.seed_index < 0)]
    tie_breaks = rng.random(int(held_seed.sum()))  # the same for all methods, so that they differ by their scores alone
    return {
        name: rank_quantiles(score(examples.seed[held_seed]), score(pool), examples.candidates, tie_breaks)
        for name, score in scores.items()
    }


def rank_quantiles(held: Floats, pool: Floats, candidates: int, tie_breaks: Floats) -> Floats:
    """The share of the candidates ranked before each held-out seed, [M].

    `held` [M] and `pool` [P] are scores. The pool is a sample that stands for all candidates, so each of its users counts
    for many; the held-out seeds, which hide among the candidates, count for themselves. `tie_breaks` [M], uniform on
    0 to 1, order equal scores, as the list does by a hash, and place each seed somewhere between its neighbours in the
    pool. A scorer without information therefore has a recall equal to the share, however many scores are tied and
    however small the pool is (the smoothed p-value of Vovk et al. 2005).
    """
    ordered = np.sort(pool)
    low, high = np.searchsorted(ordered, held, "left"), np.searchsorted(ordered, held, "right")
    pool_before = (len(pool) - high + tie_breaks * (high - low + 1)) / (len(pool) + 1)
    seeds_before = np.empty(len(held))
    seeds_before[np.lexsort((tie_breaks, -held))] = np.arange(len(held))
    quantiles: Floats = (candidates * pool_before + seeds_before) / (candidates + len(held))
    return quantiles

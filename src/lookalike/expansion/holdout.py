"""How good a list would be: held-out seeds, and curves with bands.

Seed and background are cut into the same folds. A fold's scorers see neither its seeds nor its background; its seeds are
then ranked among its background, which stands in for all candidates. What is kept of each held-out seed is one number,
the share of the candidates ranked before it, and every figure follows from those.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.expansion.examples import Examples
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import fit_all
from lookalike.workspace.parallel import thread_count
from lookalike.workspace.settings import ExpandSettings

ACTIVITY = "activity"


def hold_out(
    examples: Examples, names: tuple[str, ...], settings: ExpandSettings, on_fold: Callable[[int], None]
) -> Quantiles:
    """Every method's quantiles, by repeated K-fold over the seed; the activity baseline is always among them."""
    folds = min(settings.folds, examples.seeds)
    quantiles = {name: np.empty((settings.repeats, examples.seeds)) for name in (*names, ACTIVITY)}

    def one(repeat: int, split: Split, fold: int) -> None:
        rng = np.random.default_rng([settings.random_seed, 3, repeat, fold])
        for name, found in _fold_quantiles(examples, names, split, fold, rng).items():
            quantiles[name][repeat, split.seed == fold] = found

    with ThreadPoolExecutor(thread_count()) as pool:
        splits = [
            _split(examples, folds, np.random.default_rng([settings.random_seed, 3, r]))
            for r in range(settings.repeats)
        ]
        work = [pool.submit(one, repeat, split, fold) for repeat, split in enumerate(splits) for fold in range(folds)]
        for done, future in enumerate(work, 1):
            future.result()
            on_fold(done)
    return quantiles


@dataclass(frozen=True)
class Split:
    """The fold of each seed and of each background row; a seed in the background has its own fold."""

    seed: NDArray[np.int64]
    background: NDArray[np.int64]


def _split(examples: Examples, folds: int, rng: np.random.Generator) -> Split:
    seed = rng.permutation(np.arange(examples.seeds) % folds)
    background = rng.permutation(np.arange(len(examples.background)) % folds)
    return Split(seed, np.where(examples.seed_of >= 0, seed[examples.seed_of], background))


def _fold_quantiles(
    examples: Examples, names: tuple[str, ...], split: Split, fold: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Fits without one fold and gives each method's places of that fold's seeds."""
    held, apart = split.seed == fold, split.background == fold
    taught = examples.taught.part(~held, ~apart)
    fitted = fit_all(names, examples.space, taught, rng)
    fitted[ACTIVITY] = lambda block: block[:, examples.activity].astype(np.float64)
    pool = examples.background[apart & (examples.seed_of < 0)]
    chance = rng.random(int(held.sum()))  # the same for all, so that methods differ by their scores alone
    return {
        name: rank_quantiles(score(examples.seed[held]), score(pool), examples.candidates, chance)
        for name, score in fitted.items()
    }


def rank_quantiles(held: Floats, pool: Floats, candidates: int, chance: Floats) -> Floats:
    """The share of the candidates ranked before each held-out seed.

    The pool is a sample that stands for all candidates, so each of its users counts for many; the held-out seeds, which
    hide among the candidates, count for themselves. `chance` [M], uniform, orders equal scores, as the list does by a
    hash, and sets each seed somewhere between its neighbours in the pool. So a scorer that knows nothing finds the share
    of any size, however many scores are equal and however small the pool (the smoothed p-value of Vovk et al. 2005).
    """
    ordered = np.sort(pool)
    low, high = np.searchsorted(ordered, held, "left"), np.searchsorted(ordered, held, "right")
    before = (len(pool) - high + chance * (high - low + 1)) / (len(pool) + 1)
    seeds_before = np.empty(len(held))
    seeds_before[np.lexsort((chance, -held))] = np.arange(len(held))
    found: Floats = (candidates * before + seeds_before) / (candidates + len(held))
    return found

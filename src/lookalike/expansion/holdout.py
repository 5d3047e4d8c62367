"""Repeated K-fold hold-out over the seed.

Seed and background are cut into the same folds. The scorers of a fold see neither its seeds nor its background; its seeds
are then ranked among its background, which stands for all candidates. One number is kept of each held-out seed, the
share of the candidates ranked before it, and every figure follows from those. Linear scorers are fitted on the parts
without each fold at once (`scorers.part_fits`); how strong their ridge or prior is, is told by seeds that other parts leave
out, and those parts were fitted on this fold's. The scores are kept too, for whoever ranks some of the people among
themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Flags, Floats, Rows
from lookalike.expansion.examples import Examples
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import fit_all, fit_parts, scorers_of_parts
from lookalike.expansion.scorers.part_fits import Parts
from lookalike.workspace.parallel import thread_pool
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

ACTIVITY = "activity"  # the baseline that ranks by the number of events


def hold_out(
    examples: Examples,
    names: tuple[str, ...],
    settings: ExpandSettings,
    on_fold: Callable[[int], None] = lambda folds: None,
    group: Rows | None = None,
) -> Quantiles:
    """The quantiles of every named scorer and of the activity baseline, see `held_out_scores`."""
    return quantiles_of(held_out_scores(examples, names, settings, on_fold, group), settings.repeats)


@dataclass(frozen=True)
class FoldScores:
    """The held-out people of a fold, what each method scored them, and where it ranked the seeds."""

    repeat: int
    seed: Flags  # [M]: which seeds were hidden, m of them
    background: Flags  # [P]: which background users stood for the candidates, p of them
    tie_breaks: Floats  # [m]
    scores: dict[str, tuple[Floats, Floats]]  # by method: of the hidden seeds [m], and of the background [p]
    quantiles: dict[str, Floats]  # by method, [m]

    def only(self, name: str) -> "FoldScores":
        """With the scores of one method."""
        return replace(self, scores={name: self.scores[name]}, quantiles={name: self.quantiles[name]})


def held_out_scores(
    examples: Examples,
    names: tuple[str, ...],
    settings: ExpandSettings,
    on_fold: Callable[[int], None] = lambda folds: None,
    group: Rows | None = None,
) -> list[FoldScores]:
    """The scores of every named scorer, and of the activity baseline, for each fold of each repeat.

    With the `group` of each seed [M], each group is a seed of its own: people of the others are neither seeds nor background.
    """
    folds = [fold for repeat in range(settings.repeats) for fold in folds_of_repeat(examples, settings, repeat, group)]
    measured = _Measured.of(examples, names, folds, generator(settings.random_seed, Stream.HOLDOUT))

    def measure(place: int) -> FoldScores:
        rng = generator(settings.random_seed, Stream.HOLDOUT, place)
        return measured.fold_scores(place, place * settings.repeats // len(folds), rng)

    futures = [thread_pool().submit(measure, place) for place in range(len(folds))]
    measured_folds = []
    try:
        for finished, future in enumerate(futures, 1):
            measured_folds.append(future.result())
            on_fold(finished)
    finally:
        for future in futures:
            future.cancel()
    return measured_folds


def quantiles_of(folds: Sequence[FoldScores], repeats: int) -> Quantiles:
    """The quantiles of every method, put together from the folds, [R, M] each."""
    quantiles = {name: np.empty((repeats, len(folds[0].seed))) for name in folds[0].quantiles}
    for fold in folds:
        for name, values in fold.quantiles.items():
            quantiles[name][fold.repeat, fold.seed] = values
    return quantiles


@dataclass(frozen=True)
class Fold:
    """Who is held out, and whom the scorers see."""

    group: int
    seed: Flags  # [M]
    background: Flags  # [P]
    seen_seed: Flags  # [M]
    seen_background: Flags  # [P]


def folds_of_repeat(
    examples: Examples, settings: ExpandSettings, repeat: int = 0, group: Rows | None = None
) -> list[Fold]:
    """The folds of one repeat; a seed in the background is in its own fold."""
    group = np.zeros(examples.seeds, np.int64) if group is None else group
    rng, count = generator(settings.random_seed, Stream.HOLDOUT, repeat), settings.folds
    index, is_seed = examples.seed_index, examples.seed_index >= 0
    count = min(count, int(np.bincount(group).min()))
    of_seed = np.empty(examples.seeds, np.int64)
    for number in range(int(group.max()) + 1):
        own = np.flatnonzero(group == number)
        of_seed[own] = rng.permutation(np.arange(len(own)) % count)
    of_background = rng.permutation(np.arange(len(index)) % count)
    folds = []
    for number in range(int(group.max()) + 1):
        own = group == number
        for fold in range(count):
            held = of_seed == fold
            seen = own & ~held
            pool, strangers = ~is_seed & (of_background == fold), ~is_seed & (of_background != fold)
            folds.append(Fold(number, own & held, pool, seen, np.where(is_seed, seen[index], strangers)))
    return folds


def seen_parts(folds: Sequence[Fold]) -> Parts:
    """What the scorers of each fold see."""
    return Parts(
        seed=np.array([fold.seen_seed for fold in folds]),
        background=np.array([fold.seen_background for fold in folds]),
    )


@dataclass(frozen=True)
class _Measured:
    """The scores of all folds by the scorers that are fitted on all of them at once, and what the others are fitted on."""

    examples: Examples
    folds: list[Fold]
    seed_scores: dict[str, Floats]  # [M, folds]
    background_scores: dict[str, Floats]  # [P, folds]
    others: tuple[str, ...]  # scorers that are fitted fold by fold

    @classmethod
    def of(cls, examples: Examples, names: tuple[str, ...], folds: list[Fold], rng: np.random.Generator) -> "_Measured":
        at_once = scorers_of_parts(names)
        if examples.sub_audience is not None:  # the scores of each fold are to be balanced too
            at_once = ()
        seed_scores = {name: np.empty((examples.seeds, len(folds))) for name in at_once}
        background_scores = {name: np.empty((len(examples.background), len(folds))) for name in at_once}
        for group in {fold.group for fold in folds} if at_once else ():
            places = [place for place, fold in enumerate(folds) if fold.group == group]
            parts = seen_parts([folds[place] for place in places])
            fitted = fit_parts(at_once, examples.space, examples.linear_sample, parts, rng)
            for name, scores in fitted.items():
                seed_scores[name][:, places] = scores(examples.seed)
                background_scores[name][:, places] = scores(examples.background)
        others = tuple(name for name in names if name not in at_once)
        return cls(examples, folds, seed_scores, background_scores, others)

    def fold_scores(self, place: int, repeat: int, rng: np.random.Generator) -> FoldScores:
        """What each method scores the people of a fold, and where it ranks the seeds among the background."""
        examples, fold = self.examples, self.folds[place]
        held, pool = examples.seed[fold.seed], examples.background[fold.background]
        tie_breaks = rng.random(len(held))  # the same for all methods, so that they differ by their scores alone
        scores = {
            name: (self.seed_scores[name][fold.seed, place], self.background_scores[name][fold.background, place])
            for name in self.seed_scores
        }
        sample = examples.training_sample
        if self.others:
            fitted = fit_all(self.others, examples.space, sample.part(fold.seen_seed, fold.seen_background), rng)
            scores |= {name: (score(held), score(pool)) for name, score in fitted.items()}
        activity = examples.activity_column
        scores[ACTIVITY] = held[:, activity].astype(np.float64), pool[:, activity].astype(np.float64)
        quantiles = {name: rank_quantiles(*pair, examples.candidates, tie_breaks) for name, pair in scores.items()}
        return FoldScores(repeat, fold.seed, fold.background, tie_breaks, scores, quantiles)


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

"""Scorers: ways to rank candidates against a seed.

A scorer is `fit(taught, rng) -> (block [n, W] -> scores [n])`. Higher is more alike; a score has no unit. Whatever it
learns, it learns from the samples in `Taught`; the candidates are then streamed past it in blocks. One that also reads
what the log's own audiences taught is `fit(taught, rng, prior)`.

To add one: a function and a line in `SCORERS`, with the blocks of columns it reads. The contract tests, the bake-off and
the report then cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.expansion.scorers.centroids import centroid, centroids, neighbours
from lookalike.expansion.scorers.classifiers import boosted, logistic, transfer
from lookalike.expansion.scorers.contrast import background, logodds
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage, Score
from lookalike.expansion.scorers.training_sample import Rng, TrainingSample


@dataclass(frozen=True)
class Scorer:
    """`blocks` are those of the representation, or `counted`: the aggregates that say what somebody has met."""

    fit: Callable[..., Score]
    blocks: tuple[str, ...]
    needs_prior: bool = False
    tried: bool = True  # by `auto`


# the sequence block holds the content of a history too: with both, each would be shrunken half as much
SEQUENCE_AND_AGGREGATES = ("sequence", "aggregates")


SCORERS: dict[str, Scorer] = {
    "centroid": Scorer(centroid, ("sequence",)),
    "centroids": Scorer(centroids, ("sequence",)),
    "neighbours": Scorer(neighbours, ("sequence",)),
    "background": Scorer(background, SEQUENCE_AND_AGGREGATES),
    "logodds": Scorer(logodds, ("counted",)),
    "logistic": Scorer(logistic, SEQUENCE_AND_AGGREGATES),
    "transfer": Scorer(transfer, SEQUENCE_AND_AGGREGATES, needs_prior=True),
    "boosted": Scorer(boosted, SEQUENCE_AND_AGGREGATES, tried=False),  # slow, and behind logistic on every log measured
}


# Rank averages of other scorers: name -> members.
ENSEMBLES: dict[str, tuple[str, ...]] = {"ensemble": ("centroid", "logistic")}


NAMES = (*SCORERS, *ENSEMBLES)


@dataclass(frozen=True)
class FeatureSpace:
    """What the columns of a representation are: where some blocks stand, and the prior over weights, where one was learnt.

    The prior is over the columns of `LEARNT_AND_COUNTED`.
    """

    columns: Callable[[tuple[str, ...]], NDArray[np.int64]]
    prior: Prior | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The scorers that can be fitted here."""
        able = [n for n, one in SCORERS.items() if len(self.columns(one.blocks))]
        able = [n for n in able if not (SCORERS[n].needs_prior and self.prior is None)]
        return (*able, *(n for n, members in ENSEMBLES.items() if set(members) <= set(able)))

    def without(self, dropped: Rows) -> "FeatureSpace":
        """The space without some columns, and without the encoder's blocks, which were made of the same events."""

        def columns(blocks: tuple[str, ...]) -> Rows:
            kept = tuple(block for block in blocks if block not in ("sequence", "content"))
            return np.setdiff1d(self.columns(kept), dropped) if kept else np.zeros(0, np.int64)

        return FeatureSpace(columns)


def fit_all(names: tuple[str, ...], space: FeatureSpace, taught: TrainingSample, rng: Rng) -> dict[str, Score]:
    """Every named scorer, each base one fitted once; balanced where the seed's sub-audiences are given."""
    needed = [name for name in SCORERS if name in names or any(name in ENSEMBLES.get(n, ()) for n in names)]
    fitted: dict[str, Score] = {}
    chance = int(rng.integers(2**32))
    for name in needed:
        scorer, at = SCORERS[name], space.columns(SCORERS[name].blocks)
        given: dict[str, Any] = {"prior": space.prior} if scorer.needs_prior else {}
        own = np.random.default_rng([chance, *name.encode()])  # so that no scorer hangs on which others are fitted
        fitted[name] = Selected(at, scorer.fit(taught[at], own, **given))
    for name, members in ENSEMBLES.items():
        if name in names:
            weights = _member_weights(members, space, taught, np.random.default_rng([chance, *name.encode()]))
            fitted[name] = RankAverage.of(tuple(fitted[member] for member in members), taught.background, weights)
    if taught.group is not None:
        return {name: _balanced(fitted[name], taught, space.columns(("sequence",))) for name in names}
    return {name: fitted[name] for name in names}


MEMBER_HOLDOUT = 4  # one seed in so many is held apart to weigh the members of an ensemble


EQUAL_WEIGHT_SEEDS = 50.0  # seeds' worth by which their weights are drawn towards equal


HEAD_SHARE = 0.1


def _member_weights(members: tuple[str, ...], space: FeatureSpace, taught: TrainingSample, rng: Rng) -> Floats:
    """Of an ensemble's members, by the lift each has on a part of the seed it was not fitted on; 1 together."""
    equal = np.full(len(members), 1 / len(members))
    apart = rng.permutation(len(taught.seed)) < len(taught.seed) // MEMBER_HOLDOUT
    if not apart.any():
        return equal
    rest = replace(taught.part(~apart), group=None)
    fitted = fit_all(members, space, rest, rng)
    border = {name: np.quantile(score(taught.background), 1 - HEAD_SHARE) for name, score in fitted.items()}
    hits = [score(taught.seed[apart]) > border[name] for name, score in fitted.items()]
    found = np.array([np.average(hit, weights=taught.weight[apart]) for hit in hits])
    trust = float(apart.sum() / (apart.sum() + EQUAL_WEIGHT_SEEDS)) if found.any() else 0.0
    weights: Floats = trust * found / max(found.sum(), 1e-12) + (1 - trust) * equal
    return weights


def _balanced(score: Score, taught: TrainingSample, vectors: NDArray[np.int64]) -> Score:
    assert taught.group is not None
    crowd = taught.background[taught.others]
    groups = [taught.seed[taught.group == one][:, vectors] for one in np.unique(taught.group)]
    return Balanced.of(score, score(crowd), (crowd[:, vectors], groups), vectors)


@dataclass(frozen=True)
class Selected:
    """A scorer that reads some of the columns."""

    columns: NDArray[np.int64]
    score: Score

    def __call__(self, block: Matrix) -> Floats:
        return self.score(block[:, self.columns])


def columns_read(score: Score, width: int) -> NDArray[np.int64]:
    """The columns, of all `width`, that a scorer reads, ascending: all of them where it does not say."""
    if isinstance(score, Selected):
        return np.unique(score.columns)
    if isinstance(score, Balanced):
        return np.union1d(columns_read(score.score, width), score.columns)
    if isinstance(score, RankAverage):
        return np.unique(np.concatenate([columns_read(member, width) for member in score.members]))
    return np.arange(width)

"""Scorers: ways to rank candidates by how similar they are to a seed.

A scorer is a function `fit(sample, rng) -> Score`, or `fit(sample, rng, prior)` when it needs the prior learned from the
log's audiences. A score maps columns of users [B, W] to numbers [B]; higher is more similar, and it has no unit.

To add one, write the function and add a line to `SCORERS` with the blocks of columns that it reads. The contract tests,
the comparison of scorers and the report then include it.

May import: errors, workspace, data, embeddings, encoder (learned_prior only), expansion.clustering.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.embeddings.linear import Linear
from lookalike.expansion.scorers import centroids, classifiers, contrast
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.part_fits import LinearSample, Parts, PartScores
from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage, Score
from lookalike.expansion.scorers.selected_columns import Selected, columns_read
from lookalike.expansion.scorers.training_sample import Rng, TrainingSample
from lookalike.workspace.parallel import thread_pool

__all__ = [
    "ENSEMBLES", "NAMES", "SCORERS", "SEQUENCE_AND_AGGREGATES", "Balanced", "FeatureSpace", "RankAverage", "Score",
    "Scorer", "Selected", "columns_read", "fit_all", "fit_parts", "fit_readings",
    "scorers_of_parts",
]  # fmt: skip

# "sequence" already contains the content of a history: with "content" beside it each would be shrunk half as much
SEQUENCE_AND_AGGREGATES = ("sequence", "aggregates")


@dataclass(frozen=True)
class Scorer:
    """How a scorer is fitted, and on what."""

    fit: Callable[..., Score]
    blocks: tuple[str, ...]  # of the representation, or "counted": the aggregates that count what a user has met
    needs_prior: bool = False
    tried: bool = True  # by `--scorer auto`
    # the same for many parts of a LinearSample, faster than one by one: their weights [Q, W]
    fit_parts: Callable[..., Floats] | None = None


# `auto` does not try those that were never reliably better than the others on any log measured (docs/log.md)
SCORERS: dict[str, Scorer] = {
    "centroid": Scorer(centroids.centroid, ("sequence",)),
    "centroids": Scorer(centroids.centroids, ("sequence",), tried=False),
    "neighbours": Scorer(centroids.neighbours, ("sequence",), tried=False),
    "background": Scorer(contrast.background, SEQUENCE_AND_AGGREGATES, fit_parts=contrast.background_parts),
    "logodds": Scorer(contrast.logodds, ("counted",)),
    "logistic": Scorer(classifiers.logistic, SEQUENCE_AND_AGGREGATES, fit_parts=classifiers.logistic_parts),
    "transfer": Scorer(
        classifiers.transfer, SEQUENCE_AND_AGGREGATES, needs_prior=True, fit_parts=classifiers.transfer_parts
    ),
    "boosted": Scorer(classifiers.boosted, SEQUENCE_AND_AGGREGATES, tried=False),  # it also takes minutes
}
ENSEMBLES: dict[str, tuple[str, ...]] = {"ensemble": ("centroid", "logistic")}  # rank averages of these scorers
NAMES = (*SCORERS, *ENSEMBLES)

MEMBER_HOLDOUT = 4  # one seed in so many is held out to weight the members of an ensemble
EQUAL_WEIGHT_SEEDS = 50.0  # seeds' worth by which the members' weights are drawn towards equal
HEAD_SHARE = 0.1  # of the background: the length of the lists on which the members' recall is compared


@dataclass(frozen=True)
class FeatureSpace:
    """Where the columns of each block are, and the prior over weights when one was learned.

    The prior is over the columns of `SEQUENCE_AND_AGGREGATES`.
    """

    columns: Callable[[tuple[str, ...]], Rows]
    prior: Prior | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The scorers that can be fitted here."""
        scorers = [
            name
            for name, scorer in SCORERS.items()
            if len(self.columns(scorer.blocks)) and not (scorer.needs_prior and self.prior is None)
        ]
        return (*scorers, *(name for name, members in ENSEMBLES.items() if set(members) <= set(scorers)))

    def without(self, dropped_columns: Rows) -> "FeatureSpace":
        """The space without these columns, and without the encoder's blocks, which were made from the same events."""

        def columns(blocks: tuple[str, ...]) -> Rows:
            kept = tuple(block for block in blocks if block not in ("sequence", "content"))
            return np.setdiff1d(self.columns(kept), dropped_columns) if kept else np.zeros(0, np.int64)

        return FeatureSpace(columns)


def fit_all(names: tuple[str, ...], space: FeatureSpace, sample: TrainingSample, rng: Rng) -> dict[str, Score]:
    """The named scorers, fitted; balanced when the sample has sub-audiences."""
    fitted = _fit_with_members(names, space, sample, int(rng.integers(2**32)))
    if sample.sub_audience is None:
        return {name: fitted[name] for name in names}
    embedding, others = space.columns(("sequence",)), sample.background[sample.others]
    groups = [sample.seed[sample.sub_audience == g][:, embedding] for g in np.unique(sample.sub_audience)]
    return {name: Balanced.of(fitted[name], embedding, others, groups) for name in names}


def scorers_of_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named scorers that can be fitted on many parts at once."""
    return tuple(name for name in names if name in SCORERS and SCORERS[name].fit_parts)


def fit_parts(
    names: tuple[str, ...], space: FeatureSpace, sample: LinearSample, parts: Parts, rng: Rng
) -> dict[str, PartScores]:
    """The named scorers, those of `scorers_of_parts`, fitted on all parts of a sample at once."""
    random_seed = int(rng.integers(2**32))

    def fit(name: str) -> PartScores:
        scorer = SCORERS[name]
        assert scorer.fit_parts is not None
        prior = (space.prior,) if scorer.needs_prior else ()
        return PartScores.of(sample, scorer.fit_parts(sample, parts, _stream(random_seed, name), *prior))

    return dict(zip(names, thread_pool().map(fit, names), strict=True))


def _stream(random_seed: int, name: str) -> Rng:
    """One for each name, so that no fit depends on which others are made."""
    return np.random.default_rng([random_seed, *name.encode()])


def fit_readings(
    names: tuple[str, ...], space: FeatureSpace, readings: tuple[TrainingSample, ...], rng: Rng
) -> dict[str, Score]:
    """The named scorers, each the sum of its fits on all readings of the same people, scaled to the background.

    Only linear scores add up to one that is ranked as fast; other scorers are fitted on the first reading.
    """
    fitted = [fit_all(names, space, reading, rng) for reading in readings]
    background = readings[0].background
    return {name: _sum_of_linear([scores[name] for scores in fitted], background) for name in names}


def _sum_of_linear(scores: list[Score], background: Matrix) -> Score:
    first = scores[0]
    linear = [score.score for score in scores if isinstance(score, Selected) and isinstance(score.score, Linear)]
    if len(scores) == 1 or len(linear) < len(scores) or not isinstance(first, Selected):
        return first
    rows = background[:, first.columns]
    scale = [1 / max(float(score(rows).std()), 1e-12) for score in linear]
    weights = sum(
        (score.weights * factor for score, factor in zip(linear, scale, strict=True)), np.zeros(rows.shape[1])
    )
    offset = sum(score.offset * factor for score, factor in zip(linear, scale, strict=True))
    return Selected(first.columns, Linear(weights, offset))


def _fit_with_members(
    names: tuple[str, ...], space: FeatureSpace, sample: TrainingSample, random_seed: int
) -> dict[str, Score]:
    """The named scorers and the members of the named ensembles, each fitted once."""
    ensembles = {name: members for name, members in ENSEMBLES.items() if name in names}
    fitted: dict[str, Score] = {}
    for name, scorer in SCORERS.items():
        if name in names or any(name in members for members in ensembles.values()):
            fitted[name] = _fit(scorer, space, sample, _stream(random_seed, name))
    for name, members in ensembles.items():
        weights = _member_weights(members, space, sample, _stream(random_seed, name))
        fitted[name] = RankAverage.of(tuple(fitted[member] for member in members), sample.background, weights)
    return fitted


def _fit(scorer: Scorer, space: FeatureSpace, sample: TrainingSample, rng: Rng) -> Selected:
    columns = space.columns(scorer.blocks)
    prior = (space.prior,) if scorer.needs_prior else ()
    return Selected(columns, scorer.fit(sample[columns], rng, *prior))


def _member_weights(members: tuple[str, ...], space: FeatureSpace, sample: TrainingSample, rng: Rng) -> Floats:
    """Weights of an ensemble's members, with sum 1, in proportion to their recall on a held-out part of the seed."""
    equal = np.full(len(members), 1 / len(members))
    held_out = rng.permutation(len(sample.seed)) < len(sample.seed) // MEMBER_HOLDOUT
    if not held_out.any():
        return equal
    fitted = fit_all(members, space, replace(sample.part(~held_out), sub_audience=None), rng)
    cutoffs = [np.quantile(score(sample.background), 1 - HEAD_SHARE) for score in fitted.values()]
    hits = [score(sample.seed[held_out]) > cutoff for score, cutoff in zip(fitted.values(), cutoffs, strict=True)]
    recall = np.array([np.average(hit, weights=sample.weight[held_out]) for hit in hits])
    trust = float(held_out.sum() / (held_out.sum() + EQUAL_WEIGHT_SEEDS)) if recall.any() else 0.0
    weights: Floats = trust * recall / max(recall.sum(), 1e-12) + (1 - trust) * equal
    return weights

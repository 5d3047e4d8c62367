"""Scorers that are classifiers of seed against background."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.embeddings.linear import Standardised, ridge_logistic
from lookalike.expansion.scorers.logistic import (
    RIDGE_FOLDS,
    RIDGES,
    Prior,
    best_ridge,
    best_ridges,
    deviations_by_strength,
    held_out_depths,
    reliable_strength,
)
from lookalike.expansion.scorers.part_fits import LinearSample, Parts
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import Rng, TrainingSample, draw_fit_rows, fit_rows


def logistic(sample: TrainingSample, rng: Rng) -> Score:
    """Log odds of being a seed and not a background user, with a ridge on standardised columns.

    The background is sampled from all eligible users, so the odds are a density ratio (case-control sampling, King and
    Zeng 2001); look-alikes hidden in the background only shrink them. The ridge is the one that best ranks held-out
    seeds.
    """
    scale, rows = Standardised.of(sample.background), _labelled_rows(sample, rng)
    x = scale(rows.x)
    ridge = best_ridge(x, rows.y, rows.weight, rng)
    return scale.unscaled(ridge_logistic(x, rows.y, rows.weight[None], np.array([ridge]))[0])


def transfer(sample: TrainingSample, rng: Rng, prior: Prior) -> Score:
    """`logistic` with a prior over its weights that was learned from audiences drawn from the log.

    A few seeds cannot tell hundreds of columns apart; past audiences show which columns matter in this log, and in which
    combinations (empirical Bayes over campaigns; MetaHeac, arXiv:2105.14688, shares across campaigns by a network). The
    prior is trusted as it was learned, unless held-out seeds rank reliably better with less or more of it.
    """
    scale, rows = Standardised.of(sample.background), _labelled_rows(sample, rng)
    x, root = scale(rows.x), prior.root
    # in columns transformed by the root the prior is a ridge
    transformed, offset = x @ root, x @ prior.mean
    strength = prior.strength if sample.is_recognised else _strength(transformed, offset, rows, prior.strengths, rng)
    deviation = ridge_logistic(transformed, rows.y, rows.weight[None], np.array([strength]), offset)[0]
    return scale.unscaled(prior.mean + root @ deviation)


def _strength(x: Floats, offset: Floats, rows: "_LabelledRows", strengths: Floats, rng: Rng) -> float:
    """How strong the prior is to be, told by folds of the seed, x [n, W]."""
    seeds = int(rows.y.sum())
    if seeds < 2 * RIDGE_FOLDS:
        return float(strengths[0])
    fold = np.concatenate([rng.permutation(np.arange(n) % RIDGE_FOLDS) for n in (seeds, len(rows.y) - seeds)])
    fitted, x = fold != np.arange(RIDGE_FOLDS)[:, None], x.astype(np.float32)
    weights = deviations_by_strength(x, rows.y, fitted * rows.weight, offset, strengths)
    return float(strengths[reliable_strength(held_out_depths(x, weights, rows.y == 1, fitted, offset))])


def logistic_parts(sample: LinearSample, parts: Parts, rng: Rng) -> Floats:
    """The weights of `logistic` of each part; its ridge is the one that best ranks its seeds where the first parts leave them
    out."""
    rows = _PartRows.of(sample, parts, rng)
    first, is_seed, kept = rows.weight[: parts.telling], rows.y == 1, rows.weight > 0
    by_ridge = deviations_by_strength(rows.x, rows.y, first, 0.0, np.array(RIDGES))
    depths = held_out_depths(rows.x, by_ridge, is_seed, kept[: len(first)])
    return _chosen_by_part(rows, rows.x, 0.0, by_ridge, np.array(RIDGES), best_ridges(depths, kept[:, is_seed]))


def ridge_parts(sample: LinearSample, parts: Parts, rng: Rng, ridge: float) -> Floats:
    """The weights of a logistic regression of each part, with the same ridge for all: nothing is chosen. No more background
    is read than for a small seed: models are compared, and no list is made."""
    rows = _PartRows.of(sample, parts, rng, seeds=0)
    return ridge_logistic(rows.x, rows.y, rows.weight, np.full(len(rows.weight), ridge))


def transfer_parts(sample: LinearSample, parts: Parts, rng: Rng, prior: Prior) -> Floats:
    """The weights of `transfer` of each part; the prior's strength is told by its seeds where the first parts leave them out."""
    rows, root = _PartRows.of(sample, parts, rng), prior.root
    x, offset = rows.x @ root.astype(np.float32), rows.x @ prior.mean
    first, is_seed, kept = rows.weight[: parts.telling], rows.y == 1, rows.weight > 0
    by_strength = deviations_by_strength(x, rows.y, first, offset, prior.strengths)
    depths = held_out_depths(x, by_strength, is_seed, kept[: len(first)], offset)
    chosen = np.array([reliable_strength(depths[:, fitted]) for fitted in kept[:, is_seed]])
    return prior.mean + _chosen_by_part(rows, x, offset, by_strength, prior.strengths, chosen) @ root


def _chosen_by_part(
    rows: "_PartRows", x: Matrix, offset: Floats | float, first: Floats, strengths: Floats, chosen: Rows
) -> Floats:
    """The weights of each part with the strength that was chosen for it, a place in `strengths`, [Q, W].

    `first` [T, strengths, W] are those of the first parts with each strength.
    """
    fitted = len(first)
    weights = first[np.arange(fitted), chosen[:fitted]]
    if fitted == len(chosen):
        return weights
    others = ridge_logistic(x, rows.y, rows.weight[fitted:], strengths[chosen[fitted:]], offset)
    return np.vstack([weights, others])


@dataclass(frozen=True)
class _PartRows:
    """What parts are fitted on: seeds, a sample of the background, and the negatives, which every part has."""

    x: Matrix  # [n, W]
    y: Floats  # [n]
    weight: Floats  # [Q, n]: 0 for rows that a part does not have

    @classmethod
    def of(cls, sample: LinearSample, parts: Parts, rng: Rng, seeds: int | None = None) -> "_PartRows":
        """With as much background as so many seeds need, by default those of the sample."""
        seeds = len(sample.seed) if seeds is None else seeds
        chosen = draw_fit_rows(len(sample.background), seeds, rng, parts.background.mean())
        negatives = len(sample.negatives)
        of_negatives = np.minimum(1, parts.seed.sum(axis=1, keepdims=True) / max(1, negatives))
        return cls(
            x=np.vstack([sample.seed, sample.background[chosen], sample.negatives]),
            y=np.repeat([1.0, 0.0, 0.0], [len(sample.seed), len(chosen), negatives]),
            weight=np.hstack(
                [
                    parts.seed * sample.weight,
                    parts.background[:, chosen].astype(float),
                    np.repeat(of_negatives, negatives, axis=1),
                ]
            ),
        )


def boosted(sample: TrainingSample, rng: Rng) -> Score:
    """Log odds by gradient-boosted trees, with seed and background weighted equally. Needs hundreds of seeds."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import and rarely needed
    from threadpoolctl import threadpool_limits

    rows = _labelled_rows(sample, rng)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=100, max_leaf_nodes=8, min_samples_leaf=10, class_weight="balanced",
        early_stopping=False, random_state=int(rng.integers(2**31)),
    )  # fmt: skip

    def score(block: Matrix) -> Floats:
        with threadpool_limits(1, "openmp"):
            return cast(Floats, trees.decision_function(block).astype(np.float64))

    with threadpool_limits(1, "openmp"):  # folds are already spread over threads
        trees.fit(rows.x, rows.y, sample_weight=rows.weight)
    return score


@dataclass(frozen=True)
class _LabelledRows:
    """What a classifier is fitted on: n seeds, background users and negatives."""

    x: Matrix  # [n, W], not standardised
    y: Floats  # [n]: 1 for seeds, 0 for the others
    weight: Floats  # [n]


def _labelled_rows(sample: TrainingSample, rng: Rng) -> _LabelledRows:
    """The seed, a sample of the background, and the negatives.

    The negatives together weigh as much as the seed; where they are fewer, each weighs as much as one seed.
    """
    background = sample.background[fit_rows(sample, rng)]
    counts = seeds, _, negatives = len(sample.seed), len(background), len(sample.negatives)
    negative_weight = min(1.0, seeds / max(1, negatives))
    return _LabelledRows(
        x=np.vstack([sample.seed, background, sample.negatives]),
        y=np.repeat([1.0, 0.0, 0.0], counts),
        weight=np.concatenate([sample.weight, np.ones(len(background)), np.full(negatives, negative_weight)]),
    )

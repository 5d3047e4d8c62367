"""TODO"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from lookalike.data.arrays import Floats, Matrix
from lookalike.expansion.scorers.logistic import Prior, Standardised, best_ridge, ridge_logistic
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import Rng, TrainingSample, fit_rows


def logistic(taught: TrainingSample, rng: Rng) -> Score:
    """Log odds of being a seed user and not a background user, with a ridge on standardised columns.

    The background is drawn from all eligible users, so the odds are a density ratio (case-control sampling: King and
    Zeng 2001); its hidden look-alikes only shrink them. The ridge is chosen by how well held-out seeds are ranked.
    """
    scale, x, y, weight = _standardised(taught, rng)
    ridge = best_ridge(x, y, weight, rng)
    return scale.unscaled(ridge_logistic(x, y, weight[None], np.array([ridge]))[0])


def transfer(taught: TrainingSample, rng: Rng, prior: Prior) -> Score:
    """`logistic` with a prior over its weights that was learnt from the log's own audiences.

    Few seeds cannot tell hundreds of columns apart; the audiences of the past say which matter in this log, and in which
    way they go together (empirical Bayes over campaigns; MetaHeac, arXiv:2105.14688, shares across them by a network).
    """
    scale, x, y, weight = _standardised(taught, rng)
    root = prior.root
    # in columns turned by it the prior is a ridge of 1; how far to trust it cannot be told better from a small seed
    own = ridge_logistic(x @ root, y, weight[None], np.ones(1), x @ prior.mean)[0]
    return scale.unscaled(prior.mean + root @ own)


def boosted(taught: TrainingSample, rng: Rng) -> Score:
    """Log odds by gradient-boosted trees, seed and background weighing the same. They need hundreds of seeds."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, and seldom needed
    from threadpoolctl import threadpool_limits

    x, y, weight = _classes(taught, taught.background[fit_rows(taught, rng)])
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=100, max_leaf_nodes=8, min_samples_leaf=10, class_weight="balanced",
        early_stopping=False, random_state=int(rng.integers(2**31)),
    )  # fmt: skip

    def score(block: Matrix) -> Floats:
        with threadpool_limits(1, "openmp"):
            return cast(Floats, trees.decision_function(block).astype(np.float64))

    with threadpool_limits(1, "openmp"):  # folds are spread over threads already
        trees.fit(x, y, sample_weight=weight)
    return score


def _standardised(taught: TrainingSample, rng: Rng) -> tuple[Standardised, Floats, Floats, Floats]:
    """The scale, and the standardised columns, classes and weights of what a fit reads."""
    scale = Standardised.of(taught.background)
    return scale, *_classes(taught, taught.background[fit_rows(taught, rng)], scale)


def _classes(
    taught: TrainingSample, rows: Matrix, scale: Callable[[Matrix], Any] = lambda block: block
) -> tuple[Any, Floats, Floats]:
    """Columns, classes and weights: the seed, some of the background, and those of whom fewer are wanted beside it.

    The last weigh together as much as the seed, or each as one seed where they are fewer.
    """
    seeds, rest, away = len(taught.seed), len(rows), len(taught.against)
    parts = [scale(taught.seed), scale(rows), *([scale(taught.against)] if away else [])]
    y = np.repeat([1.0, 0.0, 0.0], [seeds, rest, away])
    weight = np.concatenate([taught.weight, np.ones(rest), np.full(away, min(1.0, seeds / max(1, away)))])
    return np.vstack(parts), y, weight

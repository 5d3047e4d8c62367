"""Classifiers of seed against background: scale of the columns, and how a seed and a prior are combined."""

import numpy as np

from lookalike.data.arrays import Matrix
from lookalike.expansion.scorers import classifiers
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample


def sample_of(seed: Matrix, background: Matrix) -> TrainingSample:
    return TrainingSample(seed, background, np.ones(len(seed)), seed[:0])


def test_logistic_scores_do_not_depend_on_the_scale_of_the_columns() -> None:
    rng = np.random.default_rng(2)
    background, seed = rng.normal(0, 1, (800, 5)), rng.normal(0.7, 1, (60, 5))
    scale, shift = np.array([1e-3, 1, 50, 1e3, 7]), np.array([100.0, -5, 0, 2, 1e4])
    plain = classifiers.logistic(sample_of(seed, background), np.random.default_rng(0))(background)
    moved_sample = sample_of(seed * scale + shift, background * scale + shift)
    moved = classifiers.logistic(moved_sample, np.random.default_rng(0))(background * scale + shift)
    assert np.allclose(plain, moved, atol=1e-6)


def test_a_large_seed_overrules_a_wrong_prior() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (8_000, 5))
    seed = np.flatnonzero(x[:, 4] > 0.5)
    wrong = Prior(np.array([0.3, 0, 0, 0, -0.3]), np.zeros((5, 1)))
    scores = classifiers.transfer(sample_of(x[seed], x), rng, wrong)(x)
    true_column, prior_column = (np.corrcoef(scores, x[:, column])[0, 1] for column in (4, 0))
    assert true_column > 0.75 > 0.7 > prior_column


def test_negatives_together_weigh_at_most_as_much_as_the_seed() -> None:
    rng = np.random.default_rng(0)
    for negatives, total in ((15, 15.0), (120, 40.0)):
        sample = TrainingSample(np.ones((40, 2)), np.zeros((90, 2)), np.ones(40), np.full((negatives, 2), -1.0))
        rows = classifiers._labelled_rows(sample, rng)
        assert rows.x.shape == (40 + 90 + negatives, 2)
        assert rows.y.sum() == 40
        assert np.isclose(rows.weight[rows.x[:, 0] == -1].sum(), total)

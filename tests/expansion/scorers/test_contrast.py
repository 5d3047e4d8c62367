"""What sets the seed apart, against definitions."""

import numpy as np
import pytest

from lookalike.expansion.scorers import contrast
from lookalike.expansion.scorers.training_sample import TrainingSample


def test_log_odds_add_up_over_positive_columns() -> None:
    background = np.zeros((99, 2))
    background[:49, 0] = 1.0
    seed = np.tile([1.0, 0.0], (10, 1))
    score = contrast.logodds(TrainingSample(seed, background, np.ones(10), seed[:0]), np.random.default_rng(0))
    base_rate = np.array([49.5, 0.5]) / 100
    rate = (np.array([10, 0]) + 10 * base_rate) / 20
    weights = np.log(rate / (1 - rate)) - np.log(base_rate / (1 - base_rate))
    expected = [0, weights[0], weights[1], weights.sum()]
    assert score(np.array([[0, -1], [3, 0], [0, 0.1], [1, 1]])) == pytest.approx(expected)


def test_columns_in_which_the_seed_equals_the_background_do_not_count() -> None:
    rng = np.random.default_rng(0)
    background = rng.normal(0, 1, (4_000, 3))
    seed = rng.normal(0, 1, (400, 3)) + np.array([2, 0, 0])
    score = contrast.background(TrainingSample(seed, background, np.ones(400), seed[:0]), rng)
    unit = score(np.eye(3)) - score(np.zeros((3, 3)))
    assert unit[0] > 10 * np.abs(unit[1:]).max()

"""How strong a ridge or a prior is taken."""

import numpy as np
import pytest

from lookalike.data.arrays import Floats
from lookalike.expansion.scorers import logistic
from lookalike.expansion.scorers.logistic import DEFAULT_RIDGE, RIDGES, Prior, best_ridge, head_rank_score


def problem(rows: int, width: int, seeds: int, random_seed: int = 0) -> tuple[Floats, Floats]:
    """Correlated columns of unequal scale, with the seeds moved along some."""
    rng = np.random.default_rng(random_seed)
    x = rng.normal(0, 1, (rows, width)) @ (np.eye(width) + 0.4 * rng.normal(0, 1, (width, width)))
    y = np.repeat([1.0, 0.0], [seeds, rows - seeds])
    x[:seeds] += 0.5 * rng.normal(0, 1, width)
    return x, y


def test_a_very_small_seed_takes_the_default_ridge_and_of_equal_ridges_the_strongest_is_taken() -> None:
    x, y = problem(200, 3, 5)
    assert best_ridge(x, y, np.ones(len(y)), np.random.default_rng(0)) == DEFAULT_RIDGE == RIDGES[1]
    x, y = problem(400, 3, 40)
    assert best_ridge(np.zeros_like(x), y, np.ones(len(y)), np.random.default_rng(0)) == RIDGES[-1]


def test_much_evidence_lowers_the_ridge() -> None:
    rng = np.random.default_rng(0)
    seeds, rows, width = 800, 6_000, 30
    y = np.repeat([1.0, 0.0], [seeds, rows - seeds])
    x = rng.normal(0, 1, (rows, width))
    x[:seeds, :10] += rng.normal(0, 0.6, 10)
    x[:seeds, 0] -= 0.3
    ridges = [best_ridge(x, y, np.ones(len(y)), np.random.default_rng(random_seed)) for random_seed in range(5)]
    assert np.median(ridges) < RIDGES[-1]


def test_the_head_of_a_list_counts_most_in_its_rank_score() -> None:
    background = np.arange(100.0)
    assert head_rank_score(np.array([99.5]), background) == pytest.approx(np.log(101))
    assert head_rank_score(np.array([-1.0]), background) == 0
    top, middle = (head_rank_score(np.array([score]), background) for score in (98.5, 49.5))
    assert top - head_rank_score(np.array([88.5]), background) > middle - head_rank_score(np.array([39.5]), background)


def test_the_root_of_a_prior_is_a_square_root_of_its_covariance() -> None:
    prior = Prior(np.zeros(40), np.random.default_rng(1).normal(0, 0.01, (40, 12)))
    expected = np.eye(40) / logistic.PRIOR_PRECISION + logistic.AUDIENCE_VARIANCE * prior.factor @ prior.factor.T
    assert np.allclose(prior.root @ prior.root.T, expected, atol=1e-9)

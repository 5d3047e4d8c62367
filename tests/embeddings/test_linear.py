"""Linear scores and ridge regressions, against scikit-learn and against definitions."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lookalike.data.arrays import Floats
from lookalike.embeddings.linear import Linear, Standardised, ridge_logistic

RNG = np.random.default_rng(0)


def problem(rows: int, width: int, seeds: int, random_seed: int = 0) -> tuple[Floats, Floats]:
    """Correlated columns of unequal scale, with the seeds moved along some."""
    rng = np.random.default_rng(random_seed)
    x = rng.normal(0, 1, (rows, width)) @ (np.eye(width) + 0.4 * rng.normal(0, 1, (width, width)))
    y = np.repeat([1.0, 0.0], [seeds, rows - seeds])
    x[:seeds] += 0.5 * rng.normal(0, 1, width)
    return x, y


def sklearn_weights(x: Floats, y: Floats, ridge: float) -> NDArray[np.float64]:
    return LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=20_000).fit(x, y).coef_[0]


@pytest.mark.parametrize(("rows", "width", "seeds"), [(300, 4, 100), (2_000, 40, 60), (60, 90, 20), (5_000, 10, 5)])
@pytest.mark.parametrize("ridge", [30.0, 300.0, 1_000.0, 3_000.0, 10_000.0])
def test_weights_equal_those_of_scikit_learn(rows: int, width: int, seeds: int, ridge: float) -> None:
    x, y = problem(rows, width, seeds)
    weights = ridge_logistic(x, y, np.ones((1, rows)), np.array([ridge]))[0]
    expected = sklearn_weights(x, y, ridge)
    assert np.abs(weights - expected).max() <= 2e-3 * np.abs(expected).max()


def test_problems_solved_together_have_the_weights_of_each_solved_alone_on_its_rows() -> None:
    x, y = problem(600, 12, 80)
    row_weights = (np.random.default_rng(1).random((6, 600)) < 0.7).astype(float)
    ridges = np.array([300.0, 300.0, 1_000.0, 100.0, 10_000.0, 30.0])
    together = ridge_logistic(x, y, row_weights, ridges)
    for weights, rows, ridge in zip(together, row_weights.astype(bool), ridges, strict=True):
        expected = sklearn_weights(x[rows], y[rows], ridge)
        assert np.abs(weights - expected).max() <= 3e-3 * np.abs(expected).max()


def test_rows_with_weight_0_do_not_affect_the_weights() -> None:
    x, y = problem(400, 6, 50)
    row_weights = np.ones((1, 400))
    row_weights[0, [3, 200]] = 0
    before = ridge_logistic(x, y, row_weights, np.array([300.0]))
    x[[3, 200]] += 5  # changes the eigenbasis of the columns, not the solution
    assert np.allclose(before, ridge_logistic(x, y, row_weights, np.array([300.0])), atol=2e-4)


def test_duplicate_columns_share_their_weight() -> None:
    x, y = problem(500, 3, 80)
    duplicated = np.hstack([x, x[:, :1]])
    weights = ridge_logistic(duplicated, y, np.ones((1, 500)), np.array([100.0]))[0]
    assert weights[0] == pytest.approx(weights[3], rel=1e-3)


def test_separable_classes_give_finite_weights() -> None:
    x = np.vstack([np.full((50, 2), 5.0), np.full((500, 2), -5.0)]) + RNG.normal(0, 0.1, (550, 2))
    y = np.repeat([1.0, 0.0], [50, 500])
    weights = ridge_logistic(x, y, np.ones((1, 550)), np.array([1e-3]))
    assert np.isfinite(weights).all()
    assert (weights > 0).all()


def test_standardised_columns_have_mean_0_and_deviation_1_in_the_background() -> None:
    background = np.random.default_rng(0).normal(5, 3, (400, 4)).astype(np.float32)
    background[:, 2] = 7
    scaled = Standardised.of(background)(background)
    assert np.allclose(scaled.mean(0), 0, atol=1e-6)
    assert np.allclose(scaled.std(0), [1, 1, 0, 1], atol=1e-6)


def test_unscaled_weights_score_raw_columns_as_the_weights_score_standardised_ones() -> None:
    background = np.random.default_rng(0).normal(5, 3, (400, 4))
    scale, weights = Standardised.of(background), np.array([0.5, -1.0, 2.0, 0.0])
    assert np.allclose(scale.unscaled(weights)(background), scale(background) @ weights)


def test_a_linear_score_does_not_depend_on_the_other_rows_or_their_layout() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((2_000, 30)).astype(np.float32)
    linear = Linear(rng.standard_normal(30), 0.1)
    alone = np.concatenate([linear(values[row : row + 1]) for row in range(len(values))])
    assert np.array_equal(linear(values), alone)
    assert np.array_equal(linear(np.asfortranarray(values)), alone)
    assert np.array_equal(linear(values[3:70:2]), alone[3:70:2])

"""The arithmetic behind the scorers, against scikit-learn and against definitions."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lookalike.expansion.scorers import FeatureSpace, _member_weights
from lookalike.expansion.scorers.centroids import centroid
from lookalike.expansion.scorers.classifiers import logistic
from lookalike.expansion.scorers.logistic import RIDGES, Standardised, best_ridge, ridge_logistic
from lookalike.expansion.scorers.rank_ensemble import RankAverage
from lookalike.expansion.scorers.training_sample import TrainingSample

RNG = np.random.default_rng(0)


def taught(seed: np.ndarray, background: np.ndarray) -> TrainingSample:
    return TrainingSample(seed, background, np.ones(len(seed)), seed[:0])


def problem(rows: int, width: int, seeds: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns of unequal scale, seeds moved along some."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (rows, width)) @ (np.eye(width) + 0.4 * rng.normal(0, 1, (width, width)))
    y = np.repeat([1.0, 0.0], [seeds, rows - seeds])
    x[:seeds] += 0.5 * rng.normal(0, 1, width)
    return x, y


def reference(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    return LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=20_000).fit(x, y).coef_[0]


@pytest.mark.parametrize(("rows", "width", "seeds"), [(300, 4, 100), (2_000, 40, 60), (60, 90, 20), (5_000, 10, 5)])
@pytest.mark.parametrize("ridge", [30.0, *RIDGES])
def test_the_weights_are_those_of_scikit_learn(rows: int, width: int, seeds: int, ridge: float) -> None:
    x, y = problem(rows, width, seeds)
    found = ridge_logistic(x, y, np.ones((1, rows)), np.array([ridge]))[0]
    expected = reference(x, y, ridge)
    assert np.abs(found - expected).max() <= 2e-3 * np.abs(expected).max()


def test_problems_solved_together_are_those_solved_alone_on_their_own_rows() -> None:
    x, y = problem(600, 12, 80)
    used = (np.random.default_rng(1).random((6, 600)) < 0.7).astype(float)
    ridges = np.array([300.0, 300.0, 1_000.0, 100.0, 10_000.0, 30.0])
    together = ridge_logistic(x, y, used, ridges)
    for found, mine, ridge in zip(together, used.astype(bool), ridges, strict=True):
        expected = reference(x[mine], y[mine], ridge)
        assert np.abs(found - expected).max() <= 3e-3 * np.abs(expected).max()


def test_a_row_that_is_not_used_has_no_say() -> None:
    x, y = problem(400, 6, 50)
    used = np.ones((1, 400))
    used[0, [3, 200]] = 0
    before = ridge_logistic(x, y, used, np.array([300.0]))
    x[[3, 200]] += 5  # moves the starting basis, not the answer
    assert np.allclose(before, ridge_logistic(x, y, used, np.array([300.0])), atol=2e-4)


def test_columns_that_repeat_each_other_share_the_weight() -> None:
    x, y = problem(500, 3, 80)
    doubled = np.hstack([x, x[:, :1]])
    weights = ridge_logistic(doubled, y, np.ones((1, 500)), np.array([100.0]))[0]
    assert weights[0] == pytest.approx(weights[3], rel=1e-3)


def test_a_seed_that_a_line_separates_still_has_finite_weights() -> None:
    x = np.vstack([np.full((50, 2), 5.0), np.full((500, 2), -5.0)]) + RNG.normal(0, 0.1, (550, 2))
    y = np.repeat([1.0, 0.0], [50, 500])
    weights = ridge_logistic(x, y, np.ones((1, 550)), np.array([1e-3]))
    assert np.isfinite(weights).all()
    assert (weights > 0).all()


def test_the_logistic_scorer_reads_raw_columns_of_any_scale() -> None:
    rng = np.random.default_rng(2)
    background, seed = rng.normal(0, 1, (800, 5)), rng.normal(0.7, 1, (60, 5))
    scale, shift = np.array([1e-3, 1, 50, 1e3, 7]), np.array([100.0, -5, 0, 2, 1e4])
    plain = logistic(taught(seed, background), np.random.default_rng(0))(background)
    moved = logistic(taught(seed * scale + shift, background * scale + shift), np.random.default_rng(0))(
        background * scale + shift
    )
    assert np.allclose(plain, moved, atol=1e-6)


def test_standardised_columns_have_mean_0_and_deviation_1_in_the_background() -> None:
    background = np.random.default_rng(0).normal(5, 3, (400, 4)).astype(np.float32)
    background[:, 2] = 7
    scaled = Standardised.of(background)(background)
    assert np.allclose(scaled.mean(0), 0, atol=1e-6)
    assert np.allclose(scaled.std(0), [1, 1, 0, 1], atol=1e-6)


def test_a_seed_of_a_handful_takes_a_usual_ridge_and_of_equal_ridges_the_strongest_is_taken() -> None:
    x, y = problem(200, 3, 5)
    assert best_ridge(x, y, np.ones(len(y)), np.random.default_rng(0)) == RIDGES[1]
    x, y = problem(400, 3, 40)
    assert best_ridge(np.zeros_like(x), y, np.ones(len(y)), np.random.default_rng(0)) == RIDGES[-1]


def test_the_ridge_follows_the_evidence() -> None:
    rng = np.random.default_rng(0)
    seeds, rows, width = 800, 6_000, 30
    y = np.repeat([1.0, 0.0], [seeds, rows - seeds])
    nothing = rng.normal(0, 1, (rows, width))
    clear = nothing.copy()
    clear[:seeds, :10] += rng.normal(0, 0.6, 10)
    clear[:seeds, 0] -= 0.3
    chosen = [best_ridge(clear, y, np.ones(len(y)), np.random.default_rng(s)) for s in range(5)]
    assert np.median(chosen) < RIDGES[-1]


def test_the_centroid_is_the_cosine_with_the_mean_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    seed, block = rng.normal(0, 1, (30, 8)).astype(np.float32), rng.normal(0, 1, (50, 8)).astype(np.float32)
    mean = seed.astype(float).mean(0)
    expected = block.astype(float) @ mean / np.linalg.norm(mean)
    assert np.allclose(centroid(taught(seed, block), rng)(block), expected)


def test_an_ensemble_is_the_mean_place_in_the_background_and_grows_beyond_it() -> None:
    background = np.linspace(0, 1, 1_001)[:, None]
    members = (lambda block: block[:, 0], lambda block: -3 * block[:, 0] ** 2)
    average = RankAverage.of(members, background, np.array([0.5, 0.5]))
    found = average(np.array([[0.0], [0.25], [0.9]]))
    assert found == pytest.approx([0.5, 0.5, 0.5], abs=0.01)  # one goes up as the other goes down
    single = RankAverage.of(members[:1], background, np.ones(1))
    beyond = single(np.array([[-2.0], [-1.0], [0.0], [0.5], [1.0], [1.5], [9.0]]))
    assert (np.diff(beyond) > 0).all(), "those beyond the sample are still told apart"
    assert beyond[2:5] == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_no_user_with_higher_scores_everywhere_is_placed_lower_by_an_ensemble() -> None:
    rng = np.random.default_rng(0)
    background = np.round(rng.normal(0, 1, (500, 2)), 1)  # many equal
    average = RankAverage.of((lambda block: block[:, 0], lambda block: block[:, 1]), background, np.array([0.3, 0.7]))
    low = rng.normal(0, 2, (2_000, 2))
    high = low + rng.exponential(0.5, (2_000, 2))
    assert (average(high) >= average(low)).all()


@pytest.mark.parametrize(("seeds", "least"), [(400, 0.65), (12, 0.5)])
def test_a_member_that_finds_more_weighs_more_and_few_seeds_leave_them_nearly_equal(seeds: int, least: float) -> None:
    rng = np.random.default_rng(5)
    background = rng.normal(0, 1, (4_000, 8))
    seed = rng.normal(0, 1, (seeds, 8))
    seed[:, 7] += 2  # only the logistic scorer reads the last column
    space = FeatureSpace(lambda blocks: np.arange(4) if blocks == ("sequence",) else np.arange(8))
    weights = _member_weights(("centroid", "logistic"), space, taught(seed, background), rng)
    assert weights.sum() == pytest.approx(1)
    assert least <= weights[1] < (0.95 if seeds > 100 else 0.56)

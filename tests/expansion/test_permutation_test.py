"""The permutation test: random seeds are as active as the seed, and only similar users stand out from them."""

from collections.abc import Callable

import numpy as np
import pytest

from expansion_examples import QUICK, active_users, examples_of, log_like_values, random_users, similar_users
from lookalike.data.arrays import Floats, Rows
from lookalike.expansion.permutation_test import (
    RANDOM_SEEDS,
    _activity_matched_seeds,
    _is_clear,
    permutation_test,
)

DrawSeed = Callable[[np.random.Generator, Floats], Rows]


def test_random_seeds_have_the_activity_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    values = log_like_values(rng, 5_000, 4)
    seed = active_users(rng, values)
    drawn = _activity_matched_seeds(values[seed, 0], values[:, 0], rng)
    assert drawn.shape == (RANDOM_SEEDS, 80)
    assert all(len(np.unique(users)) == 80 for users in drawn)
    assert np.allclose(np.sort(values[drawn, 0], axis=1).mean(axis=0), np.sort(values[seed, 0]), atol=0.35)
    first_half, second_half = values[drawn[:, :40], 0].mean(), values[drawn[:, 40:], 0].mean()
    assert first_half == pytest.approx(second_half, abs=0.02)  # folds do not differ in activity


def test_a_seed_more_active_than_anybody_is_matched_with_the_most_active() -> None:
    rng = np.random.default_rng(0)
    population = np.linspace(0, 5, 400)
    drawn = _activity_matched_seeds(np.full(10, 9.0), population, rng)
    assert (population[drawn] > 4.8).all()


@pytest.mark.parametrize("draw_seed", [random_users, active_users])
def test_p_values_are_uniform_when_there_is_nothing_to_find(draw_seed: DrawSeed) -> None:
    p_values = []
    for run in range(60):
        rng = np.random.default_rng([run, 5])
        values = log_like_values(rng, 1_500, 12)
        p_values.append(permutation_test(examples_of(values, draw_seed(rng, values)), 0.05, QUICK).p_value)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)
    assert np.mean(np.array(p_values) < 0.1) < 0.25


def test_similar_users_stand_out_and_the_result_is_repeatable() -> None:
    rng = np.random.default_rng(2)
    values = log_like_values(rng, 2_000, 12)
    examples = examples_of(values, similar_users(rng, values))
    result = permutation_test(examples, 0.05, QUICK)
    assert result == permutation_test(examples, 0.05, QUICK)
    assert result.draws < RANDOM_SEEDS, "no random seed of the first hundred comes near"
    assert result.p_value is not None
    assert result.p_value < 0.01
    assert result.random_lift is not None
    assert result.lift > 2 * result.random_lift


def test_too_few_other_users_give_no_p_value() -> None:
    values = log_like_values(np.random.default_rng(5), 200, 4)
    result = permutation_test(examples_of(values, np.arange(90)), 0.05, QUICK)
    assert (result.random_lift, result.p_value, result.draws) == (None, None, 0)
    assert result.lift > 0


@pytest.mark.parametrize(
    ("as_deep", "draws", "clear"),
    [(0, 100, True), (1, 100, False), (12, 100, True), (5, 100, False), (2, 200, True), (20, 400, False)],
)
def test_random_seeds_are_drawn_until_the_answer_is_clear(as_deep: int, draws: int, clear: bool) -> None:
    assert _is_clear(as_deep, draws, 0.05) is clear


def test_people_without_events_stand_in_for_each_other_only() -> None:
    """Beside many without events the least active would else be replaced by them, who have nothing in common with anybody."""
    population = np.concatenate([np.zeros(5_000), np.arange(1, 301)])
    seed = np.concatenate([np.zeros(20), np.arange(1, 21)])
    drawn = population[_activity_matched_seeds(seed, population, np.random.default_rng(0))]
    assert ((drawn == 0).sum(axis=1) == 20).all()

"""What scorers are fitted and measured on: who is in the background, who is a candidate, and what a seed weighs."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_context import memory_context
from expansion_examples import examples_of
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import EffectiveSample
from lookalike.expansion.examples import (
    build_examples,
    effective_sample_size,
    feature_space,
    seed_weights,
)
from lookalike.expansion.seed import Seed
from lookalike.workspace.settings import ExpandSettings

USERS = 1_000
NOBODY = np.zeros(0, np.int64)
AGGREGATES = ("log_events", "log_days", "category=a", "category=b")


def context(background: int = 500) -> ExpansionContext:
    """1,000 users with different vectors."""
    vectors = np.random.default_rng(9).normal(0, 1, (USERS, 7)).astype(np.float32)
    return memory_context(vectors, AGGREGATES, 3, ExpandSettings(background=background))


def rows_of(context: ExpansionContext, vectors: np.ndarray) -> list[int]:
    """The user rows that have these vectors."""
    everybody = context.representation.gather(np.arange(USERS))
    row_of = {tuple(vector): row for row, vector in enumerate(everybody.tolist())}
    return [row_of[tuple(vector)] for vector in vectors.tolist()]


# --- who is in them --------------------------------------------------------------------------------------------------


def test_seeds_in_the_background_are_known_and_the_suppressed_are_left_out() -> None:
    seed, suppressed = np.arange(0, 200, 2), np.arange(150, 420, 3)
    opened = context()
    examples = build_examples(opened, Seed(seed, suppressed))
    assert examples.candidates == USERS - len(np.union1d(seed, suppressed))
    assert np.array_equal(examples.rows, seed)
    assert rows_of(opened, examples.seed) == seed.tolist()
    is_seed = examples.seed_index >= 0
    assert is_seed.any()
    assert np.array_equal(examples.background[is_seed], examples.seed[examples.seed_index[is_seed]])
    background = rows_of(opened, examples.background)
    assert not set(background) & set(suppressed.tolist())
    assert not set(rows_of(opened, examples.others)) & set(seed.tolist())


def test_of_a_seed_larger_than_the_background_a_sample_is_taken_and_no_seed_is_among_the_others() -> None:
    opened = context(background=100)
    examples = build_examples(opened, Seed(np.arange(0, 600), NOBODY))
    assert examples.seeds == 100
    assert examples.candidates == USERS - 600
    assert min(rows_of(opened, examples.others)) >= 600
    assert rows_of(opened, examples.seed) == examples.rows.tolist()
    assert set(examples.rows.tolist()) <= set(range(600))


def test_candidates_who_are_listed_elsewhere_are_counted_once() -> None:
    seed = Seed(np.arange(40), np.arange(40, 60), listed_elsewhere=np.arange(30, 90))
    examples = build_examples(context(), seed)
    assert examples.candidates == USERS - 60
    assert examples.listed_elsewhere == 30, "neither seeds nor suppressed"


def test_negatives_are_read_from_their_rows() -> None:
    opened, negatives = context(), np.array([500, 700, 900])
    examples = build_examples(opened, Seed(np.arange(40), NOBODY, negatives=negatives))
    assert rows_of(opened, examples.negatives) == negatives.tolist()
    assert np.array_equal(examples.training_sample.negatives, examples.negatives)


def test_dropped_columns_are_not_in_the_feature_space() -> None:
    opened = context()
    whole, without = feature_space(opened, ()), feature_space(opened, ("category=a", "log_days"))
    assert whole.columns(("sequence", "aggregates")).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert whole.columns(("counted",)).tolist() == [5, 6]
    assert without.columns(("sequence", "aggregates")).tolist() == [3, 6]
    assert (
        opened.representation.layout.column("log_events")
        == build_examples(opened, Seed(np.arange(40), NOBODY)).activity_column
    )


# --- parts of them ---------------------------------------------------------------------------------------------------


def test_with_some_of_the_seeds_the_others_leave_the_background_too() -> None:
    rng = np.random.default_rng(0)
    examples = replace(examples_of(rng.random((50, 3)), np.arange(0, 20, 2)), sub_audience=np.arange(10) % 3)
    kept = np.array([1, 4, 9])
    part = examples.only(kept)
    assert part.rows.tolist() == [2, 8, 18]
    assert np.array_equal(part.seed, examples.seed[kept])
    assert part.sub_audience is not None
    assert part.sub_audience.tolist() == [1, 1, 0]
    assert np.array_equal(part.others, examples.others)
    is_seed = part.seed_index >= 0
    assert is_seed.sum() == 3
    assert np.array_equal(part.background[is_seed], part.seed[part.seed_index[is_seed]])


def test_without_its_background_an_example_keeps_the_seed() -> None:
    examples = examples_of(np.random.default_rng(0).random((50, 3)), np.arange(10))
    alone = examples.without_background()
    assert (len(alone.background), len(alone.seed_index), alone.seeds) == (0, 0, 10)
    assert alone.candidates == examples.candidates


# --- weights and the effective sample --------------------------------------------------------------------------------


def test_without_values_all_seeds_weigh_the_same() -> None:
    assert seed_weights(Seed(np.arange(4), NOBODY), np.array([1, 3])).tolist() == [1, 1]
    equal = Seed(np.arange(4), NOBODY, value=np.full(4, 7.0))
    assert seed_weights(equal, np.arange(4)).tolist() == [1, 1, 1, 1]


def test_values_are_winsorised_at_both_ends_and_1_on_average() -> None:
    value = np.array([1e9, *range(1, 40)], float)
    weights = seed_weights(Seed(np.arange(40) * 2, NOBODY, value=value), np.arange(40) * 2)
    assert weights.mean() == pytest.approx(1)
    assert weights.argmax() == 0
    assert weights[0] < 2.1
    low, high = np.quantile(value, [0.05, 0.95])
    assert weights == pytest.approx(np.clip(value, low, high) / np.clip(value, low, high).mean())


def test_the_weights_of_a_sample_are_those_of_its_rows() -> None:
    seed = Seed(np.array([3, 5, 8, 9]), NOBODY, value=np.array([1.0, 2.0, 2.0, 3.0]))
    weights = seed_weights(seed, np.array([5, 9]))
    assert weights[1] > weights[0]
    assert weights.mean() == pytest.approx(1)


def test_the_effective_sample_size_is_that_of_kish() -> None:
    assert effective_sample_size(np.full(40, 2.5)) == pytest.approx(40)
    assert effective_sample_size(np.array([3.0, 1.0])) == pytest.approx(16 / 10)


def test_the_effective_sample_follows_from_the_drawn_users_and_the_folds() -> None:
    everybody = examples_of(np.random.default_rng(0).random((100, 3)), np.arange(20))
    assert everybody.effective_sample(5) == EffectiveSample(np.inf, 5), "every candidate was drawn"
    assert everybody.effective_sample(50) == EffectiveSample(np.inf, 20), "no more folds than seeds"
    half = examples_of(np.random.default_rng(0).random((100, 3)), np.arange(20), np.arange(60))
    assert half.effective_sample(5).pool == pytest.approx(40 / (1 - 40 / 80))

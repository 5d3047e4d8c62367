"""Leakage: features that nearly define the seed are found where they are planted, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion import leakage
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import FeatureSpace

NAMES = ("log_events", "event_type=purchase", "category=toys", "log_recency_days")
LAYOUT = BlockLayout({"sequence": 3, "content": 0, "aggregates": 4}, NAMES)
PURCHASE, TOYS, RECENCY = 4, 5, 6  # columns


def examples_without_leak(random_seed: int = 0, users: int = 3_000, seeds: int = 120) -> Examples:
    """Three columns of a user embedding and four aggregates; no column depends on who is a seed."""
    rng = np.random.default_rng(random_seed)
    values = np.hstack([rng.normal(0, 1, (users, 3)), rng.exponential(1, (users, 4))]).astype(np.float32)
    values[:, PURCHASE : TOYS + 1] *= rng.random((users, 2)) < 0.1  # few users have either
    seed = np.sort(rng.permutation(users)[:seeds])
    seed_index = np.full(users, -1)
    seed_index[seed] = np.arange(seeds)
    return Examples(
        seed=values[seed],
        weight=np.ones(seeds),
        negatives=values[:0],
        background=values,
        seed_index=seed_index,
        candidates=users - seeds,
        space=FeatureSpace(lambda blocks: LAYOUT.columns(*blocks)),
        activity_column=3,
        rows=seed,
    )


def with_leak(column: int, value: float, share: float = 1.0) -> Examples:
    """A share of the seed has the same value in a column."""
    examples = examples_without_leak()
    seed, background = examples.seed.copy(), examples.background.copy()
    seed[: int(share * len(seed)), column] = value
    is_seed = examples.seed_index >= 0
    background[is_seed, column] = seed[examples.seed_index[is_seed], column]
    return replace(examples, seed=seed, background=background)


def test_a_column_that_defines_the_seed_is_found_with_its_shares() -> None:
    (leak,) = leakage.find_leaks(with_leak(PURCHASE, 2.0), LAYOUT)
    assert leak.column == "event_type=purchase"
    assert leak.seed == 1
    assert leak.others == pytest.approx(0.05, abs=0.06)


def test_a_column_of_85_percent_of_the_seed_is_found_and_one_of_half_of_it_is_not() -> None:
    assert [leak.column for leak in leakage.find_leaks(with_leak(TOYS, 9.0, 0.85), LAYOUT)] == ["category=toys"]
    assert leakage.find_leaks(with_leak(TOYS, 9.0, 0.5), LAYOUT) == ()


def test_small_values_define_a_seed_as_well_as_large_ones() -> None:
    """Every seed was active today."""
    (leak,) = leakage.find_leaks(with_leak(RECENCY, -0.01), LAYOUT)
    assert (leak.column, leak.seed, leak.others, leak.less) == ("log_recency_days", 1, 0, True)
    (more,) = leakage.find_leaks(with_leak(PURCHASE, 2.0), LAYOUT)
    assert not more.less


def test_the_clearest_leak_comes_first() -> None:
    examples = with_leak(TOYS, 9.0, 0.85)
    seed = examples.seed.copy()
    seed[:, RECENCY] = -0.01
    columns = [leak.column for leak in leakage.find_leaks(replace(examples, seed=seed), LAYOUT)]
    assert columns == ["log_recency_days", "category=toys"]


def test_a_column_that_no_scorer_may_read_is_no_leak() -> None:
    examples = with_leak(PURCHASE, 2.0)
    assert leakage.find_leaks(replace(examples, space=examples.space.without(np.array([PURCHASE]))), LAYOUT) == ()


def test_nothing_is_found_where_nothing_is_planted() -> None:
    leaks = [leak for run in range(10) for leak in leakage.find_leaks(examples_without_leak(run), LAYOUT)]
    assert leaks == []

"""What makes people seeds must be found where it is planted, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike.expansion import leakage
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import FeatureSpace
from lookalike.workspace.settings import ExpandSettings

NAMES = ["log_events", "event_type=purchase", "category=toys", "log_recency_days"]


def examples(seed: int = 0, users: int = 3_000, seeds: int = 120) -> Examples:
    """Three columns of a user embedding and four aggregates; nothing says who the seed is."""
    rng = np.random.default_rng(seed)
    values = np.hstack([rng.normal(0, 1, (users, 3)), rng.exponential(1, (users, 4))]).astype(np.float32)
    values[:, 4:6] *= rng.random((users, 2)) < 0.1  # few people bought
    chosen = np.sort(rng.permutation(users)[:seeds])
    at = np.full(users, -1)
    at[chosen] = np.arange(seeds)
    spans = {"sequence": np.arange(3), "content": np.zeros(0, np.int64), "aggregates": np.arange(3, 7)}
    return Examples(
        seed=values[chosen],
        weight=np.ones(seeds),
        against=values[:0],
        background=values,
        seed_of=at,
        candidates=users - seeds,
        space=FeatureSpace(lambda blocks: np.concatenate([spans.get(block, np.arange(4, 6)) for block in blocks])),
        activity=3,
    )


def planted(column: int, value: float, share: float = 1.0) -> Examples:
    """The seed has one value, or a share of it has."""
    known = examples()
    seed, background = known.seed.copy(), known.background.copy()
    those = np.arange(int(share * len(seed)))
    seed[those, column] = value
    background[np.flatnonzero(known.seed_of >= 0), column] = seed[known.seed_of[known.seed_of >= 0], column]
    return replace(known, seed=seed, background=background)


def test_a_perfect_predictor_is_found_and_named_with_its_shares() -> None:
    (leak,) = leakage.find_leaks(planted(4, 2.0), NAMES, 3)
    assert leak.column == "event_type=purchase"
    assert leak.seed == 1
    assert leak.others == pytest.approx(0.05, abs=0.06)


def test_one_that_four_fifths_of_the_seed_have_is_found_and_one_that_half_have_is_not() -> None:
    assert [leak.column for leak in leakage.find_leaks(planted(5, 9.0, 0.85), NAMES, 3)] == ["category=toys"]
    assert leakage.find_leaks(planted(5, 9.0, 0.5), NAMES, 3) == []


def test_a_small_value_gives_away_as_much_as_a_large_one() -> None:
    """Everybody in the seed was here today."""
    (leak,) = leakage.find_leaks(planted(6, -0.01), NAMES, 3)
    assert (leak.column, leak.seed, leak.others) == ("log_recency_days", 1, 0)


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert [leak for run in range(10) for leak in leakage.find_leaks(examples(run), NAMES, 3)] == []


def test_lift_without_the_predictor_is_what_is_left() -> None:
    known = planted(4, 2.0)
    settings = ExpandSettings(repeats=1, folds=4)
    assert leakage.lift_without(known, np.array([4]), 0.05, settings) < 2.5
    assert leakage.lift_without(known, np.array([], np.int64), 0.05, settings) > 5


def test_without_a_column_nothing_reads_it_nor_the_user_embedding() -> None:
    space = leakage.without_columns(examples().space, np.array([4]))
    assert space.columns(("sequence", "aggregates")).tolist() == [3, 5, 6]
    assert space.columns(("counted",)).tolist() == [5]
    assert "centroid" not in space.names
    assert {"logistic", "background", "logodds"} <= set(space.names)

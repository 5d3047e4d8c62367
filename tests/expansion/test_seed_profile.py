"""What kind of people a seed is: sub-audiences are found where they are planted, and gains only where they are reliable."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_examples import selection_of
from lookalike.data.arrays import Floats
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion.clustering import mean_cosine
from lookalike.expansion.examples import Examples
from lookalike.expansion.result import SeedProfile
from lookalike.expansion.scorers import FeatureSpace
from lookalike.expansion.seed_profile import (
    count_outliers,
    distinguishing_columns,
    find_sub_audiences,
    gain_of_doubling,
    gain_of_splitting,
    profile_seed,
    seed_aggregates,
)
from lookalike.workspace.settings import ExpandSettings

NAMES = ("log_events", "log_days", "log_recency_days", "category=a", "category=b")
WIDTH = 16
LAYOUT = BlockLayout({"sequence": WIDTH, "content": 0, "aggregates": len(NAMES)}, NAMES)
FOUR_FOLDS = ExpandSettings(folds=4)


def users(rng: np.random.Generator, count: int, direction: int | None) -> Floats:
    """Unit vectors about a direction, or about none, and aggregates; users of direction 0 have met a, of direction 1 b."""
    vectors = rng.normal(0, 1, (count, WIDTH))
    if direction is not None:
        vectors[:, direction] += 6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    events = 1 + rng.poisson(5, count)
    met = np.column_stack([np.full(count, direction == 0), np.full(count, direction == 1)])
    return np.hstack(
        [vectors, np.log1p(events)[:, None], np.log1p(events // 2 + 1)[:, None], rng.random((count, 1)), met]
    )


def examples_of(*parts: Floats, others: Floats) -> Examples:
    """The parts of the seed together, and others, none of whom are seeds."""
    seed = np.vstack(parts).astype(np.float32)
    return Examples(
        seed=seed,
        weight=np.ones(len(seed)),
        negatives=seed[:0],
        background=others.astype(np.float32),
        seed_index=np.full(len(others), -1),
        candidates=len(others),
        space=FeatureSpace(lambda blocks: LAYOUT.columns(*blocks)),
        activity_column=WIDTH,
        rows=np.arange(len(seed)),
    )


def profile(examples: Examples) -> SeedProfile:
    quantiles = np.random.default_rng(0).random((1, examples.seeds)) ** 2
    parts = find_sub_audiences(examples, LAYOUT, 0)
    settings = ExpandSettings(folds=4, repeats=1)
    return profile_seed(examples, LAYOUT, parts, selection_of(quantiles, 0.1, "centroid"), settings)


# --- sub-audiences ---------------------------------------------------------------------------------------------------


def test_two_audiences_are_separated_and_described_and_one_stays_whole() -> None:
    rng = np.random.default_rng(0)
    others = users(rng, 1_000, None)
    two = find_sub_audiences(examples_of(users(rng, 120, 0), users(rng, 60, 1), others=others), LAYOUT, 0)
    assert [round(part.share, 2) for part in two.parts] == [0.67, 0.33]
    assert [part.more_of for part in two.parts] == [("category=a",), ("category=b",)]
    assert np.array_equal(two.of, np.repeat([0, 1], [120, 60]))
    for seed in (users(rng, 180, 0), users(rng, 180, None)):
        one = find_sub_audiences(examples_of(seed, others=others), LAYOUT, 0)
        assert one.parts == ()
        assert not one.of.any()


def test_a_few_users_are_no_audience_of_their_own() -> None:
    rng = np.random.default_rng(1)
    examples = examples_of(users(rng, 150, 0), users(rng, 20, 1), others=users(rng, 500, None))
    assert find_sub_audiences(examples, LAYOUT, 0).parts == ()


def test_the_centre_of_a_part_is_nearest_to_its_seeds() -> None:
    rng = np.random.default_rng(0)
    examples = examples_of(users(rng, 120, 0), users(rng, 60, 1), others=users(rng, 500, None))
    parts = find_sub_audiences(examples, LAYOUT, 0)
    vectors = examples.seed[:, :WIDTH]
    centres = parts.centres(vectors)
    assert centres.shape == (2, WIDTH)
    assert np.array_equal(np.argmax(vectors @ centres.T, axis=1), parts.of)


def test_distinguishing_columns_count_something_and_are_more_frequent_inside() -> None:
    names = ("log_events", "category=a", "category=b", "category=c", "category=d", "category=e")
    inside = np.arange(40) < 20
    aggregates = np.zeros((40, 6))
    aggregates[:20, 0] = 1
    for column, count in ((1, 20), (2, 12), (3, 6), (4, 2)):
        aggregates[:count, column] = 1
    aggregates[20:, 5] = 1
    assert distinguishing_columns(aggregates, inside, names) == ("category=a", "category=b", "category=c")
    assert distinguishing_columns(aggregates, ~inside, names) == ("category=e",)


def test_two_columns_of_the_same_name_are_named_once() -> None:
    aggregates = np.ones((20, 2)) * (np.arange(20) < 10)[:, None]
    assert distinguishing_columns(aggregates, np.arange(20) < 10, ("country=de", "country=de")) == ("country=de",)


# --- the profile -----------------------------------------------------------------------------------------------------


def test_the_profile_describes_seed_and_others() -> None:
    rng = np.random.default_rng(2)
    seed, others = users(rng, 100, 0), users(rng, 1_000, None)
    seed[:, WIDTH] = np.log1p(20)
    examples = examples_of(seed, others=others)
    result = profile(examples)
    assert result.median_events == pytest.approx(20)
    assert result.others_median_events == pytest.approx(np.median(np.expm1(others[:, WIDTH])), rel=1e-5)
    assert result.median_days_since == pytest.approx(np.expm1(np.median(seed[:, WIDTH + 2])), rel=1e-4)
    assert result.mean_cosine == pytest.approx(mean_cosine(examples.seed[:, :WIDTH]))
    assert result.others_mean_cosine == pytest.approx(0, abs=0.01)
    assert np.array_equal(seed_aggregates(examples, LAYOUT), examples.seed[:, WIDTH:])
    assert (result.sub_audiences, result.gain_of_splitting, result.splitting_reliable) == ((), None, False)


def test_seeds_with_very_many_events_a_day_are_counted() -> None:
    rng = np.random.default_rng(2)
    seed, others = users(rng, 100, 0), users(rng, 5_000, None)
    seed[:7, WIDTH] = np.log1p(50_000)
    result = profile(examples_of(seed, others=others))
    assert 7 <= result.busy <= 9
    assert result.median_events < 10


def test_leaks_are_shares_of_enough_seeds_only() -> None:
    rng = np.random.default_rng(2)
    examples = examples_of(users(rng, 100, 0), others=users(rng, 1_000, None))
    result = profile(examples)
    assert [leak.column for leak in result.leaks] == ["category=a"]
    few = replace(ExpandSettings(folds=4, repeats=1), min_cell=101)
    parts = find_sub_audiences(examples, LAYOUT, 0)
    quantiles = np.full((1, 100), 0.5)
    hidden = profile_seed(examples, LAYOUT, parts, selection_of(quantiles, 0.1, "centroid"), few)
    assert hidden.leaks == ()


def test_seeds_that_rank_behind_nearly_all_candidates_are_outliers() -> None:
    quantiles = np.array([[0.96, 0.99, 0.5, 0.94], [0.97, 0.9, 0.5, 0.95]])
    assert count_outliers(quantiles) == 1


# --- would more seeds, or more lists, help? --------------------------------------------------------------------------


def test_splitting_gains_where_one_list_finds_the_users_between_two_audiences() -> None:
    rng = np.random.default_rng(0)
    between = users(rng, 75, 0)
    between[:, :WIDTH] += users(rng, 75, 1)[:, :WIDTH]
    between[:, :WIDTH] /= np.linalg.norm(between[:, :WIDTH], axis=1, keepdims=True)
    others, halves = np.vstack([users(rng, 1_000, None), between]), np.repeat([0, 1], 100)
    two = examples_of(users(rng, 100, 0), users(rng, 100, 1), others=others)
    gain, reliable = gain_of_splitting(two, halves, "centroid", 0.1, FOUR_FOLDS)
    assert gain > 1
    assert reliable
    one = examples_of(users(rng, 200, 0), others=others)
    gain, reliable = gain_of_splitting(one, halves, "centroid", 0.1, FOUR_FOLDS)
    assert abs(gain) < 0.05
    assert not reliable


def test_the_gain_of_splitting_is_not_measured_for_a_balanced_list() -> None:
    rng = np.random.default_rng(0)
    two = examples_of(users(rng, 120, 0), users(rng, 60, 1), others=users(rng, 500, None))
    assert profile(two).gain_of_splitting is not None
    assert profile(replace(two, sub_audience=np.repeat([0, 1], [120, 60]))).gain_of_splitting is None


def test_doubling_has_no_gain_where_there_is_nothing_to_learn() -> None:
    rng = np.random.default_rng(3)
    others = users(rng, 2_000, None)
    gains = [
        gain_of_doubling(examples_of(users(rng, 60, None), others=others), "centroid", 0.1, FOUR_FOLDS)
        for _ in range(8)
    ]
    assert sum(gain is not None for gain in gains) <= 1
    few = examples_of(users(rng, 15, 0), others=others)
    assert gain_of_doubling(few, "centroid", 0.1, FOUR_FOLDS) is None


def test_the_gain_of_doubling_is_positive_where_it_is_reliable() -> None:
    gains = []
    for random_seed in range(4):
        rng = np.random.default_rng(random_seed)
        others, faint = users(rng, 2_000, None), users(rng, 240, None)
        faint[:, :WIDTH] += 0.05
        gains.append(gain_of_doubling(examples_of(faint, others=others), "neighbours", 0.1, FOUR_FOLDS))
    reliable = [gain for gain in gains if gain is not None]
    assert reliable
    assert min(reliable) > 0.1

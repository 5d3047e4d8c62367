"""From the examples to a decision: the scorer, the size and the verdict, which depend on the settings alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_context import memory_context
from expansion_examples import (
    QUICK,
    active_users,
    examples_of,
    log_like_values,
    random_users,
    selection_of,
    similar_users,
)
from lookalike.data.arrays import Floats, Rows
from lookalike.errors import ExpansionError
from lookalike.expansion import curves
from lookalike.expansion.audience import Size, parse_size
from lookalike.expansion.curves import BandSettings
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.scorer_selection import AUTO
from lookalike.expansion.seed import Seed
from lookalike.expansion.selection import DEFAULT_SHARE, Selection, fit_scorer, resolve_size, select, tiers
from lookalike.workspace.settings import ExpandSettings

DrawSeed = Callable[[np.random.Generator, Floats], Rows]
NOBODY = np.zeros(0, np.int64)


def selected(values: Floats, seed: Rows, share: float | None, run: int = 0, scorer: str = "auto") -> Selection:
    examples = examples_of(values, seed)
    settings = ExpandSettings(repeats=2, folds=4, random_seed=run)
    size = None if share is None else round(share * examples.candidates)
    return select(examples, scorer, size, settings, lambda folds: None)


# --- sizes and tiers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "candidates", "size"),
    [("7", 7, 7), ("5%", 1_000, 50), ("0.01%", 50, 1), ("auto", 9, None), ("100%", 9, 9)],
)
def test_a_size_is_a_number_of_candidates(requested: str, candidates: int, size: int | None) -> None:
    assert resolve_size(parse_size(requested), candidates) == size


def test_more_prospects_than_candidates_is_an_error_that_gives_their_number() -> None:
    with pytest.raises(ExpansionError, match="only 7 candidates"):
        resolve_size(Size(count=8), 7)


@pytest.mark.parametrize("size", [Size(), Size(count=1), Size(share=0.5)])
def test_without_candidates_there_is_no_size(size: Size) -> None:
    with pytest.raises(ExpansionError, match="leave nobody to rank"):
        resolve_size(size, 0)


@given(st.integers(1, 500), st.integers(1, 20))
def test_tiers_divide_the_ranks_evenly_from_the_first(count: int, number: int) -> None:
    tier_of_rank = tiers(count, number)
    assert (np.diff(tier_of_rank) >= 0).all()
    sizes = np.bincount(tier_of_rank)[1:]
    assert len(sizes) == min(number, count)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.sum() == count


def test_an_empty_list_has_no_tier() -> None:
    assert len(tiers(0, 5)) == 0


# --- the decision ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples() -> Examples:
    vectors = np.random.default_rng(9).integers(-50, 51, (1_000, 7)).astype(np.float32)
    settings = ExpandSettings(background=300)
    context = memory_context(vectors, ("log_events", "c0", "c1", "c2"), 3, settings)
    return build_examples(context, Seed(np.arange(0, 120, 2), NOBODY))


@pytest.mark.parametrize("size", [40, None])
def test_a_decision_depends_on_its_settings_alone(examples: Examples, size: int | None) -> None:
    settings = ExpandSettings(repeats=1, folds=3, background=300)
    first, again = (select(examples, "auto", size, settings, lambda folds: None) for _ in range(2))
    assert first.scorer == again.scorer
    assert first.size == again.size == (size or first.size)
    assert first.share == pytest.approx(first.size / examples.candidates, rel=0.01)
    assert first.verdict == again.verdict


def test_with_auto_the_list_is_judged_by_the_cross_fitted_choice(examples: Examples) -> None:
    settings = ExpandSettings(repeats=1, folds=3)
    selection = select(examples, "auto", 40, settings, lambda folds: None)
    assert AUTO in selection.quantiles
    assert np.array_equal(selection.own_quantiles, selection.quantiles[AUTO])
    requested = select(examples, "logistic", 40, settings, lambda folds: None)
    assert set(requested.quantiles) == {"centroid", "logistic", ACTIVITY}
    assert np.array_equal(requested.own_quantiles, requested.quantiles["logistic"])
    assert requested.bands.sample == examples.effective_sample(3)


def test_an_auto_size_is_the_largest_worth_taking_or_the_default_share() -> None:
    rng = np.random.default_rng(4)
    values = log_like_values(rng, 2_000, 12)
    selection = selected(values, similar_users(rng, values), None, scorer="logistic")
    assert selection.requested.is_auto
    assert selection.share == selection.requested.largest
    assert selection.size == selection.largest_size
    assert selection.verdict.expand
    random = selected(values, random_users(rng, values), None, scorer="logistic")
    assert (random.requested.largest, random.largest_size, random.share) == (None, None, DEFAULT_SHARE)
    assert not random.verdict.expand


def test_candidates_of_other_lists_rank_before_the_list(examples: Examples) -> None:
    selection = select(replace(examples, listed_elsewhere=94), "logistic", 47, QUICK, lambda folds: None)
    begin = 94 / examples.candidates
    assert (selection.requested.begin, selection.requested.end) == (begin, begin + selection.share)


def test_the_largest_size_is_a_number_of_users() -> None:
    selection = selection_of(np.random.default_rng(0).random((1, 40)), 0.1, candidates=1_000)
    assert selection.largest_size == 200


def test_the_fitted_scorer_depends_on_the_random_seed_alone(examples: Examples) -> None:
    users = examples.background
    scores = [fit_scorer(examples, "logistic", QUICK)(users) for _ in range(2)]
    assert np.array_equal(*scores)
    assert scores[0][examples.seed_index >= 0].mean() > scores[0][examples.seed_index < 0].mean()


@pytest.mark.slow
@pytest.mark.parametrize("draw_seed", [random_users, active_users])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_seeds_with_nothing_to_find_are_not_expanded(draw_seed: DrawSeed, share: float) -> None:
    expanded = 0
    for run in range(40):
        rng = np.random.default_rng([run, 11])
        values = log_like_values(rng, 1_200, 12)
        expanded += selected(values, draw_seed(rng, values), share, run).verdict.expand
    assert expanded <= 3


def test_a_planted_direction_is_found_and_expanded() -> None:
    rng = np.random.default_rng(4)
    values = log_like_values(rng, 2_000, 12)
    selection = selected(values, similar_users(rng, values), 0.08)
    assert curves.lift_band(selection.own_quantiles, 0.08, BandSettings(0.95)).low > 2
    assert selection.verdict.expand

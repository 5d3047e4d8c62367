"""The prefilter: its sums are never further from the exact score than the bound, and it loses nobody who may be listed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.arrays import Floats
from lookalike.embeddings.linear import Linear
from lookalike.expansion.ranking.half_sums import Halves, sums_for
from lookalike.expansion.ranking.prefilter import Prefilter, Survivors, apply_prefilters

SPANS = {"sequence": (0, 13), "aggregates": (15, 26)}
COLUMNS = np.concatenate([np.arange(*span) for span in SPANS.values()])


def halves_of_all_sizes(rng: np.random.Generator, users: int, scale: float) -> dict[str, Halves]:
    """Blocks with values that are subnormal, 0, ordinary, and nearly too large."""
    blocks = {}
    for block, (first, last) in SPANS.items():
        with np.errstate(over="ignore"):
            values = (rng.standard_normal((users, last - first)) * scale).astype(np.float16)
        replaced = rng.random(values.shape)
        values[replaced < 0.02], values[replaced > 0.98] = 0, np.float16(6e-8)
        blocks[block] = np.nan_to_num(np.clip(values, -65504, 65504))
    return blocks


def exact_scores(linear: Linear, blocks: dict[str, Halves]) -> Floats:
    return linear(np.hstack([blocks[block] for block in SPANS]))


def survivors_of(
    linear: Linear, blocks: dict[str, Halves], threshold: float, shared: bool = False
) -> tuple[Prefilter, Survivors]:
    """The prefilter of the score and its survivors, beside those of a second prefilter that nobody passes."""
    prefilter, second = (Prefilter.of(score, COLUMNS, SPANS) for score in (linear, Linear(np.ones(len(COLUMNS)))))
    assert prefilter
    assert second
    max_abs = {block: float(np.abs(halves).max()) for block, halves in blocks.items()}
    sums = sums_for([second.weights, prefilter.weights], shared)
    return prefilter, apply_prefilters([(second, 1e9), (prefilter, threshold)], sums, blocks, max_abs)[1]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1e-7, 1e-4, 0.1, 1.0, 300.0, 60_000.0]),
    st.sampled_from([1e-200, 1e-30, 1e-3, 1.0, 1e6, 1e30, 1e200]),
    st.sampled_from([0.0, 1.0, -3e5, 1e-12]),
    st.booleans(),
)
def test_users_who_reach_the_threshold_survive_and_sums_are_within_the_bound(
    random_seed: int, scale: float, weight: float, offset: float, shared: bool
) -> None:
    rng = np.random.default_rng(random_seed)
    blocks = halves_of_all_sizes(rng, 50, scale)
    linear = Linear(rng.standard_normal(len(COLUMNS)) * weight * 10.0 ** rng.uniform(-6, 0, len(COLUMNS)), offset)
    scores = exact_scores(linear, blocks)
    prefilter, all_users = survivors_of(linear, blocks, -np.inf, shared)
    assert all_users.places.tolist() == list(range(50))
    prefilter.check(scores, all_users)
    for threshold in (*scores, np.nextafter(scores.max(), np.inf)):
        _, survivors = survivors_of(linear, blocks, float(threshold), shared)
        assert set(np.flatnonzero(scores >= threshold).tolist()) <= set(survivors.places.tolist())


def test_most_users_are_rejected_when_values_are_ordinary() -> None:
    rng = np.random.default_rng(0)
    blocks = halves_of_all_sizes(rng, 10_000, 1.0)
    linear = Linear(rng.standard_normal(len(COLUMNS)))
    _, survivors = survivors_of(linear, blocks, float(np.sort(exact_scores(linear, blocks))[-100]))
    assert 100 <= len(survivors.places) < 110
    assert (np.diff(survivors.places) > 0).all()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (4_096, 12), (4_999, 5)])
@pytest.mark.parametrize("shared", [False, True])
def test_a_value_that_is_not_finite_is_found_even_where_its_weight_is_0(
    bad: float, place: tuple[int, int], shared: bool
) -> None:
    blocks = halves_of_all_sizes(np.random.default_rng(0), 5_000, 1.0)
    blocks["sequence"][place] = bad
    weights = np.ones(len(COLUMNS))
    weights[:13] = 0
    with pytest.raises(FloatingPointError):
        survivors_of(Linear(weights), blocks, 1e9, shared)


@pytest.mark.parametrize("weight", [0.0, 1e250, 1e-300, np.inf, np.nan])
def test_weights_for_which_the_bound_does_not_hold_have_no_prefilter(weight: float) -> None:
    assert Prefilter.of(Linear(np.full(24, weight)), COLUMNS, SPANS) is None


def test_a_score_that_reads_a_column_twice_has_no_prefilter() -> None:
    assert Prefilter.of(Linear(np.ones(24)), np.append(COLUMNS[:-1], 0), SPANS) is None


def test_sums_outside_the_bound_raise_an_error() -> None:
    rng = np.random.default_rng(0)
    blocks, linear = halves_of_all_sizes(rng, 100, 1.0), Linear(rng.standard_normal(len(COLUMNS)))
    prefilter, survivors = survivors_of(linear, blocks, -np.inf)
    scores = exact_scores(linear, blocks)
    for error in (1.5 * survivors.max_error, np.nan):
        wrong = Survivors(survivors.places, survivors.sums + np.float32(error), survivors.max_error)
        with pytest.raises(ArithmeticError):
            prefilter.check(scores, wrong)

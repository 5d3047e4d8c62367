"""Sums in single precision: never further from the exact score than is promised, and nobody lost who may be listed."""

import sys
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lookalike.expansion.ranking.prefilter import Prefilter, Products, Survivors, apply_prefilters, sums_for
from lookalike.expansion.scorers.logistic import Linear

SPANS = {"sequence": (0, 13), "aggregates": (15, 26)}
COLUMNS = np.concatenate([np.arange(*span) for span in SPANS.values()])


def rows_of(rng: np.random.Generator, count: int, scale: float) -> dict[str, NDArray[np.float16]]:
    """Halves of every size: subnormal, 0, ordinary, nearly too large."""
    made = {}
    for block, (first, last) in SPANS.items():
        with np.errstate(over="ignore"):
            values = (rng.standard_normal((count, last - first)) * scale).astype(np.float16)
        odd = rng.random(values.shape)
        values[odd < 0.02], values[odd > 0.98] = 0, np.float16(6e-8)
        made[block] = np.nan_to_num(np.clip(values, -65504, 65504))
    return made


def sifted(
    linear: Linear, blocks: dict[str, NDArray[np.float16]], threshold: float, together: bool = False
) -> tuple[Prefilter, Survivors]:
    """With a second sieve beside the one, of which nothing is wanted."""
    made, other = Prefilter.of(linear, COLUMNS, SPANS), Prefilter.of(Linear(np.ones(len(COLUMNS))), COLUMNS, SPANS)
    assert made
    assert other
    largest = {block: float(np.abs(halves).max()) for block, halves in blocks.items()}
    found = apply_prefilters([(other, 1e9), (made, threshold)], sums_for([other, made], together), blocks, largest)
    return made, found[1]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1e-7, 1e-4, 0.1, 1.0, 300.0, 60_000.0]),
    st.sampled_from([1e-200, 1e-30, 1e-3, 1.0, 1e6, 1e30, 1e200]),
    st.sampled_from([0.0, 1.0, -3e5, 1e-12]),
    st.booleans(),
)
def test_whoever_reaches_the_threshold_is_kept_and_sums_are_as_near_as_promised(
    seed: int, scale: float, weight: float, offset: float, together: bool
) -> None:
    rng = np.random.default_rng(seed)
    blocks = rows_of(rng, 50, scale)
    linear = Linear(rng.standard_normal(len(COLUMNS)) * weight * 10.0 ** rng.uniform(-6, 0, len(COLUMNS)), offset)
    exact = linear(np.hstack([blocks[block] for block in SPANS]))
    made, everybody = sifted(linear, blocks, -np.inf, together)
    assert everybody.places.tolist() == list(range(50))
    made.check(exact, everybody)
    for threshold in (*exact, np.nextafter(exact.max(), np.inf)):
        _, found = sifted(linear, blocks, float(threshold), together)
        assert set(np.flatnonzero(exact >= threshold).tolist()) <= set(found.places.tolist())


def test_most_are_shut_out_where_figures_are_ordinary() -> None:
    rng = np.random.default_rng(0)
    blocks = rows_of(rng, 10_000, 1.0)
    linear = Linear(rng.standard_normal(len(COLUMNS)))
    exact = linear(np.hstack([blocks[block] for block in SPANS]))
    _, found = sifted(linear, blocks, float(np.sort(exact)[-100]))
    assert 100 <= len(found.places) < 110
    assert (np.diff(found.places) > 0).all()


@pytest.mark.parametrize("width", [1, 7, 8, 9, 24, 97, 128, 131])
@pytest.mark.parametrize("count", [1, 5, 1_000])
def test_products_are_those_of_doubles_to_single_precision(width: int, count: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((count, width)).astype(np.float16)
    weights = rng.standard_normal(width).astype(np.float32)
    exact = rows.astype(np.float64) @ weights
    sums = Products(weights)(rows)
    assert np.abs(sums - exact).max() <= (width + 8) * 2.0**-24 * (np.abs(rows.astype(float)) @ np.abs(weights)).max()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (4_096, 12), (4_999, 5)])
@pytest.mark.parametrize("together", [False, True])
def test_a_figure_that_is_no_number_is_found_also_where_its_weight_is_nought(
    bad: float, place: tuple[int, int], together: bool
) -> None:
    blocks = rows_of(np.random.default_rng(0), 5_000, 1.0)
    blocks["sequence"][place] = bad
    weights = np.ones(len(COLUMNS))
    weights[:13] = 0
    with pytest.raises(FloatingPointError):
        sifted(Linear(weights), blocks, 1e9, together)


@pytest.mark.parametrize(
    "weights", [np.zeros(24), np.full(24, 1e250), np.full(24, 1e-300), np.full(24, np.inf), np.full(24, np.nan)]
)
def test_there_is_no_sieve_where_the_bound_could_not_be_vouched_for(weights: NDArray[np.float64]) -> None:
    assert Prefilter.of(Linear(weights), COLUMNS, SPANS) is None


def test_there_is_no_sieve_of_a_column_that_is_read_twice() -> None:
    assert Prefilter.of(Linear(np.ones(24)), np.append(COLUMNS[:-1], 0), SPANS) is None


def test_sums_further_off_than_promised_are_a_fault() -> None:
    rng = np.random.default_rng(0)
    blocks, linear = rows_of(rng, 100, 1.0), Linear(rng.standard_normal(len(COLUMNS)))
    made, found = sifted(linear, blocks, -np.inf)
    exact = linear(np.hstack([blocks[block] for block in SPANS]))
    for apart in (1.5 * found.off, np.nan):
        with pytest.raises(ArithmeticError):
            made.check(exact, Survivors(found.places, found.sums + np.float32(apart), found.off))


def test_threads_do_not_disturb_each_other_and_no_type_of_faiss_loses_its_count() -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((64, 24)).astype(np.float16), rng.standard_normal(24).astype(np.float32)
    types = ("ScalarQuantizer", "InvertedListScanner", "RangeSearchResult", "RangeSearchPartialResult")

    def work(_: int) -> None:
        products = Products(weights)
        expected = products(rows).tolist()
        for _ in range(500):
            assert products(rows).tolist() == expected

    work(0)
    before = [sys.getrefcount(getattr(faiss, name)) for name in types]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(16)))
    after = [sys.getrefcount(getattr(faiss, name)) for name in types]
    assert all(late >= early for early, late in zip(before, after, strict=True))

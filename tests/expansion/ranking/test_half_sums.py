"""Sums of half-precision rows by FAISS: precise to single precision, and safe in several threads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest

from lookalike.expansion.ranking.half_sums import HalfProduct, sums_for


@pytest.mark.parametrize("width", [1, 7, 8, 9, 24, 97, 128, 131])
@pytest.mark.parametrize("count", [1, 5, 1_000])
def test_products_equal_those_of_doubles_to_single_precision(width: int, count: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((count, width)).astype(np.float16)
    weights = rng.standard_normal(width).astype(np.float32)
    exact = rows.astype(np.float64) @ weights
    sums = HalfProduct(weights)(rows)
    assert np.abs(sums - exact).max() <= (width + 8) * 2.0**-24 * (np.abs(rows.astype(float)) @ np.abs(weights)).max()


@pytest.mark.parametrize("shared", [False, True])
def test_each_list_has_the_sums_of_its_blocks(shared: bool) -> None:
    rng = np.random.default_rng(0)
    blocks = {
        "a": rng.standard_normal((40, 9)).astype(np.float16),
        "b": rng.standard_normal((40, 3)).astype(np.float16),
    }
    a, b = (rng.standard_normal(width).astype(np.float32) for width in (9, 3))
    sums = sums_for([{"a": a}, {"b": b}, {"a": a, "b": b}], shared)(blocks)
    exact = [blocks["a"].astype(float) @ a, blocks["b"].astype(float) @ b]
    assert sums.dtype == np.float32
    assert np.allclose(sums, np.stack([*exact, exact[0] + exact[1]], axis=1), atol=1e-5)


def test_threads_do_not_disturb_each_other_and_no_faiss_type_loses_references() -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((64, 24)).astype(np.float16), rng.standard_normal(24).astype(np.float32)
    types = ("ScalarQuantizer", "InvertedListScanner", "RangeSearchResult", "RangeSearchPartialResult")

    def work(_: int) -> None:
        product = HalfProduct(weights)
        expected = product(rows).tolist()
        for _ in range(500):
            assert product(rows).tolist() == expected

    work(0)
    before = [sys.getrefcount(getattr(faiss, name)) for name in types]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(16)))
    after = [sys.getrefcount(getattr(faiss, name)) for name in types]
    assert all(late >= early for early, late in zip(before, after, strict=True))

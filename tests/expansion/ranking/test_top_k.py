"""The exact first k, against a full sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows
from lookalike.expansion.ranking.top_k import MIN_BUFFERED, Ranking, TopK


def sorted_rows(scores: Floats, ties: NDArray[np.uint64], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda row: (-scores[row], int(ties[row]), row))[:k]


def first_k(scores: Floats, ties: NDArray[np.uint64], k: int, cuts: list[int]) -> Ranking:
    """The first k of users that are offered in blocks."""
    top = TopK(k)
    for rows in np.split(np.arange(len(scores)), cuts):
        top.add(scores[rows], ties[rows], rows)
    return top.result()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_blocks_give_the_order_of_a_full_sort(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    few_values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 5e-324])
    scores = np.array(data.draw(st.lists(few_values, min_size=count, max_size=count)))
    ties = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)), np.uint64)
    ties += np.uint64(2**64 - 4)  # the upper half of the hashes, which a signed comparison would put first
    k = data.draw(st.integers(1, count + 5))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))
    ranking = first_k(scores, ties, k, cuts)
    assert ranking.rows.tolist() == sorted_rows(scores, ties, k)
    assert ranking.scores.tolist() == scores[ranking.rows].tolist()


@pytest.mark.parametrize("values", [1, 3, 1_000_000])
@pytest.mark.parametrize("k", [1, 100, 40_000, 300_000])
def test_the_running_threshold_loses_nobody_with_many_ties(values: int, k: int) -> None:
    rng = np.random.default_rng(k)
    scores = np.floor(rng.random(300_000) * values)
    ties = rng.integers(0, 2**64, len(scores), dtype=np.uint64)
    expected = np.lexsort((np.arange(len(scores)), ties, -scores))[:k]
    for block in (7_777, 65_536, 300_000):
        ranking = first_k(scores, ties, k, list(range(block, len(scores), block)))
        assert np.array_equal(ranking.rows, expected)


def test_the_order_of_blocks_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    scores = np.floor(rng.random(200_000) * 50)
    ties = rng.integers(0, 1_000, len(scores), dtype=np.uint64)  # some hashes are equal too, so that rows decide
    expected = np.lexsort((np.arange(len(scores)), ties, -scores))[:5_000]
    blocks: list[Rows] = np.array_split(np.arange(len(scores)), 30)
    for order in (rng.permutation(30), np.arange(30)[::-1]):
        top = TopK(5_000)
        for block in order:
            top.add(scores[blocks[block]], ties[blocks[block]], blocks[block])
        assert np.array_equal(top.result().rows, expected)


def test_without_users_the_ranking_is_empty() -> None:
    assert len(TopK(5).result().rows) == 0


def test_a_threshold_set_from_the_start_rejects_users_below_it() -> None:
    top = TopK(3, threshold=5.0)
    top.add(np.array([4.0, 5.0, 6.0]), np.zeros(3, np.uint64), np.arange(3))
    assert top.result().rows.tolist() == [2, 1]


def test_memory_grows_with_the_list_and_not_with_the_users() -> None:
    top = TopK(1_000)
    rng = np.random.default_rng(0)
    max_kept = 0
    for block in range(100):
        rows = np.arange(block * 10_000, (block + 1) * 10_000)
        top.add(rows.astype(float), rng.integers(0, 9, 10_000, dtype=np.uint64), rows)  # each block beats all before
        max_kept = max(max_kept, sum(len(part[0]) for part in top._kept))
    assert max_kept <= 2 * 1_000 + MIN_BUFFERED + 10_000
    assert top.result().rows.tolist() == list(range(999_999, 998_999, -1))

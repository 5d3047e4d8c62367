"""The exact first n, against the plainest reference there is: sort everybody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lookalike.expansion.ranking.top_k import Ranking, TopN


def reference(scores: NDArray[np.float64], ties: NDArray[np.uint64], n: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda row: (-scores[row], int(ties[row]), row))[:n]


def ranked(scores: NDArray[np.float64], ties: NDArray[np.uint64], n: int, cuts: list[int]) -> Ranking:
    top = TopN(n)
    for rows in np.split(np.arange(len(scores)), cuts):
        top.add(scores[rows], ties[rows], rows)
    return top.result()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_blocks_give_the_order_of_a_full_sort(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 5e-324])
    scores = np.array(data.draw(st.lists(few, min_size=count, max_size=count)))
    ties = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)), np.uint64)
    ties += np.uint64(2**64 - 4)  # hashes use the upper half, which a signed comparison would put first
    n = data.draw(st.integers(1, count + 5))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))
    found = ranked(scores, ties, n, cuts)
    assert found.rows.tolist() == reference(scores, ties, n)
    assert found.scores.tolist() == scores[found.rows].tolist()


@pytest.mark.parametrize("values", [1, 3, 1_000_000])
@pytest.mark.parametrize("n", [1, 100, 40_000, 300_000])
def test_the_running_threshold_loses_nobody_however_heavy_the_ties(values: int, n: int) -> None:
    rng = np.random.default_rng(n)
    scores = np.floor(rng.random(300_000) * values)
    ties = rng.integers(0, 2**64, len(scores), dtype=np.uint64)
    expected = np.lexsort((np.arange(len(scores)), ties, -scores))[:n]
    for block in (7_777, 65_536, 300_000):
        found = ranked(scores, ties, n, list(range(block, len(scores), block)))
        assert np.array_equal(found.rows, expected)


def test_blocks_in_any_order_give_the_same_list() -> None:
    rng = np.random.default_rng(3)
    scores = np.floor(rng.random(200_000) * 50)
    ties = rng.integers(0, 1_000, len(scores), dtype=np.uint64)  # equal hashes too: rows decide
    expected = np.lexsort((np.arange(len(scores)), ties, -scores))[:5_000]
    blocks = np.array_split(np.arange(len(scores)), 30)
    for order in (rng.permutation(30), np.arange(30)[::-1]):
        top = TopN(5_000)
        for block in order:
            top.add(scores[blocks[block]], ties[blocks[block]], blocks[block])
        assert np.array_equal(top.result().rows, expected)


def test_nobody_offered_gives_an_empty_list() -> None:
    assert len(TopN(5).result().rows) == 0


def test_memory_follows_the_list_and_not_the_users() -> None:
    top = TopN(1_000)
    rng = np.random.default_rng(0)
    most = 0
    for block in range(100):
        rows = np.arange(block * 10_000, (block + 1) * 10_000)
        top.add(rows.astype(float), rng.integers(0, 9, 10_000, dtype=np.uint64), rows)  # each block beats all before
        most = max(most, sum(len(part[0]) for part in top._kept))
    assert most <= 2 * 1_000 + 65_536 + 10_000
    assert top.result().rows.tolist() == list(range(999_999, 998_999, -1))

"""Next-item recommendation: what is held out, the metrics by definition, and baselines against plain references."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data import sequence_queries
from lookalike.data.sequences import Sequences
from lookalike.embeddings import interactions
from lookalike.encoder import next_item_metrics
from lookalike.encoder.next_item_metrics import ITEM_METRICS, HeldOutUsers, ndcg_at, recall_at
from synthetic_sequences import sequences_of

ITEMS = 9


@pytest.fixture
def everything() -> Sequences:
    """Twelve users with a dozen events each, many of them of one moment and some without an item."""
    rng = np.random.default_rng(7)
    return sequences_of([np.sort(rng.integers(0, 40, rng.integers(0, 25))).tolist() for _ in range(12)], seed=7)


@pytest.fixture
def known(everything: Sequences) -> Sequences:
    return sequence_queries.events_before(everything, int(np.median(np.asarray(everything["time"]))))


def items_of(sequences: Sequences, row: int) -> set[int]:
    return set(np.asarray(sequences["item"][sequences.offsets[row] : sequences.offsets[row + 1]]).tolist()) - {-1}


# --- what is held out ------------------------------------------------------------------------------------------------


def test_held_out_are_new_items_of_users_with_items_before_the_cut(everything: Sequences, known: Sequences) -> None:
    held_out = next_item_metrics.hold_out(known, everything, ITEMS, np.random.default_rng(0))
    expected = {
        row: items_of(everything, row) - items_of(known, row)
        for row in range(everything.users)
        if items_of(known, row) and items_of(everything, row) - items_of(known, row)
    }
    assert len(expected) > 3, "the log has something to hold out"
    assert held_out.users.tolist() == sorted(expected)
    for place, row in enumerate(held_out.users):
        assert set(held_out.future[place].indices.tolist()) == expected[row]
        assert set(held_out.past[place].indices.tolist()) == items_of(known, row)


def test_a_perfect_scorer_has_1_and_without_held_out_users_every_metric_is_0(
    everything: Sequences, known: Sequences
) -> None:
    held_out = next_item_metrics.hold_out(known, everything, ITEMS, np.random.default_rng(0))
    place = {int(user): number for number, user in enumerate(held_out.users)}
    perfect = next_item_metrics.measure(
        held_out, lambda users: held_out.future[[place[int(user)] for user in users]].toarray()
    )
    assert perfect == pytest.approx({"recall@20": 1, "ndcg@20": 1})
    nobody = next_item_metrics.hold_out(everything, everything, ITEMS, np.random.default_rng(0))
    assert len(nobody.users) == 0
    assert set(next_item_metrics.measure(nobody, lambda users: np.zeros((len(users), ITEMS))).values()) == {0.0}


# --- baselines -------------------------------------------------------------------------------------------------------


def test_popularity_counts_only_events_before_the_cut(known: Sequences) -> None:
    scores = next_item_metrics.popularity(known, ITEMS)(np.array([0, 1]))
    item = np.asarray(known["item"])
    assert scores.tolist() == [[int((item == row).sum()) for row in range(ITEMS)]] * 2


def test_item_neighbours_are_cosines_of_the_columns(everything: Sequences, known: Sequences) -> None:
    held_out = next_item_metrics.hold_out(known, everything, ITEMS, np.random.default_rng(0))
    counts = np.log1p(interactions.item_counts(known, ITEMS).toarray())
    support = (counts > 0).sum(0)
    idf = np.log((1 + len(counts)) / (1 + support)) + 1
    rows = counts * idf
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1)
    lengths = np.linalg.norm(rows, axis=0)
    columns = rows / np.where(lengths > 0, lengths, 1)
    expected = (held_out.past.toarray() * idf) @ (columns.T @ columns)
    assert np.allclose(next_item_metrics.item_neighbours(known, held_out, ITEMS)(held_out.users), expected)


# --- metrics ---------------------------------------------------------------------------------------------------------


def by_sorting(held_out: HeldOutUsers, scores: NDArray[np.float64]) -> dict[str, float]:
    """The metrics in plain Python."""
    recalls, gains, tie_order = [], [], next_item_metrics.tie_order(scores.shape[1])
    for place in range(len(held_out.users)):
        past, future = set(held_out.past[place].indices.tolist()), set(held_out.future[place].indices.tolist())
        candidates = set(range(scores.shape[1])) - past
        top = sorted(candidates, key=lambda item: (-scores[place, item], tie_order[item]))[:20]
        recalls.append(len(future & set(top)) / len(future))
        best = sum(1 / np.log2(rank + 2) for rank in range(min(20, len(future))))
        gains.append(sum(1 / np.log2(rank + 2) for rank, item in enumerate(top) if item in future) / best)
    return {"recall@20": float(np.mean(recalls)), "ndcg@20": float(np.mean(gains))}


@pytest.mark.parametrize("items", [8, 25, 120])
def test_the_metrics_are_those_of_a_plain_sort_of_the_whole_catalogue(
    items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(items)
    users = 30
    monkeypatch.setattr(next_item_metrics, "SCORES_PER_BATCH", 7 * items)
    past = rng.random((users, items)) < 0.2
    future = (rng.random((users, items)) < 0.2) & ~past
    future[:, 0] |= ~past[:, 0]
    future[~future.any(1), 1], past[:, 1] = True, False
    held_out = HeldOutUsers(
        np.arange(users) * 3, sparse.csr_matrix(past.astype(float)), sparse.csr_matrix(future.astype(float))
    )
    scores = rng.integers(0, 6, (users, items)).astype(float)  # many are equal
    measured = next_item_metrics.measure(held_out, lambda rows: scores[rows // 3])
    assert measured == pytest.approx(by_sorting(held_out, scores))


def test_recall_is_the_mean_over_users_not_over_hits() -> None:
    hits = np.array([[1.0, 0, 0], [1, 1, 0]])
    assert recall_at(hits, np.array([1.0, 4.0])) == pytest.approx((1 + 0.5) / 2)


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    hits = np.array([[0.0, 1, 0, 1]])
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    best = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert ndcg_at(hits, np.array([3.0])) == pytest.approx(gain / best)


def test_ndcg_of_more_relevant_items_than_ranks_is_still_1_at_best() -> None:
    assert ndcg_at(np.ones((1, 4)), np.array([9.0])) == pytest.approx(1)


@pytest.fixture(params=sorted(ITEM_METRICS))
def metric(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_relevant_item_on_top_gives_1(metric: str) -> None:
    relevant = np.array([1.0, 3.0, 20.0])
    hits = (np.arange(20) < relevant[:, None]).astype(float)
    assert ITEM_METRICS[metric](hits, relevant) == pytest.approx(1)


def test_no_hit_gives_0(metric: str) -> None:
    assert ITEM_METRICS[metric](np.zeros((4, 20)), np.full(4, 2.0)) == 0
    assert ITEM_METRICS[metric](np.zeros((0, 20)), np.zeros(0)) == 0


def test_a_random_order_finds_its_share(metric: str) -> None:
    rng = np.random.default_rng(4)
    items, users = 200, 4_000
    relevant = np.full(users, 5.0)
    hits = (rng.random((users, items)).argsort(1)[:, :20] < 5).astype(float)
    discount = 1 / np.log2(np.arange(20) + 2)
    expected = {"recall@20": 20 / items, "ndcg@20": 5 / items * discount.sum() / discount[:5].sum()}
    assert ITEM_METRICS[metric](hits, relevant) == pytest.approx(expected[metric], rel=0.05)

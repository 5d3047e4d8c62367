"""Foreseeing items: what is held out, what the figures count, and baselines against plain references."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data import sequence_queries
from lookalike.data.database import Database
from lookalike.data.sequences import Sequences
from lookalike.embeddings import interactions
from lookalike.encoder import next_item_metrics
from planted_log import built
from random_log import insert_log, random_log

ITEMS = 9


@pytest.fixture
def arrays(store: Database, tmp_path: Path) -> Sequences:
    insert_log(store, random_log(7, events=150))
    return built(store, tmp_path)[0]


def met(arrays: Sequences, row: int) -> set[int]:
    return set(np.asarray(arrays["item"][arrays.offsets[row] : arrays.offsets[row + 1]]).tolist()) - {-1}


def test_held_out_are_new_items_of_users_known_on_both_sides(arrays: Sequences) -> None:
    known = sequence_queries.events_before(arrays, int(np.median(np.asarray(arrays["time"]))))
    held = next_item_metrics.hold_out(known, arrays, ITEMS, np.random.default_rng(0))
    expected = {
        row: met(arrays, row) - met(known, row)
        for row in range(arrays.users)
        if met(known, row) and met(arrays, row) - met(known, row)
    }
    assert held.users.tolist() == sorted(expected)
    for place, row in enumerate(held.users):
        assert set(held.coming[place].indices.tolist()) == expected[row]
        assert set(held.past[place].indices.tolist()) == met(known, row)
    assert expected, "the log has something to hold out"


def test_popularity_counts_events_before_the_cut_only(arrays: Sequences) -> None:
    known = sequence_queries.events_before(arrays, int(np.median(np.asarray(arrays["time"]))))
    counts = next_item_metrics.popularity(known, ITEMS)(np.array([0, 1]))
    item = np.asarray(known["item"])
    assert counts.tolist() == [[int((item == i).sum()) for i in range(ITEMS)]] * 2


def reference(held: next_item_metrics.HeldOutUsers, scores: NDArray[np.float64]) -> dict[str, float]:
    recalls, gains, lot = [], [], next_item_metrics.tie_order(scores.shape[1])
    for place in range(len(held.users)):
        past, coming = set(held.past[place].indices.tolist()), set(held.coming[place].indices.tolist())
        order = sorted(set(range(scores.shape[1])) - past, key=lambda i: (-scores[place, i], lot[i]))[:20]
        recalls.append(len(coming & set(order)) / len(coming))
        best = sum(1 / np.log2(n + 2) for n in range(min(20, len(coming))))
        gains.append(sum(1 / np.log2(n + 2) for n, i in enumerate(order) if i in coming) / best)
    return {"recall@20": float(np.mean(recalls)), "ndcg@20": float(np.mean(gains))}


@pytest.mark.parametrize("items", [8, 25, 120])
def test_the_figures_are_those_of_a_plain_sort_of_the_whole_catalogue(
    items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(items)
    users = 30
    monkeypatch.setattr(next_item_metrics, "SCORES_PER_BATCH", 7 * items)
    past = rng.random((users, items)) < 0.2
    coming = (rng.random((users, items)) < 0.2) & ~past
    coming[:, 0] |= ~past[:, 0]
    coming[~coming.any(1), 1], past[:, 1] = True, False
    held = next_item_metrics.HeldOutUsers(
        np.arange(users) * 3, sparse.csr_matrix(past.astype(float)), sparse.csr_matrix(coming.astype(float))
    )
    scores = rng.integers(0, 6, (users, items)).astype(float)  # many equal
    found = next_item_metrics.measure(held, lambda rows: scores[rows // 3])
    assert found == pytest.approx(reference(held, scores))


def test_knowing_what_comes_is_worth_one_and_nobody_held_out_is_worth_nothing(arrays: Sequences) -> None:
    known = sequence_queries.events_before(arrays, int(np.median(np.asarray(arrays["time"]))))
    held = next_item_metrics.hold_out(known, arrays, ITEMS, np.random.default_rng(0))
    row = {int(user): place for place, user in enumerate(held.users)}
    oracle = next_item_metrics.measure(held, lambda users: held.coming[[row[int(u)] for u in users]].toarray())
    assert oracle == pytest.approx({"recall@20": 1, "ndcg@20": 1})
    nobody = next_item_metrics.hold_out(arrays, arrays, ITEMS, np.random.default_rng(0))
    assert len(nobody.users) == 0
    assert set(next_item_metrics.measure(nobody, lambda users: np.zeros((len(users), ITEMS))).values()) == {0.0}


def test_the_item_neighbours_are_the_cosines_of_the_columns(arrays: Sequences) -> None:
    known = sequence_queries.events_before(arrays, int(np.median(np.asarray(arrays["time"]))))
    held = next_item_metrics.hold_out(known, arrays, ITEMS, np.random.default_rng(0))
    counts = np.log1p(interactions.item_counts(known, ITEMS).toarray())
    support = (counts > 0).sum(0)
    idf = np.log((1 + len(counts)) / (1 + support)) + 1
    rows = counts * idf
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(norms > 0, norms, 1)
    norms = np.linalg.norm(rows, axis=0)
    cosine = (rows / np.where(norms > 0, norms, 1)).T @ (rows / np.where(norms > 0, norms, 1))
    expected = (held.past.toarray() * idf) @ cosine
    assert np.allclose(next_item_metrics.item_neighbours(known, held, ITEMS)(held.users), expected)

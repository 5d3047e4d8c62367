"""Each number against the definition, worked by hand."""

import numpy as np
import pytest

from lookalike.encoder import next_item_metrics
from lookalike.expansion import metrics


def test_recall_counts_held_out_seeds_in_front_of_the_share() -> None:
    quantiles = np.array([[0.01, 0.05, 0.2, 0.9], [0.04, 0.051, 0.06, 0.03]])
    assert metrics.recall(quantiles, 0.05) == pytest.approx((1 + 2) / 8)  # a place at the border is behind it
    assert metrics.lift(quantiles, 0.05) == pytest.approx(3 / 8 / 0.05)


def test_auc_is_the_mean_share_behind() -> None:
    assert metrics.auc(np.array([[0.1, 0.3]])) == pytest.approx(0.8)


def test_recall_of_items_is_the_mean_over_users_not_over_hits() -> None:
    hits = np.array([[1.0, 0, 0], [1, 1, 0]])
    assert next_item_metrics.recall_at(hits, np.array([1.0, 4.0])) == pytest.approx((1 + 0.5) / 2)


def test_ndcg_discounts_by_the_logarithm_of_the_place() -> None:
    hits = np.array([[0.0, 1, 0, 1]])
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    best = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert next_item_metrics.ndcg_at(hits, np.array([3.0])) == pytest.approx(gain / best)


def test_ndcg_of_more_relevant_items_than_places_is_still_one_at_best() -> None:
    assert next_item_metrics.ndcg_at(np.ones((1, 4)), np.array([9.0])) == pytest.approx(1)

"""Each figure against its definition, computed by hand."""

import numpy as np
import pytest

from lookalike.expansion import metrics


def test_recall_is_the_share_of_held_out_seeds_before_the_size() -> None:
    quantiles = np.array([[0.01, 0.05, 0.2, 0.9], [0.04, 0.051, 0.06, 0.03]])
    assert metrics.recall(quantiles, 0.05) == pytest.approx((1 + 2) / 8)  # a quantile equal to the share is behind it
    assert metrics.lift(quantiles, 0.05) == pytest.approx(3 / 8 / 0.05)


def test_weighted_recall_is_of_the_total_weight() -> None:
    quantiles = np.array([[0.01, 0.5, 0.9], [0.01, 0.01, 0.9]])
    weight = np.array([3.0, 1.0, 4.0])
    assert metrics.recall(quantiles, 0.1, weight) == pytest.approx((3 / 8 + 4 / 8) / 2)
    assert metrics.lift(quantiles, 0.1, weight) == pytest.approx(7 / 16 / 0.1)


def test_auc_is_the_mean_share_ranked_behind() -> None:
    assert metrics.auc(np.array([[0.1, 0.3]])) == pytest.approx(0.8)


def test_gain_is_relative_to_a_perfect_order() -> None:
    assert metrics.gain(np.array([[0.1, 0.3]])) == pytest.approx(0.6)


def test_partial_auc_counts_seeds_before_its_share_only() -> None:
    assert metrics.partial_auc(np.array([[0.01, 0.04, 0.2, 0.9]]), 0.05) == pytest.approx((0.8 + 0.2) / 4)


def test_lifts_of_seeds_are_averaged_over_sizes_from_half_to_twice_the_share() -> None:
    quantiles = np.array([[0.06, 0.11, 0.3]])
    sizes = [0.05, 0.071, 0.1, 0.141, 0.2]
    lift_of_first = np.mean([0, *(1 / size for size in sizes[1:])])
    lift_of_second = np.mean([0, 0, 0, 1 / 0.141, 1 / 0.2])
    assert metrics.lifts(quantiles, 0.1) == pytest.approx([lift_of_first, lift_of_second, 0])
    assert metrics.lifts(quantiles, 0.1, part=0.5) == pytest.approx([np.mean([0, 0, 0, 1 / 0.141, 1 / 0.2]), 0, 0])


def test_sizes_about_a_share_end_at_all_candidates() -> None:
    assert metrics.lifts(np.array([[0.95]]), 1.0) == pytest.approx([np.mean([0, 0, 1, 1, 1])])


def test_the_precision_floor_counts_the_held_out_seeds_of_the_list() -> None:
    assert metrics.precision_floor(0.5, held_out=40, size=100) == pytest.approx(0.2)

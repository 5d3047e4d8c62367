"""Each number against the definition, worked by hand."""

import numpy as np
import pytest

from lookalike.expansion import metrics


def test_recall_counts_held_out_seeds_in_front_of_the_share() -> None:
    quantiles = np.array([[0.01, 0.05, 0.2, 0.9], [0.04, 0.051, 0.06, 0.03]])
    assert metrics.recall(quantiles, 0.05) == pytest.approx((1 + 2) / 8)  # a place at the border is behind it
    assert metrics.lift(quantiles, 0.05) == pytest.approx(3 / 8 / 0.05)


def test_auc_is_the_mean_share_behind() -> None:
    assert metrics.auc(np.array([[0.1, 0.3]])) == pytest.approx(0.8)

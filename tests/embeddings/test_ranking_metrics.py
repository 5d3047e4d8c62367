"""Parts of NDCG and log-losses, against definitions and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, ndcg_score

from lookalike.embeddings.ranking_metrics import log_loss_of_none, log_losses, ndcg_parts


def test_the_mean_of_the_parts_is_ndcg() -> None:
    """By scikit-learn, with a cut."""
    rng = np.random.default_rng(0)
    scores, is_held = rng.random(200), np.arange(200) < 12
    rank = np.argsort(np.argsort(-scores))
    parts = ndcg_parts(rank[is_held] / 200, 200, 0.1)
    assert parts.mean() == pytest.approx(ndcg_score(is_held[None].astype(float), scores[None], k=20))
    assert 0 < parts.mean() < 1


def test_in_front_of_everybody_ndcg_is_1_and_behind_the_cut_0() -> None:
    assert ndcg_parts(np.arange(5) / 100, 100, 0.05).mean() == pytest.approx(1)
    assert ndcg_parts(np.arange(8) / 100, 100, 0.05).mean() == pytest.approx(1), "as many as the list can hold"
    assert ndcg_parts(np.array([0.05, 0.9]), 100, 0.05).tolist() == [0, 0]


def test_losses_are_those_of_a_logistic_regression_on_the_score() -> None:
    rng = np.random.default_rng(1)
    held, pool = rng.normal(0.02, 0.01, 60), rng.normal(0, 0.01, 900)
    scores, y = np.concatenate([held, pool]), np.arange(960) < 60
    fitted = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(100 * scores[:, None], y)
    expected = log_loss(y, fitted.predict_proba(100 * scores[:, None])[:, 1])
    assert np.concatenate(log_losses(held, pool)).mean() == pytest.approx(expected, abs=1e-7)
    assert expected < log_loss_of_none(60, 900)


def test_losses_do_not_depend_on_the_scale_of_scores() -> None:
    rng = np.random.default_rng(2)
    held, pool = rng.normal(1, 1, 30), rng.normal(0, 1, 300)
    first, second = (np.concatenate(log_losses(7 * factor * held - 3, 7 * factor * pool - 3)) for factor in (1, 1e-3))
    assert np.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(("held", "pool"), [(np.zeros(10), np.zeros(90)), (np.arange(10.0) - 50, np.arange(90.0))])
def test_a_score_that_tells_nothing_or_the_wrong_way_round_loses_the_entropy(held, pool) -> None:  # type: ignore[no-untyped-def]
    entropy = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert log_loss_of_none(10, 90) == pytest.approx(entropy)
    assert np.concatenate(log_losses(held, pool)).mean() == pytest.approx(entropy)


def test_people_who_are_told_apart_without_a_fault_have_finite_losses() -> None:
    losses = np.concatenate(log_losses(np.array([5.0, 6.0, 7.0]), np.linspace(-3, 3, 50)))
    assert np.isfinite(losses).all()
    assert losses.mean() < 0.01

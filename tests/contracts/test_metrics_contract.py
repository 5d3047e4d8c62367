"""What every metric keeps: chance gives chance, the best order gives the most, and a better order gives no less."""

import numpy as np
import pytest

from lookalike.encoder.next_item_metrics import ITEM_METRICS
from lookalike.expansion.metrics import AUDIENCE_METRICS

CHANCE = {
    "recall": lambda share: share,
    "lift": lambda share: 1.0,
    "auc": lambda share: 0.5,
    "partial_auc": lambda share: 0.025,
    "gain": lambda share: 0.0,
}
BEST = {
    "recall": lambda share: 1.0,
    "lift": lambda share: 1 / share,
    "auc": lambda share: 1.0,
    "partial_auc": lambda share: 1.0,
    "gain": lambda share: 1.0,
}
WORST = {
    "recall": lambda share: 0.0,
    "lift": lambda share: 0.0,
    "auc": lambda share: 0.0,
    "partial_auc": lambda share: 0.0,
    "gain": lambda share: -1.0,
}


@pytest.fixture(params=sorted(AUDIENCE_METRICS))
def audience_metric(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(ITEM_METRICS))
def item_metric(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 1.0])
def test_a_random_order_is_worth_chance(audience_metric: str, share: float) -> None:
    quantiles = np.random.default_rng(0).random((20, 5_000))
    found = AUDIENCE_METRICS[audience_metric](quantiles, share)
    assert found == pytest.approx(CHANCE[audience_metric](share), rel=0.1, abs=0.01)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_the_best_and_the_worst_order_are_worth_the_ends(audience_metric: str, share: float) -> None:
    metric = AUDIENCE_METRICS[audience_metric]
    assert metric(np.zeros((3, 50)), share) == pytest.approx(BEST[audience_metric](share))
    assert metric(np.full((3, 50), 1.0), share) == pytest.approx(WORST[audience_metric](share))


def test_moving_a_held_out_seed_up_never_costs(audience_metric: str) -> None:
    rng = np.random.default_rng(2)
    metric = AUDIENCE_METRICS[audience_metric]
    for _ in range(200):
        quantiles = rng.random((2, 10))
        better = quantiles * np.where(rng.random(quantiles.shape) < 0.3, 0.5, 1)
        assert metric(better, 0.2) >= metric(quantiles, 0.2)


def test_every_relevant_item_in_front_is_worth_one(item_metric: str) -> None:
    relevant = np.array([1.0, 3.0, 20.0])
    hits = (np.arange(20) < relevant[:, None]).astype(float)
    assert ITEM_METRICS[item_metric](hits, relevant) == pytest.approx(1)


def test_no_relevant_item_is_worth_nothing(item_metric: str) -> None:
    assert ITEM_METRICS[item_metric](np.zeros((4, 20)), np.full(4, 2.0)) == 0
    assert ITEM_METRICS[item_metric](np.zeros((0, 20)), np.zeros(0)) == 0


def test_a_random_order_of_items_finds_its_share(item_metric: str) -> None:
    rng = np.random.default_rng(4)
    items, users = 200, 4_000
    relevant = np.full(users, 5.0)
    hits = (rng.random((users, items)).argsort(1)[:, :20] < 5).astype(float)
    discount = 1 / np.log2(np.arange(20) + 2)
    expected = {"recall@20": 20 / items, "ndcg@20": 5 / items * discount.sum() / discount[:5].sum()}
    assert ITEM_METRICS[item_metric](hits, relevant) == pytest.approx(expected[item_metric], rel=0.05)

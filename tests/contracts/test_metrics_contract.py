"""What every audience metric does: its value at chance, at the best and the worst order, and that better ranks never cost."""

from collections.abc import Callable

import numpy as np
import pytest

from lookalike.data.arrays import Floats
from lookalike.expansion import metrics

AUDIENCE_METRICS: dict[str, Callable[[Floats, float], float]] = {
    "recall": metrics.recall,
    "lift": metrics.lift,
    "auc": lambda quantiles, share: metrics.auc(quantiles),
    "partial_auc": lambda quantiles, share: metrics.partial_auc(quantiles),
    "gain": lambda quantiles, share: metrics.gain(quantiles),
}
Expected = dict[str, Callable[[float], float]]  # by metric, the value at a share of the candidates

CHANCE: Expected = {
    "recall": lambda share: share,
    "lift": lambda share: 1.0,
    "auc": lambda share: 0.5,
    "partial_auc": lambda share: 0.025,
    "gain": lambda share: 0.0,
}
BEST: Expected = {
    "recall": lambda share: 1.0,
    "lift": lambda share: 1 / share,
    "auc": lambda share: 1.0,
    "partial_auc": lambda share: 1.0,
    "gain": lambda share: 1.0,
}
WORST: Expected = {
    "recall": lambda share: 0.0,
    "lift": lambda share: 0.0,
    "auc": lambda share: 0.0,
    "partial_auc": lambda share: 0.0,
    "gain": lambda share: -1.0,
}


@pytest.fixture(params=sorted(AUDIENCE_METRICS))
def audience_metric(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 1.0])
def test_a_random_order_has_the_value_of_chance(audience_metric: str, share: float) -> None:
    quantiles = np.random.default_rng(0).random((20, 5_000))
    value = AUDIENCE_METRICS[audience_metric](quantiles, share)
    assert value == pytest.approx(CHANCE[audience_metric](share), rel=0.1, abs=0.01)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_the_best_and_the_worst_order_have_the_extreme_values(audience_metric: str, share: float) -> None:
    metric = AUDIENCE_METRICS[audience_metric]
    assert metric(np.zeros((3, 50)), share) == pytest.approx(BEST[audience_metric](share))
    assert metric(np.full((3, 50), 1.0), share) == pytest.approx(WORST[audience_metric](share))


def test_a_better_rank_of_a_held_out_seed_never_lowers_the_value(audience_metric: str) -> None:
    rng = np.random.default_rng(2)
    metric = AUDIENCE_METRICS[audience_metric]
    for _ in range(200):
        quantiles = rng.random((2, 10))
        better = quantiles * np.where(rng.random(quantiles.shape) < 0.3, 0.5, 1)
        assert metric(better, 0.2) >= metric(quantiles, 0.2)

"""The registry: which scorers can be fitted where, and how the members of an ensemble are weighted."""

import numpy as np
import pytest

from lookalike.data.arrays import Rows
from lookalike.expansion.scorers import NAMES, FeatureSpace, _member_weights
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample

SPANS = {"sequence": np.arange(4), "aggregates": np.arange(4, 9), "counted": np.arange(6, 9)}


def columns(blocks: tuple[str, ...]) -> Rows:
    return np.concatenate([SPANS[block] for block in blocks])


def test_only_scorers_whose_columns_and_prior_exist_can_be_fitted() -> None:
    space = FeatureSpace(columns, Prior(np.zeros(9), np.zeros((9, 1))))
    assert space.names == NAMES
    assert FeatureSpace(columns).names == tuple(name for name in NAMES if name != "transfer")
    without = space.without(np.array([5]))
    assert without.names == ("background", "logodds", "logistic", "boosted")
    assert without.columns(("sequence", "aggregates")).tolist() == [4, 6, 7, 8]
    assert without.columns(("sequence",)).tolist() == []


def test_no_block_reads_a_dropped_column_and_the_embedding_is_dropped_too() -> None:
    without = FeatureSpace(columns).without(np.array([7]))
    assert without.columns(("sequence", "aggregates")).tolist() == [4, 5, 6, 8]
    assert without.columns(("counted",)).tolist() == [6, 8]
    assert "centroid" not in without.names
    assert {"logistic", "background", "logodds"} <= set(without.names)


@pytest.mark.parametrize(("seeds", "min_weight"), [(400, 0.65), (12, 0.5)])
def test_a_better_member_has_more_weight_and_few_seeds_leave_the_weights_nearly_equal(
    seeds: int, min_weight: float
) -> None:
    rng = np.random.default_rng(5)
    background = rng.normal(0, 1, (4_000, 8))
    seed = rng.normal(0, 1, (seeds, 8))
    seed[:, 7] += 2  # only the logistic scorer reads the last column
    space = FeatureSpace(lambda blocks: np.arange(4) if blocks == ("sequence",) else np.arange(8))
    sample = TrainingSample(seed, background, np.ones(seeds), seed[:0])
    weights = _member_weights(("centroid", "logistic"), space, sample, rng)
    assert weights.sum() == pytest.approx(1)
    assert min_weight <= weights[1] < (0.95 if seeds > 100 else 0.56)

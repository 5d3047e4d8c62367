"""Scorers by similarity to the seed, against their definitions."""

import numpy as np
import pytest

from lookalike.data.arrays import Matrix
from lookalike.expansion.scorers.centroids import NearestNeighbours, SoftMaximum, centroid, centroids
from lookalike.expansion.scorers.training_sample import TrainingSample


def sample_of(seed: Matrix, background: Matrix) -> TrainingSample:
    return TrainingSample(seed, background, np.ones(len(seed)), seed[:0])


def test_the_centroid_is_the_cosine_with_the_mean_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    seed, block = rng.normal(0, 1, (30, 8)).astype(np.float32), rng.normal(0, 1, (50, 8)).astype(np.float32)
    mean = seed.astype(float).mean(0)
    expected = block.astype(float) @ mean / np.linalg.norm(mean)
    assert np.allclose(centroid(sample_of(seed, block), rng)(block), expected)


def test_neighbours_are_the_mean_of_the_five_largest_dot_products() -> None:
    rng = np.random.default_rng(0)
    seed, block = rng.normal(0, 1, (30, 8)), rng.normal(0, 1, (50, 8))
    expected = np.sort(block @ seed.T, axis=1)[:, -5:].mean(axis=1)
    assert NearestNeighbours.of(seed, np.ones(30), rng)(block) == pytest.approx(expected)
    few = NearestNeighbours.of(seed[:3], np.ones(3), rng)
    assert few(block) == pytest.approx((block @ seed[:3].T).mean(axis=1))


@pytest.mark.parametrize(("seeds", "clusters"), [(200, 4), (20, 1)])
def test_a_seed_of_four_directions_has_four_centres_when_it_is_large_enough(seeds: int, clusters: int) -> None:
    rng = np.random.default_rng(0)
    background = rng.normal(0, 1, (1_000, 8))
    seed = 0.1 * rng.normal(0, 1, (seeds, 8))
    seed[np.arange(seeds), np.arange(seeds) % 4] += 1
    seed, background = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (seed, background))
    score = centroids(sample_of(seed.astype(np.float32), background.astype(np.float32)), rng)
    assert isinstance(score, SoftMaximum)
    assert len(score.centres) >= clusters
    assert (len(score.centres) == 1) == (clusters == 1)

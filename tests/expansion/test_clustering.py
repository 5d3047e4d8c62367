"""Clusters of vectors: centres, stability and similarity."""

import numpy as np
from numpy.typing import NDArray

from lookalike.expansion import clustering


def two_directions(rng: np.random.Generator, users: int, distance: float) -> NDArray[np.float32]:
    vectors = rng.normal(0, 1, (users, 8))
    vectors[np.arange(users), np.arange(users) % 2] += distance
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_mean_cosine_is_over_pairs_of_different_vectors() -> None:
    vectors = np.array([[1.0, 0], [0, 1], [1, 0]])
    assert clustering.mean_cosine(vectors) == (1 + 0 + 0) / 3
    assert clustering.mean_cosine(vectors[:1]) == 1


def test_centres_have_unit_length_and_the_nearest_has_the_largest_dot_product() -> None:
    rng = np.random.default_rng(4)
    groups = [rng.normal(0, 1, (30, 5)) for _ in range(3)]
    centres = clustering.cluster_centres(groups)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1)
    vectors = rng.normal(0, 1, (200, 5))
    expected = np.argmax([[vector @ centre for centre in centres] for vector in vectors], axis=1)
    assert np.array_equal(clustering.nearest_centre(vectors, centres), expected)


def test_clusters_follow_planted_directions_and_the_random_seed() -> None:
    vectors = two_directions(np.random.default_rng(0), 300, 8.0)
    clusters = clustering.cluster(vectors[:200], vectors, 2, 1)
    assert len(set(clusters[::2].tolist())) == len(set(clusters[1::2].tolist())) == 1
    assert clusters[0] != clusters[1]
    assert np.array_equal(clusters, clustering.cluster(vectors[:200], vectors, 2, 1))


def test_planted_clusters_are_stable_and_those_of_noise_are_not() -> None:
    rng = np.random.default_rng(1)
    assert clustering.stability(two_directions(rng, 300, 8.0), 2, rng) > 0.95
    assert clustering.stability(two_directions(rng, 300, 0.0), 4, rng) < 0.5

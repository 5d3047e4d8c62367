"""Clusters of unit vectors: spherical k-means, how stable the clusters are, and how similar vectors are."""

import faiss
import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Matrix, Rows

STABILITY_DRAWS = 8


def cluster(sample: NDArray[np.float32], vectors: NDArray[np.float32], count: int, random_seed: int) -> Rows:
    """The nearest of `count` clusters to each vector, [n]. The clusters are fitted on `sample` by spherical k-means."""
    kmeans = faiss.Kmeans(
        sample.shape[1], count, niter=25, nredo=4, seed=random_seed, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(np.ascontiguousarray(sample))
    return nearest_centre(vectors, np.asarray(kmeans.centroids))


def stability(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> float:
    """Mean adjusted Rand index of the clusterings of all vectors that two halves of them give (Hennig 2007)."""
    from sklearn.metrics import adjusted_rand_score  # slow to import and rarely needed

    scores = []
    for draw in range(STABILITY_DRAWS):
        half = rng.permutation(len(vectors)) < len(vectors) // 2
        clusterings = [cluster(vectors[side], vectors, count, draw) for side in (half, ~half)]
        scores.append(adjusted_rand_score(*clusterings))
    return float(np.mean(scores))


def mean_cosine(vectors: Matrix) -> float:
    """Mean cosine of two different unit vectors; 1 when there are fewer than two."""
    count = len(vectors)
    if count < 2:
        return 1.0
    total = vectors.astype(np.float64).sum(axis=0)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    return float((total @ total - squares) / (count * (count - 1)))


def cluster_centres(groups: list[Matrix]) -> Floats:
    """The unit-length mean of each group's unit vectors, [G, D]."""
    means = np.stack([group.mean(axis=0, dtype=np.float64) for group in groups])
    centres: Floats = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return centres


def nearest_centre(vectors: Matrix, centres: Matrix) -> Rows:
    """The number of the centre [G, D] with the largest dot product with each vector, [n]."""
    nearest: Rows = np.argmax(vectors @ centres.T, axis=1)
    return nearest

"""TODO"""

import faiss
import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Rows

STABILITY_DRAWS = 8


def mean_cosine(vectors: NDArray[np.floating]) -> float:
    """Mean cosine of two different ones of these unit vectors."""
    count = len(vectors)
    if count < 2:
        return 1.0
    total = vectors.astype(np.float64).sum(axis=0)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    return float((total @ total - squares) / (count * (count - 1)))


def cluster(taught: NDArray[np.float32], vectors: NDArray[np.float32], count: int, seed: int) -> Rows:
    """The nearest of so many clusters (spherical k-means of `taught`) of each of the vectors."""
    means = faiss.Kmeans(
        taught.shape[1], count, niter=25, nredo=4, seed=seed, spherical=True, min_points_per_centroid=1
    )
    means.train(np.ascontiguousarray(taught))
    nearest: Rows = np.argmax(vectors @ np.asarray(means.centroids).T, axis=1).astype(np.int64)
    return nearest


def stability(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> float:
    """Mean agreement about everybody of clusterings made from two halves (Hennig 2007)."""
    from sklearn.metrics import adjusted_rand_score  # slow to import, and seldom needed

    agreed = []
    for draw in range(STABILITY_DRAWS):
        half = rng.permutation(len(vectors)) < len(vectors) // 2
        pair = [cluster(vectors[side], vectors, count, draw) for side in (half, ~half)]
        agreed.append(adjusted_rand_score(*pair))
    return float(np.mean(agreed))

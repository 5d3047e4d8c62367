"""TODO"""

from dataclasses import dataclass
from typing import cast

import faiss
import numpy as np
from scipy.special import logsumexp

from lookalike.data.arrays import Floats, Matrix
from lookalike.expansion.scorers.logistic import Linear, head_rank_score
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import NEGATIVE_WEIGHT, Rng, TrainingSample


def centroid(taught: TrainingSample, rng: Rng) -> Score:
    """Dot product with the mean of the seed's unit vectors, made unit length again."""
    middle = _unit(taught.mean)
    if len(taught.against):
        middle = _unit(middle - NEGATIVE_WEIGHT * _unit(taught.against.mean(axis=0, dtype=np.float64)))
    return Linear(middle)


CLUSTER_COUNTS = (2, 4, 8)


SEEDS_PER_CLUSTER = 12


SHARPNESS = 10.0


def centroids(taught: TrainingSample, rng: Rng) -> Score:
    """Soft maximum of the dot products with the centres of the seed's clusters (RALM's clusters of a seed, KDD 2019).

    How many clusters there are is chosen by how well they rank a part of the seed that they were not made from.
    """
    seed, background = taught.seed, taught.background
    apart = rng.permutation(len(seed)) < len(seed) // 4
    able = [count for count in CLUSTER_COUNTS if count * SEEDS_PER_CLUSTER <= (~apart).sum()]
    tried = {n: SoftMaximum.of(seed[~apart], taught.weight[~apart], n) for n in (1, *able)} if able else {}
    worth = {n: head_rank_score(score(seed[apart]), score(background)) for n, score in tried.items()}
    best = SoftMaximum.of(seed, taught.weight, max(worth, key=lambda n: worth[n], default=1))
    return (
        Rocchio(best, SoftMaximum.of(taught.against, np.ones(len(taught.against)), 1)) if len(taught.against) else best
    )


@dataclass(frozen=True)
class SoftMaximum:
    """log Σ exp(sharpness · block · centre) over the centres [K, W]: the nearest counts most."""

    centres: Floats

    @classmethod
    def of(cls, seed: Matrix, weight: Floats, count: int) -> "SoftMaximum":
        if count == 1:
            return cls(_unit(weight @ seed.astype(np.float64))[None])
        means = faiss.Kmeans(seed.shape[1], count, niter=20, nredo=3, seed=1, spherical=True, min_points_per_centroid=1)
        means.train(np.ascontiguousarray(seed, np.float32), weights=weight.astype(np.float32))
        return cls(np.asarray(means.centroids, np.float64))

    def __call__(self, block: Matrix) -> Floats:
        near = block.astype(np.float64, copy=False) @ self.centres.T
        return cast(Floats, logsumexp(SHARPNESS * near, axis=1) / SHARPNESS)


NEIGHBOURS = 5


MAX_SEEDS_COMPARED = 2_000


@dataclass(frozen=True)
class Rocchio:
    """One score less a part of another."""

    to: Score
    off: Score

    def __call__(self, block: Matrix) -> Floats:
        return self.to(block) - NEGATIVE_WEIGHT * self.off(block)


def neighbours(taught: TrainingSample, rng: Rng) -> Score:
    """Mean dot product with the five nearest seeds; of a large seed, of a sample of it, drawn by weight."""
    near = _nearest_seeds(taught.seed, taught.weight, rng)
    return (
        Rocchio(near, _nearest_seeds(taught.against, np.ones(len(taught.against)), rng))
        if len(taught.against)
        else near
    )


def _nearest_seeds(people: Matrix, weight: Floats, rng: Rng) -> Score:
    keys = rng.exponential(size=len(people)) / weight  # the smallest are a sample by weight (Efraimidis and Spirakis)
    rows = np.sort(np.argsort(keys, kind="stable")[:MAX_SEEDS_COMPARED])
    kept, closer = people[rows].astype(np.float64), np.log(weight[rows]) / SHARPNESS
    first = min(NEIGHBOURS, len(kept))

    def score(block: Matrix) -> Floats:
        near = block.astype(np.float64, copy=False) @ kept.T + closer
        return cast(Floats, np.partition(near, len(kept) - first, axis=1)[:, len(kept) - first :].mean(axis=1))

    return score


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)

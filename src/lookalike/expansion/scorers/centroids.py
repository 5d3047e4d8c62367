"""Scorers by similarity to the seed's vectors: to their mean, to the centres of their clusters, to the nearest ones."""

from dataclasses import dataclass
from typing import cast

import faiss
import numpy as np
from scipy.special import logsumexp

from lookalike.data.arrays import Floats, Matrix
from lookalike.embeddings.linear import Linear
from lookalike.expansion.scorers.logistic import head_rank_score
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import NEGATIVE_WEIGHT, Rng, TrainingSample

CLUSTER_COUNTS = (2, 4, 8)
SEEDS_PER_CLUSTER = 12
SHARPNESS = 10.0  # of the soft maximum
NEIGHBOURS = 5
MAX_SEEDS_COMPARED = 2_000


def centroid(sample: TrainingSample, rng: Rng) -> Score:
    """Dot product with the unit-length mean of the seed's unit vectors."""
    direction = _unit(sample.mean)
    if len(sample.negatives):
        direction = _unit(direction - NEGATIVE_WEIGHT * _unit(sample.negatives.mean(axis=0, dtype=np.float64)))
    return Linear(direction)


def centroids(sample: TrainingSample, rng: Rng) -> Score:
    """Soft maximum of the dot products with the centres of the seed's clusters (RALM, KDD 2019)."""
    seed_score = SoftMaximum.of(sample.seed, sample.weight, _cluster_count(sample, rng))
    if not len(sample.negatives):
        return seed_score
    return Rocchio(seed_score, SoftMaximum.of(sample.negatives, np.ones(len(sample.negatives)), 1))


def neighbours(sample: TrainingSample, rng: Rng) -> Score:
    """Mean dot product with the five nearest seeds; of a large seed, with those in a sample drawn by weight."""
    seed_score = NearestNeighbours.of(sample.seed, sample.weight, rng)
    if not len(sample.negatives):
        return seed_score
    return Rocchio(seed_score, NearestNeighbours.of(sample.negatives, np.ones(len(sample.negatives)), rng))


@dataclass(frozen=True)
class Rocchio:
    """Similarity to the seed minus half of the similarity to the negatives."""

    seed_score: Score
    negative_score: Score

    def __call__(self, block: Matrix) -> Floats:
        return self.seed_score(block) - NEGATIVE_WEIGHT * self.negative_score(block)


@dataclass(frozen=True)
class SoftMaximum:
    """log Σ exp(sharpness · block · centre) / sharpness over the centres: the nearest counts most."""

    centres: Floats  # [K, W]

    @classmethod
    def of(cls, vectors: Matrix, weight: Floats, count: int) -> "SoftMaximum":
        """With the centres of `count` clusters of the vectors [M, W]."""
        if count == 1:
            return cls(_unit(weight @ vectors.astype(np.float64))[None])
        kmeans = faiss.Kmeans(
            vectors.shape[1], count, niter=20, nredo=3, seed=1, spherical=True, min_points_per_centroid=1
        )
        kmeans.train(np.ascontiguousarray(vectors, np.float32), weights=weight.astype(np.float32))
        return cls(np.asarray(kmeans.centroids, np.float64))

    def __call__(self, block: Matrix) -> Floats:
        similarity = block.astype(np.float64, copy=False) @ self.centres.T  # [B, K]
        return cast(Floats, logsumexp(SHARPNESS * similarity, axis=1) / SHARPNESS)


def _cluster_count(sample: TrainingSample, rng: Rng) -> int:
    """The number of clusters of three quarters of the seed that best ranks the other quarter."""
    held_out = rng.permutation(len(sample.seed)) < len(sample.seed) // 4
    seed, weight = sample.seed[~held_out], sample.weight[~held_out]
    counts = [count for count in CLUSTER_COUNTS if count * SEEDS_PER_CLUSTER <= len(seed)]
    if not counts:
        return 1

    def rank_score(count: int) -> float:
        score = SoftMaximum.of(seed, weight, count)
        return head_rank_score(score(sample.seed[held_out]), score(sample.background))

    return max((1, *counts), key=rank_score)


@dataclass(frozen=True)
class NearestNeighbours:
    """Mean dot product with the nearest five of the vectors; those with more weight count as nearer."""

    vectors: Floats  # [M, W]
    bonus: Floats  # [M]

    @classmethod
    def of(cls, vectors: Matrix, weight: Floats, rng: Rng) -> "NearestNeighbours":
        # the smallest keys are a sample by weight without replacement (Efraimidis and Spirakis 2006)
        keys = rng.exponential(size=len(vectors)) / weight
        rows = np.sort(np.argsort(keys, kind="stable")[:MAX_SEEDS_COMPARED])
        return cls(vectors[rows].astype(np.float64), np.log(weight[rows]) / SHARPNESS)

    def __call__(self, block: Matrix) -> Floats:
        similarity = block.astype(np.float64, copy=False) @ self.vectors.T + self.bonus  # [B, M]
        count = len(self.vectors)
        first = count - min(NEIGHBOURS, count)
        return cast(Floats, np.partition(similarity, first, axis=1)[:, first:].mean(axis=1))


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)

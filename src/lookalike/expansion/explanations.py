"""Why each prospect is listed: the part of the seed they are most like, and what they have in common with it."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data import behaviour
from lookalike.data.arrays import Rows
from lookalike.data.database import Cut, Database
from lookalike.embeddings.representation import Representation
from lookalike.expansion.clustering import cluster
from lookalike.expansion.scorers.rank_ensemble import cluster_centres, nearest_centre

PEOPLE_PER_CLUSTER = 50


MAX_CLUSTERS = 8


USERS_PER_STEP = 65_536


MAX_TRAITS = 100  # of a cluster


TRAITS_SHOWN = 3  # marks of a prospect


MIN_SEEDS = 5  # of a cluster who have a mark


DECILE = r"^q\d\d$"  # of a column of numbers: says nothing to a reader


PRIOR_USERS = 10.0  # users' worth by which rates are drawn together


@dataclass(frozen=True)
class SeedClusters:
    """Parts of a seed: the centre of each, [G, D], and the part of each seed, [M]. Every seed has some, however alike."""

    centres: NDArray[np.float64]
    of: Rows


def cluster_seed(vectors: NDArray[np.float32]) -> SeedClusters:
    """The seed's vectors [M, D] in up to eight clusters, the largest first."""
    count = int(np.clip(len(vectors) // PEOPLE_PER_CLUSTER, 1, MAX_CLUSTERS))
    vectors = np.ascontiguousarray(vectors)
    found = cluster(vectors, vectors, count, 1) if count > 1 else np.zeros(len(vectors), np.int64)
    names, place, sizes = np.unique(found, return_inverse=True, return_counts=True)
    of = np.argsort(np.argsort(-sizes, kind="stable"))[place].astype(np.int64)
    return SeedClusters(cluster_centres([vectors[of == one] for one in range(len(names))]), of)


def nearest_cluster(representation: Representation, rows: Rows, centres: NDArray[np.float64]) -> Rows:
    """The nearest centre of each of the rows, which need not ascend; so many users at a time are read."""
    columns = representation.layout.columns("sequence")
    order = np.argsort(rows, kind="stable")
    found = np.empty(len(rows), np.int64)
    for first in range(0, len(rows), USERS_PER_STEP):
        part = order[first : first + USERS_PER_STEP]
        found[part] = nearest_centre(representation.gather(rows[part])[:, columns], centres)
    return found


def shared_traits(
    opened: Database,
    people: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
    cut: Cut,
    fewest: int,
    unread: tuple[str, ...] = (),
) -> pl.DataFrame:
    """`user_id` and `shared`: the items, or else attributes, that a prospect has in common with their part of the seed.

    `people` are the seed (`user_id`, `cluster`, `until`: what they met later is not looked at), the prospects (`user_id`,
    `cluster`) and a sample of everybody (`user_id`). A mark of a part is what its people have met more often than
    everybody, by log odds; fewer than `fewest` people make none, nor do columns that no scorer may read (`unread`).
    """
    seed, prospects, base = people
    found = cluster_traits(behaviour.traits_by_cluster(opened, seed, base, cut), seed, len(base), fewest)
    named = found["attribute"] + "=" + found["value"]
    found = found.filter(~named.is_in(list(unread)) & ~pl.col("value").str.contains(DECILE))
    return behaviour.shared_traits(opened, prospects, found, cut, TRAITS_SHOWN)


def cluster_traits(counts: pl.DataFrame, seed: pl.DataFrame, base: int, fewest: int) -> pl.DataFrame:
    """`cluster`, `attribute` (empty for items), `value`, `label`, `weight` of what tells each part, the heaviest first.

    `counts` has the same columns, with `inside` and `everybody`, counts of users, in place of `weight`.
    """
    size = seed.group_by("cluster").len("size")
    usual = (pl.col("everybody") + 0.5) / (base + 1)
    rate = (pl.col("inside") + PRIOR_USERS * usual) / (pl.col("size") + PRIOR_USERS)
    # a seed may be in the sample of everybody too: the larger count is surely of so many people
    enough = (pl.col("inside") >= MIN_SEEDS) & (pl.max_horizontal("inside", "everybody") >= fewest)
    weight = (rate / usual).log() - ((1 - rate) / (1 - usual)).log()
    told = counts.join(size, on="cluster").filter(enough).with_columns(weight=weight).filter(pl.col("weight") > 0)
    ordered = told.sort(["cluster", "weight", "label"], descending=[False, True, False])
    return ordered.group_by("cluster", maintain_order=True).head(MAX_TRAITS).drop("inside", "everybody", "size")

"""Why each prospect is listed: the cluster of the seed they are closest to, and the traits they share with it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from lookalike.data import behaviour
from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.data.database import Cut, Database
from lookalike.embeddings.layout import BlockLayout
from lookalike.embeddings.representation import Representation
from lookalike.expansion.clustering import cluster, cluster_centres, nearest_centre
from lookalike.expansion.examples import Examples
from lookalike.expansion.result import Cluster
from lookalike.expansion.seed_profile import distinguishing_columns, seed_aggregates

SEEDS_PER_CLUSTER = 50
MAX_CLUSTERS = 8
USERS_PER_STEP = 65_536
MAX_TRAITS = 100  # of a cluster
TRAITS_SHOWN = 3  # of a prospect
MIN_CLUSTER_SEEDS = 5  # who have a trait
DECILE = r"^q\d\d$"  # the value of a numeric column: means nothing to a reader
PRIOR_USERS = 10.0  # by which rates are shrunk towards everybody's


@dataclass(frozen=True)
class SeedClusters:
    """Clusters of a seed, the largest first. Every seed has at least one, however similar its members are."""

    centres: Floats  # [G, D]
    of: Rows  # [M]: the cluster of each seed

    def __len__(self) -> int:
        return len(self.centres)


def cluster_seed(vectors: Matrix) -> SeedClusters:
    """The seed's vectors [M, D] in up to eight clusters."""
    count = int(np.clip(len(vectors) // SEEDS_PER_CLUSTER, 1, MAX_CLUSTERS))
    vectors = np.ascontiguousarray(vectors, np.float32)
    nearest = cluster(vectors, vectors, count, 1) if count > 1 else np.zeros(len(vectors), np.int64)
    names, index, sizes = np.unique(nearest, return_inverse=True, return_counts=True)
    of = np.argsort(np.argsort(-sizes, kind="stable"))[index].astype(np.int64)
    return SeedClusters(cluster_centres([vectors[of == number] for number in range(len(names))]), of)


def nearest_cluster(representation: Representation, rows: Rows, centres: Floats) -> Rows:
    """The nearest centre [G, D] of each user; rows in any order. Reads a bounded number of users at a time."""
    columns = representation.layout.columns("sequence")
    order = np.argsort(rows, kind="stable")
    nearest = np.empty(len(rows), np.int64)
    for first in range(0, len(rows), USERS_PER_STEP):
        batch = order[first : first + USERS_PER_STEP]
        nearest[batch] = nearest_centre(representation.gather(rows[batch])[:, columns], centres)
    return nearest


def describe_clusters(
    clusters: SeedClusters, examples: Examples, layout: BlockLayout, listed: Rows
) -> tuple[Cluster, ...]:
    """Each cluster's share of the seed and of the list, and its features. `listed`: the cluster of each prospect."""
    aggregates = seed_aggregates(examples, layout)
    return tuple(
        Cluster(
            cluster=number + 1,
            seed_share=float(np.mean(clusters.of == number)),
            list_share=float(np.mean(listed == number)),
            more_of=distinguishing_columns(aggregates, clusters.of == number, layout.aggregates),
        )
        for number in range(len(clusters))
    )


@dataclass(frozen=True)
class TraitGroups:
    """Whose traits are compared, and by which attributes of people."""

    seed: pl.DataFrame  # user_id, cluster, until: later events are not read
    prospects: pl.DataFrame  # user_id, cluster
    base: pl.DataFrame  # user_id: a sample of everybody
    features: tuple[str, ...] = ()  # NAME=VALUE: people's attributes count if they are among these


def shared_traits(
    database: Database, groups: TraitGroups, cut: Cut, min_users: int, hidden: tuple[str, ...] = ()
) -> pl.DataFrame:
    """`user_id` and `shared`: the items, or else attributes of items or people, that a prospect has in common with their
    cluster.

    A trait of a cluster is what its seeds have more often than everybody, by log odds. Traits of fewer than `min_users`
    are left out, and so are `hidden` columns, which no scorer may read.
    """
    counts = behaviour.traits_by_cluster(database, groups.seed, groups.base, cut, groups.features)
    traits = cluster_traits(counts, groups.seed, len(groups.base), min_users)
    column = traits["attribute"] + "=" + traits["value"]
    traits = traits.filter(~column.is_in(list(hidden)) & ~pl.col("value").str.contains(DECILE))
    return behaviour.shared_traits(database, groups.prospects, traits, cut, TRAITS_SHOWN)


def cluster_traits(counts: pl.DataFrame, seed: pl.DataFrame, base: int, min_users: int) -> pl.DataFrame:
    """`cluster`, `attribute` (empty for items), `value`, `label` and `weight` of each cluster's traits, heaviest first.

    `counts` has the same columns with `inside` and `everybody`, counts of users, in place of `weight`.
    """
    size = seed.group_by("cluster").len("size")
    usual = (pl.col("everybody") + 0.5) / (base + 1)
    rate = (pl.col("inside") + PRIOR_USERS * usual) / (pl.col("size") + PRIOR_USERS)
    # seeds may be in the sample of everybody too: only the larger count is certainly of so many users
    supported = (pl.col("inside") >= MIN_CLUSTER_SEEDS) & (pl.max_horizontal("inside", "everybody") >= min_users)
    weight = (rate / usual).log() - ((1 - rate) / (1 - usual)).log()
    traits = counts.join(size, on="cluster").filter(supported).with_columns(weight=weight).filter(pl.col("weight") > 0)
    ordered = traits.sort(["cluster", "weight", "label"], descending=[False, True, False])
    return ordered.group_by("cluster", maintain_order=True).head(MAX_TRAITS).drop("inside", "everybody", "size")

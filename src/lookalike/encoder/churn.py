"""How much a new version of the users' vectors changes the lists made from it."""

import numpy as np
import polars as pl

from lookalike.data.arrays import Matrix, Rows
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.workspace.random_streams import Stream, generator

SEEDS, MEMBERS = 50, 100  # seeds that are compared, and their size
LIST_SHARE = 0.05
MIN_USERS = 4 * MEMBERS
MAX_USERS = 40_000


def list_churn(old: Representation, new: Representation, random_seed: int) -> float | None:
    """The share of a list of 5 % by the centroid that differs between two versions; None with too few users in both.

    Only users with events are compared: lists are mostly of those. Seeds are groups of neighbours in the old space.
    """
    shared = _shared_users(old, new)
    if len(shared) < MIN_USERS:
        return None
    rng = generator(random_seed, Stream.CHURN)
    shared = shared[np.sort(rng.permutation(len(shared))[:MAX_USERS]).tolist()]
    old_rows, new_rows = (shared[name].to_numpy().astype(np.int64) for name in ("row", "row_new"))
    vectors = (old.gather(old_rows)[:, old.layout.columns("sequence")], _sequence_block(new, new_rows))
    k = max(1, round(LIST_SHARE * len(shared)))
    kept = []
    for centre in rng.integers(0, len(shared), SEEDS):
        seed = np.argsort(-(vectors[0] @ vectors[0][centre]), kind="stable")[:MEMBERS]
        first, second = (_top_by_centroid(space, seed, k) for space in vectors)
        kept.append(len(np.intersect1d(first, second)) / k)
    return 1 - float(np.mean(kept))


def _shared_users(old: Representation, new: Representation) -> pl.DataFrame:
    """`row` and `row_new` of the users with events in both versions, by ascending `row`."""
    files = [UserIndex(version).checked_file() for version in (old, new)]
    old_ids, new_ids = (
        pl.scan_parquet(file, glob=False).filter(pl.col("events") > 0).select("row", "user_id").collect()
        for file in files
    )
    return old_ids.join(new_ids, on="user_id", suffix="_new").sort("row")


def _sequence_block(version: Representation, rows: Rows) -> Matrix:
    """The sequence block of rows in any order, [n, W]."""
    order = np.argsort(rows)
    columns = version.layout.columns("sequence")
    vectors = np.empty((len(rows), len(columns)), np.float32)
    vectors[order] = version.gather(rows[order])[:, columns]
    return vectors


def _top_by_centroid(vectors: Matrix, seed: Rows, k: int) -> Rows:
    return np.argsort(-(vectors @ vectors[seed].mean(0)), kind="stable")[:k]

"""The events of some users, read once, and their vectors as of any moment, also without some of their events."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from lookalike.data import sequence_builder, sequence_queries
from lookalike.data.arrays import Flags, Matrix, Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.layout import BLOCKS
from lookalike.encoder.embedder import Embedder, load_embedder
from lookalike.encoder.threads import one_torch_thread
from lookalike.expansion.context import ExpansionContext
from lookalike.workspace.parallel import thread_pool

STEP_USERS = 1_000
EventFilter = Callable[[Sequences, Rows], Flags]  # events of some users, and their places -> which events stay, [E]


@dataclass(frozen=True)
class Histories:
    """The events before the cut of `rows` (ascending user rows), [n]."""

    rows: Rows
    sequences: Sequences
    vocabulary: Vocabulary
    embedder: Embedder

    @classmethod
    def read(cls, context: ExpansionContext, rows: Rows) -> "Histories":
        """Users without any event before the cut are left out."""
        folder = Path(tempfile.mkdtemp(dir=context.scratch))
        ids = pl.DataFrame({"user_id": context.index.ids(rows), "place": np.arange(len(rows))})
        sequences, vocabulary = sequence_builder.build_for_users(
            context.database, context.cut, folder, context.run.vocabulary, ids
        )
        there = pl.read_parquet(folder / "users.parquet", glob=False).join(ids, on="user_id", how="inner").sort("place")
        return cls(
            rows=rows[there["place"].to_numpy()],
            sequences=sequences.take(there["row"].to_numpy()),
            vocabulary=vocabulary,
            embedder=load_embedder(context.run, vocabulary),
        )

    def places(self, rows: Rows) -> Rows:
        """Where some user rows are in `rows`; those that are not there are left out."""
        return np.flatnonzero(np.isin(self.rows, rows))

    def time_at(self, share: float) -> int:
        """The moment before which this share of the events is, in seconds since 1970."""
        return int(np.quantile(np.asarray(self.sequences["time"]), share))

    def had_events(self, until: int) -> Flags:
        """Who had any event before a moment, [n]."""
        return sequence_queries.counts_before(self.sequences, until) > 0

    def vectors(self, places: Rows, until: int | None = None, keep: EventFilter | None = None) -> tuple[Matrix, Flags]:
        """The vectors of some users as of a moment, by default the cut, and who had any event, [k, W] and [k].

        They are rounded to the stored precision, so that all events give the stored vector.
        """
        users = self.sequences.take(places)
        kept = np.ones(len(users["time"]), bool) if keep is None else keep(users, places)
        if until is not None:
            kept &= np.asarray(users["time"]) < until
            users = replace(users, as_of=min(until, users.as_of))
        users = sequence_queries.only_events(users, kept)
        # steps of one size: how users are batched must not depend on the number of threads
        steps = [np.arange(first, min(first + STEP_USERS, len(places))) for first in range(0, len(places), STEP_USERS)]
        with one_torch_thread():
            parts = list(thread_pool().map(lambda step: self.embedder.blocks(users.take(step)), steps))
        vectors = [np.hstack([blocks[name].astype(np.float16) for name in BLOCKS]) for blocks in parts]
        columns = np.vstack(vectors) if vectors else np.zeros((0, sum(self.embedder.widths.values())), np.float16)
        return cast(Matrix, columns.astype(np.float32)), np.diff(users.offsets) > 0

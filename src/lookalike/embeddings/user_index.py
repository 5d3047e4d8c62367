"""Which user is which row of a version, and back: the only place that reads `users.parquet`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from lookalike.data.arrays import Rows, union
from lookalike.data.database import Database
from lookalike.data.id_hashes import match_hashed
from lookalike.data.id_spellings import ALIKE, count_ways, kind_of, plain_form, with_plain_form
from lookalike.embeddings.manifest import USERS_FILE
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.shards import check_file
from lookalike.errors import StateError

_SAMPLE = 1_000  # users, whose ids show what the log's ids are


@dataclass(frozen=True)
class Match:
    """A list of ids, divided into known and unknown users."""

    matched: pl.DataFrame  # `row` (Int64, ascending) and the columns of the list; one line for each line of the list
    rows: Rows  # ascending, each user once
    unmatched: pl.DataFrame  # the distinct values of `user_id` that are no known user


@dataclass(frozen=True)
class Alike:
    """Who could be on a list, however its ids are spelled."""

    rows: Rows  # of all such users, ascending
    ways: dict[str, int]  # the ids of the list that match a user, by what they differ in; `as written` first
    unmatched: pl.DataFrame  # the distinct `user_id` that match nobody in any spelling

    def with_more(self, other: "Alike") -> "Alike":
        """Also those whom another look at the unmatched ids has found."""
        return Alike(union(self.rows, other.rows), self.ways | other.ways, other.unmatched)


@dataclass(frozen=True)
class UserIndex:
    """The users of a version. Files are streamed: memory follows the lists, not the users."""

    representation: Representation

    def match(self, lists: dict[str, pl.DataFrame]) -> dict[str, Match]:
        """Matches all lists, frames with a column `user_id` (text) and perhaps more, in one pass over the users."""
        if not lists:
            return {}
        requested = pl.concat([ids.select("user_id") for ids in lists.values()]).unique()
        users = self._read(
            lambda users: users.select(pl.col("row").cast(pl.Int64), "user_id").join(
                requested.lazy(), on="user_id", how="semi"
            )
        )
        return {name: _match(ids, users) for name, ids in lists.items()}

    def alike(self, database: Database, lists: dict[str, pl.DataFrame]) -> dict[str, Alike]:
        """For each list (column `user_id`) all users who could be on it, in any spelling or hashed."""
        spelled = self.spelled(lists)
        return {name: found.with_more(self.hashed(database, found.unmatched)) for name, found in spelled.items()}

    def spelled(self, lists: dict[str, pl.DataFrame]) -> dict[str, Alike]:
        """For each list (column `user_id`) all users who could be on it in any spelling, in one pass over the users."""
        named = {name: with_plain_form(ids) for name, ids in lists.items()}
        if not any(map(len, named.values())):
            return {name: Alike(no_rows(), {}, ids.select("user_id")) for name, ids in named.items()}
        requested = pl.concat(list(named.values())).select(ALIKE).unique().lazy()
        users = self._read(
            lambda users: users.select(
                pl.col("row").cast(pl.Int64), known="user_id", **{ALIKE: plain_form("user_id")}
            ).join(requested, on=ALIKE, how="semi")
        ).sort("row")
        return {name: _alike(ids, users) for name, ids in named.items()}

    def hashed(self, database: Database, ids: pl.DataFrame) -> Alike:
        """The users who could be on a list (column `user_id`) if ids of it are hashes of the log's, or the reverse."""
        distinct = ids.select("user_id").unique(maintain_order=True)
        if distinct.is_empty():
            return Alike(no_rows(), {}, distinct)
        pairs = match_hashed(database, distinct, self.checked_file())
        counts = pairs.group_by("function", maintain_order=True).agg(pl.col("user_id").n_unique())
        ways = {f"hashing ({function})": matched for function, matched in counts.iter_rows()}
        unmatched = distinct.join(pairs, on="user_id", how="anti")
        return Alike(pairs["row"].unique().sort().to_numpy(), ways, unmatched)

    def kind(self) -> str:
        """What the ids of the users are, such as `whole numbers`."""
        return kind_of(self._read(lambda users: users.select("user_id").head(_SAMPLE)))

    def ids(self, rows: Rows) -> pl.Series:
        """The ids of some rows, in the order of `rows`."""
        requested = pl.LazyFrame({"row": rows, "position": np.arange(len(rows))})
        users = self._read(
            lambda users: users.select(pl.col("row").cast(pl.Int64), "user_id").join(requested, on="row", how="inner")
        )
        return users.sort("position")["user_id"]

    def rows_without_events(self) -> Rows:
        """The rows of those who have no event, whom only the users table knows, ascending."""
        users = self._read(lambda users: users.filter(pl.col("events") == 0).select(pl.col("row").cast(pl.Int64)))
        return users["row"].sort().to_numpy()

    def checked_file(self) -> Path:
        """The path of `users.parquet`. Raises StateError unless it is the file that was written with the version."""
        return check_file(self.representation.folder, self.representation.manifest, USERS_FILE)

    def _read(self, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
        file = self.checked_file()
        try:
            return query(pl.scan_parquet(file, glob=False)).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise StateError(f"{file}: damaged or missing ({reason})", "lookalike embed --full") from error


def no_rows() -> Rows:
    return np.zeros(0, np.int64)


def _alike(ids: pl.DataFrame, users: pl.DataFrame) -> Alike:
    pairs = ids.join(users, on=ALIKE, how="inner", maintain_order="left")
    return Alike(
        rows=pairs["row"].unique().sort().to_numpy(),
        ways=count_ways(pairs),
        unmatched=ids.select("user_id", ALIKE).join(users, on=ALIKE, how="anti").select("user_id"),
    )


def _match(ids: pl.DataFrame, users: pl.DataFrame) -> Match:
    matched = ids.join(users, on="user_id", how="inner", maintain_order="left").sort("row", maintain_order=True)
    return Match(
        matched=matched.select("row", *ids.columns),
        rows=matched["row"].unique(maintain_order=True).to_numpy(),
        unmatched=ids.select("user_id").unique(maintain_order=True).join(users, on="user_id", how="anti"),
    )

"""Which user is which row of a version, and back: the only place that reads `users.parquet`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from lookalike.data.arrays import Rows
from lookalike.data.id_spellings import plain_form
from lookalike.embeddings.manifest import USERS_FILE
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.shards import check_file
from lookalike.errors import StateError


@dataclass(frozen=True)
class Match:
    """A list of ids, divided into known and unknown users."""

    matched: pl.DataFrame  # `row` (Int64, ascending) and the columns of the list; one line for each line of the list
    rows: Rows  # ascending, each user once
    unmatched: pl.DataFrame  # the distinct values of `user_id` that are no known user


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

    def count_near_matches(self, ids: pl.DataFrame) -> int:
        """How many of the ids (column `user_id`) would match if they were spelled as the log does."""
        requested, plain = ids.lazy().select(plain=plain_form()), plain_form().alias("plain")
        near = self._read(lambda users: requested.join(users.select(plain), on="plain", how="semi").select(pl.len()))
        return int(near.item())

    def alike(self, lists: dict[str, pl.DataFrame]) -> dict[str, Rows]:
        """For each list (column `user_id`) the rows of all users who could be on it in another spelling, ascending."""
        plain = plain_form().alias("plain")
        named = {name: ids.select(plain).unique() for name, ids in lists.items() if len(ids)}
        if not named:
            return {name: np.zeros(0, np.int64) for name in lists}
        requested = pl.concat(list(named.values())).unique().lazy()
        users = self._read(
            lambda users: users.select(pl.col("row").cast(pl.Int64), plain).join(requested, on="plain", how="semi")
        ).sort("row")
        nobody = requested.clear().collect()
        return {
            name: users.join(named.get(name, nobody), on="plain", how="semi", maintain_order="left")["row"].to_numpy()
            for name in lists
        }

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
            return query(pl.scan_parquet(file)).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise StateError(f"{file}: damaged or missing ({reason})", "lookalike embed --full") from error


def _match(ids: pl.DataFrame, users: pl.DataFrame) -> Match:
    matched = ids.join(users, on="user_id", how="inner", maintain_order="left").sort("row", maintain_order=True)
    return Match(
        matched=matched.select("row", *ids.columns),
        rows=matched["row"].unique(maintain_order=True).to_numpy(),
        unmatched=ids.select("user_id").unique(maintain_order=True).join(users, on="user_id", how="anti"),
    )

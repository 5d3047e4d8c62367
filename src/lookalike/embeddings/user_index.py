"""Finds users of a version by id, and ids by row. Streams the file of ids; memory follows the lists, not the users."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from lookalike.data.arrays import Rows
from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError


@dataclass(frozen=True)
class Match:
    """One list's known users by ascending row (`row` and the list's columns), and its unknown ids (`user_id`)."""

    matched: pl.DataFrame
    unmatched: pl.DataFrame

    @property
    def rows(self) -> Rows:
        return self.matched["row"].to_numpy()


class UserIndex:
    def __init__(self, representation: Representation) -> None:
        self.representation = representation

    def match(self, lists: dict[str, pl.DataFrame]) -> dict[str, Match]:
        """Each list of distinct ids matched, in one pass."""
        wanted = pl.concat([frame.select("user_id") for frame in lists.values()]).unique()
        known = self._read(
            lambda ids: ids.join(wanted.lazy(), on="user_id", how="semi").select(
                pl.col("row").cast(pl.Int64), "user_id"
            )
        )
        return {
            name: Match(
                known.join(frame, on="user_id").sort("row"),
                frame.select("user_id").unique().join(known, on="user_id", how="anti"),
            )
            for name, frame in lists.items()
        }

    def count_near_matches(self, ids: pl.DataFrame) -> int:
        plain = pl.col("user_id").str.strip_chars().str.to_lowercase().str.strip_chars_start("0").alias("plain")
        wanted = ids.lazy().select(plain)
        count = self._read(lambda known: wanted.join(known.select(plain), on="plain", how="semi").select(pl.len()))
        return int(count.item())

    def ids(self, rows: Rows) -> pl.Series:
        """The ids of some rows, in the order of `rows`."""
        wanted = pl.LazyFrame({"row": rows, "place": np.arange(len(rows))})
        columns = (pl.col("row").cast(pl.Int64), pl.col("user_id"))
        known = self._read(lambda known: known.select(columns).join(wanted, on="row", how="inner"))
        return known.sort("place")["user_id"]

    def _read(self, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
        file = self.representation.ids
        try:
            self.representation.check_file(file)
            return query(pl.scan_parquet(file)).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise StateError(f"{file}: damaged or missing ({reason})", "lookalike embed --full") from error

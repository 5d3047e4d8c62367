"""TODO"""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError


def match(representation: Representation, ids: pl.DataFrame) -> NDArray[np.int64]:
    """The ascending rows of the ids (column `user_id`) that are known. Streams; memory follows the list, not the users."""
    wanted = ids.lazy().select("user_id").unique()
    found = _read_ids(representation, lambda known: known.join(wanted, on="user_id", how="semi").select("row"))
    return np.sort(found["row"].to_numpy().astype(np.int64))


def unknown(representation: Representation, ids: pl.DataFrame) -> pl.DataFrame:
    """Those of the ids (column `user_id`) that are not known."""
    wanted = ids.select("user_id").unique()
    known = _read_ids(
        representation, lambda known: known.join(wanted.lazy(), on="user_id", how="semi").select("user_id")
    )
    return wanted.join(known, on="user_id", how="anti")


def spelled_otherwise(representation: Representation, ids: pl.DataFrame) -> int:
    """How many of the ids (column `user_id`) are a known one but for capitals, blanks or zeros in front."""
    plain = pl.col("user_id").str.strip_chars().str.to_lowercase().str.strip_chars_start("0").alias("plain")
    wanted = ids.lazy().select(plain)
    found = _read_ids(
        representation, lambda known: wanted.join(known.select(plain), on="plain", how="semi").select(pl.len())
    )
    return int(found.item())


def matched(representation: Representation, values: pl.DataFrame) -> pl.DataFrame:
    """`row` and `value` of the ids (columns `user_id`, `value`, no id twice) that are known, by ascending row."""
    found = _read_ids(
        representation,
        lambda known: known.join(values.lazy(), on="user_id", how="inner").select(
            pl.col("row").cast(pl.Int64), "value"
        ),
    )
    return found.sort("row")


def user_ids(representation: Representation, rows: NDArray[np.int64]) -> pl.Series:
    """The ids of some rows, in the order of `rows`."""
    wanted = pl.LazyFrame({"row": rows, "place": np.arange(len(rows))})
    chosen = (pl.col("row").cast(pl.Int64), pl.col("user_id"))
    found = _read_ids(representation, lambda known: known.select(chosen).join(wanted, on="row", how="inner"))
    return found.sort("place")["user_id"]


def _read_ids(representation: Representation, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """What a query of the file of ids gives. Raises StateError when the file is damaged or missing."""
    try:
        representation.check_file(representation.ids)
        return query(pl.scan_parquet(representation.ids)).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise StateError(f"{representation.ids}: damaged or missing ({reason})", "lookalike embed --full") from error

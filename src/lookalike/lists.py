"""Lists of user ids: seeds and suppressions in, prospects out."""

from pathlib import Path

import polars as pl

from lookalike.errors import DataError
from lookalike.workspace import write_text

# A cell that begins so is run as a formula by spreadsheets; a plain signed number is not.
FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?\d+(\.\d+)?$"
ESCAPED = r"^'+[=+\-@\t\r]"  # our own ' comes first, whatever the id begins with


def read_ids(path: Path) -> pl.DataFrame:
    """The ids of a CSV or Parquet file as column `user_id`: of that column, or of the only one. Blank ones are left out.

    Raises DataError when there is no such file, no such column, or no id.
    """
    frame = _read(path)
    columns = {name.strip().lower(): name for name in frame.columns}
    if "user_id" in columns:
        column = columns["user_id"]
    elif len(frame.columns) == 1:
        column = frame.columns[0]
    else:
        raise DataError(
            f"{path}: no column user_id among {', '.join(frame.columns)[:200]}", "name the column of ids user_id"
        )
    ids = frame.select(pl.col(column).cast(pl.String).str.strip_chars().alias("user_id"))
    # our own lists put ' before an id that a spreadsheet would run; given back, it is the same id again
    escaped = pl.col("user_id").str.contains(ESCAPED)
    ids = ids.with_columns(pl.when(escaped).then(pl.col("user_id").str.slice(1)).otherwise("user_id").alias("user_id"))
    ids = ids.filter(pl.col("user_id").is_not_null() & (pl.col("user_id") != ""))
    if ids.is_empty():
        raise DataError(f"{path}: holds no id", "one id a line under the heading user_id")
    return ids


def either_way(ids: pl.DataFrame) -> pl.DataFrame:
    """The ids, and those that `read_ids` may have taken a ' from with it too: for a list that must not miss anybody."""
    taken = ids.filter(pl.col("user_id").str.contains(r"^'*[=+\-@\t\r]"))
    return pl.concat([ids, taken.select(user_id="'" + pl.col("user_id"))])


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(f"{path}: no such file", "give a CSV with a column user_id")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty", "give a CSV with a column user_id")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema=False, encoding="utf8", truncate_ragged_lines=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"{path}: cannot be read ({reason})", "give a UTF-8 CSV with a column user_id") from error


def write_prospects(frame: pl.DataFrame, path: Path) -> int:
    """Writes `rank,user_id,score,tier`, as CSV or Parquet by the suffix; gives how many ids were escaped for spreadsheets."""
    if path.suffix == ".parquet":
        frame.write_parquet(path)
        return 0
    column = pl.col("user_id")
    formula = (column.str.contains(FORMULA) & ~column.str.contains(NUMBER)) | column.str.contains(ESCAPED)
    escaped = int(frame.select(formula.sum()).item())
    safe = frame.with_columns(pl.when(formula).then("'" + column).otherwise(column).alias("user_id"))
    write_text(path, safe.write_csv(float_precision=6))
    return escaped

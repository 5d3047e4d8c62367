"""Lists of user ids: seeds and suppressions in, prospects out."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from lookalike.data.ingest import id_file
from lookalike.data.ingest.id_file import IdList
from lookalike.errors import StateError
from lookalike.workspace.files import write_text

# A cell that begins so is run as a formula by spreadsheets; a plain signed number is not.
FORMULA_START = r"^[=+\-@\t\r]"


NUMBER = r"^[+-]?\d+(\.\d+)?$"


ESCAPED = r"^'+[=+\-@\t\r]"  # our own ' comes first, whatever the id begins with


def read_ids(path: Path, with_values: bool = False) -> IdList:
    """The ids of a seed or another list. Raises DataError when it cannot be read whole, or a value is no weight."""
    found = id_file.read_id_file(path, with_values)
    # our own lists put ' before an id that a spreadsheet would run; given back, it is the same id again
    column = pl.col("user_id")
    escaped = pl.when(column.str.contains(ESCAPED)).then(column.str.slice(1)).otherwise(column)
    return replace(found, ids=found.ids.with_columns(user_id=escaped))


def read_prospects(folder: Path) -> pl.DataFrame:
    """The ids (column `user_id`) of an expansion's list. Raises StateError where it has none."""
    if (file := folder / "prospects.parquet").exists():
        return pl.read_parquet(file, columns=["user_id"])  # as they are: only a CSV has ' before some
    if (file := folder / "prospects.csv").exists():
        return read_ids(file).ids.select("user_id")
    raise StateError(
        f"{folder}: no list is here",
        "lookalike status names the lists there are; a refused seed has none without --force",
    )


def with_escaped_forms(given: pl.DataFrame) -> pl.DataFrame:
    """The ids, and those that `read_ids` may have taken a ' from with it too: for a list that must not miss anybody."""
    taken = given.filter(pl.col("user_id").str.contains(r"^'*[=+\-@\t\r]"))
    return pl.concat([given, taken.select(user_id="'" + pl.col("user_id"))])


def write_prospects(frame: pl.DataFrame, path: Path) -> int:
    """Writes a list, as CSV or Parquet by the suffix; gives how many ids were escaped for spreadsheets.

    Any other text in it is escaped too.
    """
    if path.suffix == ".parquet":
        frame.write_parquet(path)
        return 0
    escaped = int(frame.select(_needs_escape("user_id").sum()).item())
    texts = frame.select(pl.selectors.string()).columns
    safe = frame.with_columns(
        pl.when(_needs_escape(name)).then("'" + pl.col(name)).otherwise(pl.col(name)).alias(name) for name in texts
    )
    write_text(path, safe.write_csv(float_precision=6))
    return escaped


def _needs_escape(name: str) -> pl.Expr:
    """Whether a spreadsheet would run the text, or our own reading would take it for escaped."""
    column = pl.col(name)
    return (column.str.contains(FORMULA_START) & ~column.str.contains(NUMBER)) | column.str.contains(ESCAPED)

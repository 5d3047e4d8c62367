"""Lists of user ids, read as a log is read: the same formats, and the same cleaning, so that the same person matches."""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from lookalike.data.database import quoted
from lookalike.data.ingest import event_plan, readers, sources, synonyms
from lookalike.data.ingest.readers import Reader
from lookalike.data.schema import USER_KEY
from lookalike.errors import DataError

EXTRA = {"value": "no number above 0", "ts": "no time such as 2026-03-01T12:00"}  # and what is said of a wrong one


WHOLE_FLOAT = r"^\d+\.0$"


@dataclass(frozen=True)
class IdList:
    """ids: column `user_id`, without blanks, and `value` and `ts` (seconds since 1970) where asked for and there.

    `unused` are the other columns of the file.
    """

    ids: pl.DataFrame
    unused: tuple[str, ...]


def read_id_file(path: Path, with_values: bool = False) -> IdList:
    """The ids of a file: of its column `user_id` or one of that meaning, or of its only column.

    A single column whose heading is no known name is a list without heading: its first line is an id too.
    Raises DataError when there is no such file, no such column, no id, or a line that cannot be read: a list that
    somebody must stand on is read whole or not at all. So does a value that is no number above 0.
    """
    source = sources.describe_source(path) if path.is_file() else _missing(path)
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    with contextlib.closing(connection), tempfile.TemporaryDirectory() as scratch:
        reader = readers.open_reader(connection, source, Path(scratch))
        column, headed = _column(reader)
        cell = event_plan.clean_text(column, reader.columns[column])
        extra = {
            wanted: name
            for wanted in EXTRA
            if with_values
            for name in reader.columns
            if synonyms.normalised(name) == wanted
        }
        cells = [f"{cell} AS user_id"]
        for wanted, name in extra.items():
            kind = reader.columns[name]
            comma = wanted == "value" and kind == "VARCHAR" and event_plan.has_decimal_comma(connection, reader, name)
            read_as = event_plan.parse_number(name, kind, comma) if wanted == "value" else _moment(name)
            cells += [f"{read_as} AS {wanted}", f"{event_plan.clean_text(name, kind)} AS given_{wanted}"]
        try:
            rows = reader.stage(connection, [column, *(name for name in extra.values() if name != column)])
            connection.complete()  # or DuckDB minds a result that staging left unread
            found = connection.sql(f"SELECT {', '.join(cells)} FROM {rows.scan}").to_arrow_table()
        except duckdb.Error as error:
            raise readers.unreadable_error(source, error) from error
        if rows.malformed:
            raise DataError(
                f"{path}: {rows.malformed:,} of {rows.count:,} lines are malformed", "export the list again"
            )
    read = pl.DataFrame(found)
    for wanted in extra:
        _check(read, path, wanted)
    ids = read.select("user_id", *extra).with_columns(pl.col("user_id").cast(pl.String)).drop_nulls("user_id")
    if ids.select(pl.col("user_id").str.contains(WHOLE_FLOAT).all()).item():
        ids = ids.with_columns(pl.col("user_id").str.strip_suffix(".0"))  # a spreadsheet took the ids for numbers
    if not headed:
        ids = pl.concat([pl.DataFrame({"user_id": [column]}), ids])
    if ids.is_empty():
        raise DataError(f"{path}: holds no id", "one id a line under the heading user_id")
    return IdList(ids, tuple(name for name in reader.columns if name not in (column, *extra.values())))


def _moment(column: str) -> str:
    """A column as seconds since 1970; NULL where it is no time."""
    return f"floor(epoch(TRY_CAST({quoted(column)}::VARCHAR AS TIMESTAMP)))::BIGINT"


def _check(read: pl.DataFrame, path: Path, column: str) -> None:
    """Raises DataError for a value that is no weight (negative, zero, infinite, no number), or a time that is none."""
    value = pl.col(column)
    named = read.with_row_index("line", offset=2).filter(pl.col("user_id").is_not_null())
    wrong = value.is_null() if column == "ts" else value.is_null() | ~value.is_finite() | (value <= 0)
    bad = named.filter(wrong)
    if len(bad):
        line, given = bad.row(0, named=True)["line"], bad.row(0, named=True)[f"given_{column}"]
        raise DataError(
            f"{path}: line {line}: {column} {str(given or '')[:40]!r} is {EXTRA[column]} ({len(bad):,} such lines)",
            f"take these people out, or the whole column {column}",
        )


def _column(reader: Reader) -> tuple[str, bool]:
    """The column of ids, and whether the file has a heading."""
    known = [
        synonyms.normalised(name)
        for name in (USER_KEY, *synonyms.column_names("events")[USER_KEY], *synonyms.column_names("keys")[USER_KEY])
    ]
    by_name = {synonyms.normalised(name): name for name in reversed(reader.columns)}
    for name in known:
        if name in by_name:
            return by_name[name], True
    if len(reader.columns) == 1:
        return next(iter(reader.columns)), reader.source.format == "parquet"
    raise DataError(
        f"{reader.source.name}: no column user_id among {', '.join(reader.columns)[:200]}",
        "name the column of ids user_id",
    )


def _missing(path: Path) -> sources.Source:
    raise DataError(f"{path}: no such file", "check the path")

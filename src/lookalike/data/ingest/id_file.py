"""Files of user ids, such as seeds: read in the same formats and cleaned in the same way as a log, so that ids match."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from lookalike.data.ingest import readers, sources, synonyms, timestamps
from lookalike.data.ingest.cells import clean_text, has_decimal_comma, parse_number
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.session import private_session
from lookalike.data.ingest.timestamps import TimeColumn
from lookalike.data.schema import USER_KEY
from lookalike.errors import DataError

# The columns beside the id that may be asked for, and what is said of a wrong cell.
_EXTRA_COLUMNS: Final = {"value": "not a number from 0 on", "ts": "not a time such as 2026-03-01T12:00Z"}
_WHOLE_FLOAT: Final = r"^\d+\.0$"
_MAX_SHOWN = 40


@dataclass(frozen=True)
class IdList:
    ids: pl.DataFrame  # user_id; and value and ts (seconds since 1970) where they were asked for and the file has them
    unused: tuple[str, ...]  # the other columns of the file


@dataclass(frozen=True)
class _Columns:
    """Which columns of a file are read."""

    user_id: str
    has_header: bool
    extra: dict[str, str]  # value and ts -> column

    @property
    def names(self) -> list[str]:
        return [self.user_id, *(name for name in self.extra.values() if name != self.user_id)]


def read_id_file(path: Path, with_values: bool = False, timezones: tuple[str, ...] = ("UTC",)) -> IdList:
    """The ids of a file: of its column `user_id` or one with such a name, or of its only column.

    A single column whose heading is not such a name is a list without a header: its first line is an id too. Times that
    name no zone are read in the zone of the log; `timezones` are all the zones it was read in.
    Raises DataError when there is no such file, no such column, no id, a line that cannot be read, a value that is
    not a number from 0 on, or a time that may be of several zones: a list is read whole or not at all.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the path")
    source = sources.describe_source(path)
    with private_session(timezones[0]) as (connection, scratch):
        reader = readers.open_reader(connection, source, scratch)
        columns = _find_columns(reader, _EXTRA_COLUMNS if with_values else ())
        cells = _read_cells(connection, reader, columns, timezones)
    for name in columns.extra:
        _check_cells(cells, path, name)
    ids = _clean_ids(cells.select("user_id", *columns.extra))
    if not columns.has_header:
        ids = pl.concat([pl.DataFrame({"user_id": [columns.user_id]}), ids])
    if ids.is_empty():
        raise DataError(f"{path}: holds no id", "one id a line under the heading user_id")
    return IdList(ids, tuple(name for name in reader.columns if name not in columns.names))


def _find_columns(reader: Reader, extra: Iterable[str]) -> _Columns:
    user_id, has_header = _id_column(reader)
    found = {name: column for name in extra for column in reader.columns if synonyms.normalised(column) == name}
    return _Columns(user_id, has_header, found)


def _id_column(reader: Reader) -> tuple[str, bool]:
    """The column of ids, and whether the file has a header."""
    names = (USER_KEY, *synonyms.column_names("events")[USER_KEY], *synonyms.column_names("keys")[USER_KEY])
    by_name = {synonyms.normalised(column): column for column in reversed(reader.columns)}
    for name in map(synonyms.normalised, names):
        if name in by_name:
            return by_name[name], True
    if len(reader.columns) == 1:
        return next(iter(reader.columns)), reader.source.format == "parquet"
    raise DataError(
        f"{reader.source.name}: no column user_id among {', '.join(reader.columns)[:200]}",
        "name the column of ids user_id",
    )


def _read_cells(
    connection: duckdb.DuckDBPyConnection, reader: Reader, columns: _Columns, timezones: tuple[str, ...]
) -> pl.DataFrame:
    """user_id and the extra columns as they are used, and the latter as they are written too (`given_value`)."""
    cells = [f"{clean_text(columns.user_id, reader.columns[columns.user_id])} AS user_id"]
    for name, column in columns.extra.items():
        is_time = name == "ts"
        cell = _time(connection, reader, column, timezones) if is_time else _number(connection, reader, column)
        cells.append(f"{cell} AS {name}")
        cells.append(f"{clean_text(column, reader.columns[column])} AS given_{name}")
    try:
        rows = reader.stage(connection, columns.names)
        connection.complete()  # DuckDB refuses the next query while a result of the staging is unread
        table = connection.sql(f"SELECT {', '.join(cells)} FROM {rows.scan}").to_arrow_table()
    except duckdb.Error as error:
        raise readers.unreadable_error(reader.source, error) from error
    if rows.malformed:
        raise DataError(
            f"{reader.source.name}: {rows.malformed:,} of {rows.count:,} lines are malformed", "export the list again"
        )
    return pl.DataFrame(table)


def _time(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str, timezones: tuple[str, ...]) -> str:
    """The time as whole seconds since 1970, read as a log's; NULL where it cannot be read."""
    where = TimeColumn(connection, reader.scan, column, reader.columns[column], reader.source.name)
    try:
        time = timestamps.detect_format(where, timezones[0])
    except DataError as error:
        raise DataError(error.message, f"write them as 2026-03-01T12:00Z, or remove the column {column}") from error
    if time.assumes_zone and len(timezones) > 1:
        raise where.error(
            f"times without a zone, and the log was read in several ({', '.join(timezones)})",
            "write the zone with each time, as in 2026-03-01T12:00+01:00",
        )
    return f"floor(epoch({time.expression}))::BIGINT"


def _number(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str) -> str:
    """The value as a number; NULL where it cannot be read."""
    kind = reader.columns[column]
    decimal_comma = kind == "VARCHAR" and has_decimal_comma(connection, reader, column)
    return parse_number(column, kind, decimal_comma)


def _check_cells(cells: pl.DataFrame, path: Path, name: str) -> None:
    """Raises DataError for a value that is not a finite number from 0 on, or a time that cannot be read."""
    cell = pl.col(name)
    is_wrong = cell.is_null() if name == "ts" else cell.is_null() | ~cell.is_finite() | (cell < 0)
    wrong = cells.with_row_index("line", offset=2).filter(pl.col("user_id").is_not_null()).filter(is_wrong)
    if wrong.is_empty():
        return
    first = wrong.row(0, named=True)
    raise DataError(
        f"{path}: line {first['line']}: {name} {str(first[f'given_{name}'] or '')[:_MAX_SHOWN]!r} is "
        f"{_EXTRA_COLUMNS[name]} ({len(wrong):,} such line{'s' * (len(wrong) > 1)})",
        f"remove these lines, or the whole column {name}",
    )


def _clean_ids(cells: pl.DataFrame) -> pl.DataFrame:
    """The rows with an id. Ids that a spreadsheet has made numbers (`17.0`) lose their fraction."""
    ids = cells.with_columns(pl.col("user_id").cast(pl.String)).drop_nulls("user_id")
    if ids.select(pl.col("user_id").str.contains(_WHOLE_FLOAT).all()).item():
        ids = ids.with_columns(pl.col("user_id").str.strip_suffix(".0"))
    return ids

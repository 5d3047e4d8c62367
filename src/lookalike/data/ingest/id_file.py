"""Files of user ids, such as seeds: read in the same formats and cleaned in the same way as a log, so that ids match."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from lookalike.data.database import quoted
from lookalike.data.ingest import id_cells, readers, sources, sql, synonyms, timestamps
from lookalike.data.ingest.cells import WHITESPACE, clean_text, has_decimal_comma, parse_number
from lookalike.data.ingest.column_names import listed, shown
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.session import private_session
from lookalike.data.ingest.timestamps import TimeColumn
from lookalike.data.schema import USER_KEY
from lookalike.errors import DataError

# The columns beside the id that may be asked for, and what is said of a wrong cell.
_EXTRA_COLUMNS: Final = {"value": "a number from 0 on", "ts": "a time such as 2026-03-01T12:00Z"}


_NOTHING: Final = ("", "null", "none", "nil", "nan", "<na>", "\\n")  # cells that say that nothing is there


@dataclass(frozen=True)
class IdList:
    ids: pl.DataFrame  # user_id; and value and ts (seconds since 1970) where they were asked for and the file has them
    unused: tuple[str, ...]  # the other columns of the file
    column: str = USER_KEY  # that the ids were read from
    empty: tuple[str, ...] = ()  # columns that would have been read before it, but hold no id
    lost: int = 0  # lines that are not empty but have no id; counted with `every_column`


@dataclass(frozen=True)
class _Columns:
    """Which columns of a file are read."""

    user_id: str
    has_header: bool
    extra: dict[str, str]  # value and ts -> column
    empty: tuple[str, ...]  # columns of ids by their name, but without any
    others: tuple[str, ...] = ()  # that may hold an id where `user_id` has none

    @property
    def names(self) -> list[str]:
        return [self.user_id, *(name for name in self.extra.values() if name != self.user_id)]


def read_id_file(
    path: Path, with_values: bool = False, timezones: tuple[str, ...] = ("UTC",), every_column: bool = False
) -> IdList:
    """The ids of a file: of its column `user_id` or one with such a name, or of its only column.

    A single column whose heading is not such a name is a list without a header: its first line is an id too. Times that
    name no zone are read in the zone of the log; `timezones` are all the zones it was read in.
    Of several such columns the first with an id is read; with `every_column` the others
    too in lines where it has none. What stands for nobody (`#REF!`, `unknown`) is no id.
    Raises DataError when there is no such file, no such column, no id, a line that cannot be read, ids that were rounded,
    a value that is not a number from 0 on, or a time that may be of several zones: a list is read whole or not at all.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the path")
    source = sources.describe_source(path)
    with private_session(timezones[0]) as (connection, scratch):
        reader = readers.open_reader(connection, source, scratch)
        columns = _find_columns(connection, reader, _EXTRA_COLUMNS if with_values else ())
        if every_column:
            columns = replace(columns, others=tuple(_columns_by_name(reader)) or (columns.user_id,))
        cells = _read_cells(connection, reader, columns, timezones)
    for name in columns.extra:
        _check_cells(cells, path, name)
    _check_rounded(cells, path, columns.user_id)
    ids = cells.filter(pl.col("user_id").is_not_null()).select(pl.col("user_id").cast(pl.String), *columns.extra)
    if ids.is_empty():
        raise DataError(
            f"{path}: the column {shown([columns.user_id])[0]} holds no id", "one id a line under the heading user_id"
        )
    unused = tuple(name for name in reader.columns if name not in columns.names)
    lost = int(cells.select((pl.col("user_id").is_null() & pl.col("filled")).sum()).item())
    return IdList(ids, unused, columns.user_id, columns.empty, lost)


def _find_columns(connection: duckdb.DuckDBPyConnection, reader: Reader, extra: Iterable[str]) -> _Columns:
    found = {name: column for name in extra for column in reader.columns if synonyms.normalised(column) == name}
    named = _columns_by_name(reader)
    empty = tuple(itertools.takewhile(lambda name: not _holds_ids(connection, reader, name), named[:-1]))
    if named:
        return _Columns(named[len(empty)], True, found, empty)
    return _Columns(_only_column(reader), reader.source.format == "parquet", found, ())


def _columns_by_name(reader: Reader) -> list[str]:
    """The columns that could hold the ids by their names, best first."""
    names = (USER_KEY, *synonyms.column_names("events")[USER_KEY], *synonyms.column_names("keys")[USER_KEY])
    by_name = {synonyms.normalised(column): column for column in reversed(reader.columns)}
    return list(dict.fromkeys(by_name[name] for name in map(synonyms.normalised, names) if name in by_name))


def _holds_ids(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str) -> bool:
    text = id_cells.id_text(column, reader.columns[column])
    return bool(connection.execute(f"SELECT 1 FROM {reader.scan} WHERE {text} IS NOT NULL LIMIT 1").fetchall())


def _only_column(reader: Reader) -> str:
    if len(reader.columns) == 1:
        return next(iter(reader.columns))
    raise DataError(
        f"{reader.source.name}: no column user_id among {listed(reader.columns)}",
        "name the column of ids user_id",
    )


def _read_cells(
    connection: duckdb.DuckDBPyConnection, reader: Reader, columns: _Columns, timezones: tuple[str, ...]
) -> pl.DataFrame:
    """user_id, whether it was rounded, and the extra columns as they are used and as they are written (`given_value`)."""
    text = _id(connection, reader, columns)
    staged = list(reader.columns) if columns.others else columns.names
    filled = " OR ".join(f"{_is_filled(name)}" for name in staged) if columns.others else "false"
    cells = [
        f"{text} AS user_id",
        f"coalesce({id_cells.is_rounded(text)}, false) AS rounded",
        f"coalesce({filled}, false) AS filled",
    ]
    for name, column in columns.extra.items():
        is_time = name == "ts"
        cell = _time(connection, reader, column, timezones) if is_time else _number(connection, reader, column)
        cells.append(f"{cell} AS {name}")
        cells.append(f"{clean_text(column, reader.columns[column])} AS given_{name}")
    try:
        rows = reader.stage(connection, staged)
        connection.complete()  # DuckDB refuses the next query while a result of the staging is unread
        lines = rows.scan if columns.has_header else _with_heading(rows.scan, columns.user_id)
        table = connection.sql(f"SELECT {', '.join(cells)} FROM {lines}").to_arrow_table()
    except duckdb.Error as error:
        raise readers.unreadable_error(reader.source, error) from error
    if rows.malformed:
        raise DataError(
            f"{reader.source.name}: {rows.malformed:,} of {rows.count:,} lines are malformed", "export the list again"
        )
    return pl.DataFrame(table)


def _id(connection: duckdb.DuckDBPyConnection, reader: Reader, columns: _Columns) -> str:
    """SQL of a line's id: that of the first column that has one."""
    texts = []
    for name in dict.fromkeys((columns.user_id, *columns.others)):
        kind = reader.columns[name]
        # who must not be listed is looked for in either reading of 12.000
        keeps_thousands = bool(columns.others) or _has_thousands_marks(connection, reader, name)
        text = id_cells.id_text(name, kind, keeps_thousands)
        texts.append(f"CASE WHEN NOT {id_cells.is_placeholder(text)} THEN {text} END")
    return f"coalesce({', '.join(texts)})"


def _has_thousands_marks(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str) -> bool:
    """Whether the column has numbers such as 12.345, so that 12.000 is no decimal of 12."""
    if reader.columns[column] != "VARCHAR":
        return False
    name, pattern = quoted(column), sql.literal(id_cells.THOUSANDS)
    query = f"SELECT 1 FROM {reader.scan} WHERE regexp_full_match({name}, {pattern}) AND NOT ends_with({name}, '.000')"
    return bool(connection.execute(f"{query} LIMIT 1").fetchall())


def _is_filled(column: str) -> str:
    text = f"lower(trim({quoted(column)}::VARCHAR, {sql.literal(WHITESPACE)}))"
    return f"{text} NOT IN ({sql.literals(_NOTHING)})"


def _with_heading(scan: str, column: str) -> str:
    """The lines of a file without a header: its first line was taken for the name of its only column."""
    name = quoted(column)
    return f"(SELECT {sql.literal(column)} AS {name} UNION ALL SELECT {name} FROM {scan})"


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
    kind = "empty" if first[f"given_{name}"] is None else "text" if first[name] is None else f"{first[name]:g}"
    raise DataError(
        f"{path}: line {first['line']}: {name} is {kind}, not {_EXTRA_COLUMNS[name]} "
        f"({len(wrong):,} such line{'s' * (len(wrong) > 1)})",
        f"remove these lines, or the whole column {name}",
    )


def _check_rounded(cells: pl.DataFrame, path: Path, column: str) -> None:
    if rounded := int(cells["rounded"].sum()):
        (name,) = shown([column])
        raise DataError(
            f"{path}: {rounded:,} of {len(cells):,} cells of the column {name} are numbers that a spreadsheet or a program "
            "has rounded, such as 1.23457E+15: they are no longer the ids of single people",
            "export the list again, with the ids as text",
        )

"""Delimited text. Delimiter, quotes, encoding and header are detected here; DuckDB parses.

DuckDB's own detection is not used: it takes a file with ragged rows for one with a single column, and a stray quote for
a file without quoting. All cells stay text, so that leading zeros and long numbers survive.
"""

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.readers import text_encoding
from lookalike.data.ingest.sources import Source, read_head
from lookalike.data.ingest.staging import (
    LINE,
    MALFORMED,
    RECORD,
    REJECT_ERRORS,
    REJECT_SCANS,
    STAGED_ROWS,
    StagedRows,
    drop_staged,
)
from lookalike.errors import DataError

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD_SIZE: Final = 1 << 18
_MAX_LINE_SIZE: Final = 1 << 22
_MIXED_LINE_ENDS: Final = "invalid state"  # DuckDB's words for a file with line ends of several kinds


@dataclass(frozen=True)
class DelimitedFile:
    source: Source  # as it was given
    text: Source  # as UTF-8
    columns: dict[str, str]
    delimiter: str
    escape: str
    skip: int  # blank lines above the header
    scratch: Path
    ascii_head: bool  # the first bytes do not show whether the rest is UTF-8

    @property
    def scan(self) -> str:
        return self._read("ignore_errors=true")

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        try:
            self._parse(connection, names)
        except duckdb.InvalidInputException as error:
            if _MIXED_LINE_ENDS not in str(error):
                raise
            return self.converted("utf-8").stage(connection, names)
        not_utf8 = _count(connection, f"{REJECT_ERRORS} WHERE error_type::VARCHAR = 'INVALID ENCODING'")
        if not_utf8 and self.ascii_head:
            drop_staged(connection)
            return self.converted("cp1252").stage(connection, names)
        self._check_quotes(connection)
        return self._staged_rows(connection, names)

    def converted(self, encoding: str) -> "DelimitedFile":
        """The same file read from a copy in UTF-8 with \\n line ends."""
        if self.text is not self.source:
            raise DataError(f"{self.source.name}: the text cannot be read as CSV", "save it as UTF-8 CSV")
        return replace(self, text=text_encoding.copy_as_utf8(self.source, encoding, self.scratch), ascii_head=False)

    def _parse(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
        error_options = f"store_rejects=true, rejects_table='{REJECT_ERRORS}', rejects_scan='{REJECT_SCANS}'"
        columns = ", ".join(quoted(name) for name in names)
        connection.execute(f"CREATE TEMP TABLE {STAGED_ROWS} AS SELECT {columns} FROM {self._read(error_options)}")
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT line::BIGINT AS line, "
            f"'malformed line: ' || lower(min(error_type::VARCHAR)) AS reason FROM {REJECT_ERRORS} GROUP BY line"
        )

    def _check_quotes(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Raises DataError for a quote that is not closed: it swallows the lines after it."""
        kinds = "'UNQUOTED VALUE', 'LINE SIZE OVER MAXIMUM'"
        row = connection.execute(
            f"SELECT line FROM {REJECT_ERRORS} WHERE error_type::VARCHAR IN ({kinds}) "
            "AND regexp_matches(csv_line, '[^\\r\\n][\\r\\n]+[^\\r\\n]') ORDER BY line LIMIT 1"
        ).fetchone()
        if row:
            raise DataError(
                f"{self.source.name}: line {row[0]}: a quote is opened and never closed",
                "the lines after it cannot be told from its cell: close or remove the quote, or export the file again",
            )

    def _staged_rows(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        """The staged rows with their line numbers.

        The line of the k-th good row is k, plus the lines above the rows, plus the malformed lines before it. The j-th
        malformed line, at line m, stands before it when m - above - j < k.
        """
        malformed = _count(connection, MALFORMED)
        columns = ", ".join(quoted(name) for name in names)
        above = self.skip + 1
        if malformed:
            malformed_before = (
                f"(SELECT line - j - {above} + 1 AS least, max(j) AS bad "
                f"FROM (SELECT line, row_number() OVER (ORDER BY line) AS j FROM {MALFORMED}) GROUP BY ALL)"
            )
            numbered = (
                f"(SELECT k + {above} + coalesce(bad, 0) AS {LINE}, {columns} "
                f"FROM (SELECT {RECORD} AS k, * FROM {STAGED_ROWS}) "
                f"ASOF LEFT JOIN {malformed_before} ON k >= least)"
            )
        else:
            numbered = f"(SELECT {RECORD} + {above} AS {LINE}, {columns} FROM {STAGED_ROWS})"
        return StagedRows(STAGED_ROWS, numbered, _count(connection, STAGED_ROWS) + malformed, malformed)

    def _read(self, error_options: str) -> str:
        columns = ", ".join(f"{sql.literal(name)}: 'VARCHAR'" for name in self.columns)
        return (
            f"read_csv({sql.path_literal(self.text.path)}, auto_detect=false, delim={sql.literal(self.delimiter)}, "
            f"quote='\"', escape={sql.literal(self.escape)}, header=true, skip={self.skip}, strict_mode=true, "
            f"{error_options}, columns={{{columns}}}, max_line_size={_MAX_LINE_SIZE}, "
            f"compression={sql.literal(self.text.compression)})"
        )


def open_csv(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> DelimitedFile:
    """The file with its dialect and header. Raises DataError when it is empty or not text."""
    head = read_head(source, _HEAD_SIZE)
    encoding = text_encoding.detect_encoding(head)
    utf8 = source if encoding == "utf-8" else text_encoding.copy_as_utf8(source, encoding, scratch)
    text = text_encoding.decode_head(head, encoding)
    if not text.strip():
        raise DataError(f"{source.name}: the file is empty", "leave it out, or export it again")
    if b"\x00" * 16 in head and encoding == "utf-8":
        raise DataError(f"{source.name}: is not a text file", "give CSV, TSV, JSON lines or Parquet")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = text.lstrip("\n")
    delimiter, cells = max((_header(body, delimiter) for delimiter in _DELIMITERS), key=lambda header: len(header[1]))
    file = DelimitedFile(
        source=source,
        text=utf8,
        columns={column: "VARCHAR" for column in _unique([cell.strip() for cell in cells])},
        delimiter=delimiter,
        escape=_escape(body, delimiter, len(cells)),
        skip=len(text) - len(body),
        scratch=scratch,
        ascii_head=head.isascii(),
    )
    return _with_uniform_line_ends(connection, file)


def _with_uniform_line_ends(connection: duckdb.DuckDBPyConnection, file: DelimitedFile) -> DelimitedFile:
    try:
        connection.execute(f"SELECT 1 FROM {file.scan} LIMIT 1").fetchone()
    except duckdb.InvalidInputException as error:
        if _MIXED_LINE_ENDS not in str(error):
            raise
        return file.converted("utf-8")
    return file


def _header(body: str, delimiter: str) -> tuple[str, list[str]]:
    """The delimiter with the cells that it makes of the first line."""
    try:
        return delimiter, next(csv.reader(io.StringIO(body), delimiter=delimiter), [])
    except csv.Error:
        return delimiter, []


def _escape(body: str, delimiter: str, width: int) -> str:
    """How a quote inside quotes is written: the reading under which more of the first lines are as wide as the header.

    A backslash may also be the last character of a cell, so one before a quote proves nothing.
    """
    if '\\"' not in body:
        return '"'
    doubled = csv.reader(io.StringIO(body), delimiter=delimiter, strict=True)
    backslash = csv.reader(io.StringIO(body), delimiter=delimiter, strict=True, doublequote=False, escapechar="\\")
    return "\\" if _fitting_lines(backslash, width) > _fitting_lines(doubled, width) else '"'


def _fitting_lines(lines: Iterator[list[str]], width: int) -> int:
    """How many lines have so many cells, before the first that cannot be read."""
    fitting = 0
    with contextlib.suppress(csv.Error):
        for cells in lines:
            fitting += len(cells) == width
    return fitting


def _unique(names: list[str]) -> list[str]:
    """The names in order, made different from each other even when case is ignored, as DuckDB does."""
    unique: list[str] = []
    used: set[str] = set()
    for position, name in enumerate(names):
        candidate = name or f"column{position}"
        while candidate.casefold() in used:
            candidate += "_"
        used.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])

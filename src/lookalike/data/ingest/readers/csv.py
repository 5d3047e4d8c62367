"""Delimited text. Delimiter, quotes, encoding and header are detected here; DuckDB parses.

DuckDB's own detection is not used: it takes a file with ragged rows for one with a single column, and a stray quote for
a file without quoting. All cells stay text, so that leading zeros and long numbers survive.
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.readers import mended_text, text_encoding
from lookalike.data.ingest.readers.text_encoding import UTF_8
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
    staged_columns,
)
from lookalike.errors import DataError

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD_SIZE: Final = 1 << 18
_MAX_LINE_SIZE: Final = 1 << 22
_LINE_END: Final = re.compile(b"[\r\n]")
_MIXED_LINE_ENDS: Final = "invalid state"  # DuckDB's words for a file with line ends of several kinds


@dataclass(frozen=True)
class DelimitedFile:
    source: Source  # as it was given
    text: Source  # as UTF-8
    encoding: str
    columns: dict[str, str]
    delimiter: str
    escape: str
    skip: int  # blank lines above the header
    scratch: Path
    has_one_line_end: bool = False  # it is a copy with \\n line ends

    @property
    def scan(self) -> str:
        return self._read("ignore_errors=true")

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        try:
            self._parse(connection, names)
        except duckdb.InvalidInputException as error:
            if _MIXED_LINE_ENDS not in str(error):
                raise
            drop_staged(connection)
            return self.with_one_line_end().stage(connection, names)
        self._check_quotes(connection)
        return self._staged_rows(connection, names)

    def with_one_line_end(self) -> "DelimitedFile":
        """The same file read from a copy with \\n line ends."""
        if self.has_one_line_end:
            raise DataError(f"{self.source.name}: the text cannot be read as CSV", "save it as UTF-8 CSV")
        return replace(self, text=text_encoding.copy_as_utf8(self.text, UTF_8, self.scratch), has_one_line_end=True)

    def _parse(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
        error_options = f"store_rejects=true, rejects_table='{REJECT_ERRORS}', rejects_scan='{REJECT_SCANS}'"
        columns = ", ".join(f"{quoted(name)} AS {cell}" for cell, name in staged_columns(names))
        connection.execute(f"CREATE TEMP TABLE {STAGED_ROWS} AS SELECT {columns} FROM {self._read(error_options)}")
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT line::BIGINT AS line, "
            f"'malformed line: ' || lower(min(error_type::VARCHAR)) AS reason FROM {REJECT_ERRORS} GROUP BY line"
        )

    def _check_quotes(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Raises DataError for a quote that is not closed: it swallows the lines after it.

        Where these fill DuckDB's buffer, it shows the line before as the one with the fault.
        """
        kinds = "'UNQUOTED VALUE', 'LINE SIZE OVER MAXIMUM'"
        several_lines = "regexp_matches(csv_line, '[^\\r\\n][\\r\\n]+[^\\r\\n]')"
        not_shown = "byte_position > line_byte_position + strlen(csv_line)"
        row = connection.execute(
            f"SELECT line FROM {REJECT_ERRORS} WHERE error_type::VARCHAR IN ({kinds}) "
            f"AND ({several_lines} OR {not_shown}) ORDER BY line LIMIT 1"
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
        columns = ", ".join(f"{cell} AS {quoted(name)}" for cell, name in staged_columns(names))
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
        scan = f"(SELECT {columns} FROM {STAGED_ROWS})"
        return StagedRows(scan, numbered, _count(connection, STAGED_ROWS) + malformed, malformed)

    def _read(self, error_options: str) -> str:
        columns = ", ".join(f"{sql.literal(name)}: 'VARCHAR'" for name in self.columns)
        return (
            f"read_csv({sql.path_literal(self.text.path)}, auto_detect=false, delim={sql.literal(self.delimiter)}, "
            f"quote='\"', escape={sql.literal(self.escape)}, header=true, skip={self.skip}, strict_mode=true, "
            f"{error_options}, columns={{{columns}}}, max_line_size={_MAX_LINE_SIZE}, "
            f"compression={sql.literal(self.text.compression)}, hive_partitioning=false)"
        )


def open_csv(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> DelimitedFile:
    """The file with its dialect and header. Raises DataError when it is empty or not text, or the header cannot be read."""
    head = read_head(source, _HEAD_SIZE)
    utf8 = text_encoding.as_utf8(source, head, _MAX_LINE_SIZE, scratch)
    if b"\x00" * 16 in head and utf8.encoding == UTF_8:
        raise DataError(f"{source.name}: is not a text file", "give CSV, TSV, JSON lines or Parquet")
    text = _first_lines(source, utf8.file)
    body = text.lstrip("\n")
    delimiter, cells = max((_header(body, delimiter) for delimiter in _DELIMITERS), key=lambda header: len(header[1]))
    names = [cell.strip() for cell in cells]
    if not names or any("\x00" in name for name in names):
        raise DataError(f"{source.name}: the header line cannot be read", "export the file again")
    has_long_line = utf8.survey.has_long_line
    file = DelimitedFile(
        source=source,
        text=mended_text.mended_csv(utf8.file, _MAX_LINE_SIZE, scratch) if has_long_line else utf8.file,
        encoding=utf8.encoding,
        columns={column: "VARCHAR" for column in _unique(names)},
        delimiter=delimiter,
        escape=_escape(body, delimiter, len(cells)),
        skip=len(text) - len(body),
        scratch=scratch,
    )
    return _with_uniform_line_ends(connection, file)


def _first_lines(source: Source, utf8: Source) -> str:
    """The beginning of the text with \\n line ends: the header line at least. Raises DataError if that cannot be read."""
    head = read_head(utf8, _HEAD_SIZE)
    if not _LINE_END.search(head.lstrip(b"\r\n")):
        head = read_head(utf8, _MAX_LINE_SIZE)
    text = text_encoding.decode_head(head, UTF_8)
    if not text.strip():
        raise DataError(f"{source.name}: the file is empty", "leave it out, or export it again")
    first, *rest = _LINE_END.split(head.lstrip(b"\r\n"), maxsplit=1)
    if not rest and len(head) == _MAX_LINE_SIZE:
        raise DataError(f"{source.name}: the header line has more than 4 million characters", "export the file again")
    try:
        first.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source.name}: the header line is not UTF-8, as the rest of the file is", "save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _with_uniform_line_ends(connection: duckdb.DuckDBPyConnection, file: DelimitedFile) -> DelimitedFile:
    try:
        connection.execute(f"SELECT 1 FROM {file.scan} LIMIT 1").fetchone()
    except duckdb.InvalidInputException as error:
        if _MIXED_LINE_ENDS not in str(error):
            raise
        return file.with_one_line_end()
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

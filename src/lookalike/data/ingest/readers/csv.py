"""CSV and its kin: delimiter, quotes, encoding and header are found here, the parsing is DuckDB's.

DuckDB's own sniffing is not used: it takes a file with ragged rows for one of a single column, and a stray quote for no
quoting at all. All cells stay text, so that leading zeros and long numbers survive.
"""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

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
    STAGED,
    StagedRows,
    drop_staged,
)
from lookalike.errors import DataError

DELIMITERS = (",", ";", "\t", "|")


_SAMPLE = 1 << 18


_MAX_LINE = 1 << 22


@dataclass(frozen=True)
class DelimitedFile:
    source: Source  # as it was given
    text: Source  # as UTF-8
    columns: dict[str, str]
    delimiter: str
    escape: str
    skip: int  # blank lines above the header
    scratch: Path
    ascii_start: bool  # the first bytes do not show whether it is UTF-8

    @property
    def scan(self) -> str:
        return self._read("ignore_errors=true")

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        try:
            self._parse(connection, names)
        except duckdb.InvalidInputException as error:
            if "invalid state" not in str(error):
                raise
            return self._converted("utf-8").stage(connection, names)  # line ends of several kinds
        broken = _count(connection, f"{REJECT_ERRORS} WHERE error_type::VARCHAR = 'INVALID ENCODING'")
        if broken and self.ascii_start:
            drop_staged(connection)
            return self._converted("cp1252").stage(connection, names)
        self._check_quotes(connection)
        return self._rows(connection, names)

    def _converted(self, name: str) -> "DelimitedFile":
        if self.text is not self.source:
            raise DataError(f"{self.source.name}: the text cannot be read as CSV", "save it as UTF-8 CSV")
        return replace(self, text=text_encoding.copy_as_utf8(self.source, name, self.scratch), ascii_start=False)

    def _parse(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
        store = f"store_rejects=true, rejects_table='{REJECT_ERRORS}', rejects_scan='{REJECT_SCANS}'"
        columns = ", ".join(quoted(name) for name in names)
        connection.execute(f"CREATE TEMP TABLE {STAGED} AS SELECT {columns} FROM {self._read(store)}")
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT line::BIGINT AS line, "
            f"'malformed line: ' || lower(min(error_type::VARCHAR)) AS reason FROM {REJECT_ERRORS} GROUP BY line"
        )

    def _check_quotes(self, connection: duckdb.DuckDBPyConnection) -> None:
        """A quote that is not closed swallows the lines after it, so none of them can be told from a cell."""
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

    def _rows(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        malformed = _count(connection, MALFORMED)
        columns = ", ".join(quoted(name) for name in names)
        # Line of the k-th good record: what stands above the rows, k records, and the bad lines before it. Bad line
        # number j at line m comes before it when m - above - j < k.
        above = self.skip + 1
        before = (
            f"(SELECT line - j - {above} + 1 AS least, max(j) AS bad "
            f"FROM (SELECT line, row_number() OVER (ORDER BY line) AS j FROM {MALFORMED}) GROUP BY ALL)"
        )
        numbered = (
            f"(SELECT k + {above} + coalesce(bad, 0) AS {LINE}, {columns} FROM (SELECT {RECORD} AS k, * FROM {STAGED}) "
            f"ASOF LEFT JOIN {before} ON k >= least)"
        )
        if not malformed:
            numbered = f"(SELECT {RECORD} + {above} AS {LINE}, {columns} FROM {STAGED})"
        return StagedRows(STAGED, numbered, _count(connection, STAGED) + malformed, malformed)

    def _read(self, faults: str) -> str:
        columns = ", ".join(f"{sql.literal(name)}: 'VARCHAR'" for name in self.columns)
        return (
            f"read_csv({sql.file(self.text.path)}, auto_detect=false, delim={sql.literal(self.delimiter)}, quote='\"', "
            f"escape={sql.literal(self.escape)}, header=true, skip={self.skip}, strict_mode=true, {faults}, "
            f"columns={{{columns}}}, max_line_size={_MAX_LINE}, compression={sql.literal(self.text.compression)})"
        )


def describe_csv(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> DelimitedFile:
    """The file with its dialect and header. Raises DataError when it has no header line."""
    start = read_head(source, _SAMPLE)
    name = text_encoding.detect_encoding(start)
    plain = source if name == "utf-8" else text_encoding.copy_as_utf8(source, name, scratch)
    shown = text_encoding.decode_head(start, name)
    if not shown.strip():
        raise DataError(f"{source.name}: the file is empty", "leave it out, or export it again")
    if b"\x00" * 16 in start and name == "utf-8":
        raise DataError(f"{source.name}: is no text file", "give CSV, TSV, JSON lines or Parquet")
    shown = shown.replace("\r\n", "\n").replace("\r", "\n")
    body = shown.lstrip("\n")
    header = max((_header(body, mark) for mark in DELIMITERS), key=lambda found: len(found[1]))
    escape = "\\" if '\\"' in shown and '""' not in shown else '"'
    columns = {column: "VARCHAR" for column in _unique([cell.strip() for cell in header[1]])}
    skip = len(shown) - len(body)
    file = DelimitedFile(source, plain, columns, header[0], escape, skip, scratch, start.isascii())
    try:
        connection.execute(f"SELECT 1 FROM {file.scan} LIMIT 1").fetchone()
    except duckdb.InvalidInputException as error:
        if "invalid state" not in str(error):
            raise
        return file._converted("utf-8")
    return file


def _header(body: str, delimiter: str) -> tuple[str, list[str]]:
    try:
        return delimiter, next(csv.reader(io.StringIO(body), delimiter=delimiter), [])
    except csv.Error:
        return delimiter, []


def _unique(names: list[str]) -> list[str]:
    """The names in order, each once whatever the case; DuckDB compares them so."""
    made: list[str] = []
    taken: set[str] = set()
    for position, name in enumerate(names):
        free = name or f"column{position}"
        while free.casefold() in taken:
            free += "_"
        taken.add(free.casefold())
        made.append(free)
    return made


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])

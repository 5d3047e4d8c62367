"""JSON lines, and files that are one array of objects. The members of the outermost objects are the columns.

Lines are read as text and taken apart by JSON pointers: DuckDB's own JSON reader, told to ignore errors, turns a
malformed line into a row of NULLs.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.readers import text_encoding
from lookalike.data.ingest.sources import Source, open_stream, read_head
from lookalike.data.ingest.staging import LINE, MALFORMED, RECORD, STAGED_ROWS, StagedRows
from lookalike.errors import DataError

_HEAD_SIZE: Final = 1 << 20
_MAX_LINE_SIZE: Final = 1 << 24
_SAMPLE_LINES: Final = 1000
_IS_OBJECT: Final = "__good"  # column: whether a line is a JSON object; NULL for a blank line


@dataclass(frozen=True)
class JsonLines:
    source: Source  # as it was given
    text: Source  # as UTF-8
    columns: dict[str, str]
    delimiter: str = ""

    @property
    def scan(self) -> str:
        return f"(SELECT {self._members(list(self.columns))} FROM {self._parts(list(self.columns))} WHERE {_IS_OBJECT})"

    @property
    def lines(self) -> str:
        """What stands after FROM to get the lines, or the elements of the array, as column `__text`."""
        file = sql.path_literal(self.text.path)
        compression = sql.literal(self.text.compression)
        if self.text.format == "json":
            return (
                f"(SELECT json::VARCHAR AS __text FROM read_json_objects({file}, format='array', "
                f"maximum_object_size={_MAX_LINE_SIZE}, compression={compression}))"
            )
        return (
            f"read_csv({file}, auto_detect=false, columns={{'__text': 'VARCHAR'}}, delim='', quote='', escape='', "
            f"header=false, strict_mode=false, ignore_errors=true, max_line_size={_MAX_LINE_SIZE}, "
            f"compression={compression})"
        )

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        connection.execute(
            f"CREATE TEMP TABLE {STAGED_ROWS} AS SELECT {_IS_OBJECT}, {self._members(names)} FROM {self._parts(names)}"
        )
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT {RECORD} AS line, 'malformed line: no JSON object' AS reason "
            f"FROM {STAGED_ROWS} WHERE NOT {_IS_OBJECT}"
        )
        row = connection.execute(
            f"SELECT count({_IS_OBJECT}), count(*) FILTER (NOT {_IS_OBJECT}) FROM {STAGED_ROWS}"
        ).fetchone()
        assert row is not None
        lost = self._lost_lines()
        if lost:
            connection.execute(
                f"INSERT INTO {MALFORMED} SELECT unnest(?), 'malformed line: no UTF-8 text, or 16 MiB or more'", [lost]
            )
        columns = ", ".join(quoted(name) for name in names)
        return StagedRows(
            scan=f"(SELECT {columns} FROM {STAGED_ROWS} WHERE {_IS_OBJECT})",
            numbered=f"(SELECT {RECORD} AS {LINE}, {columns} FROM {STAGED_ROWS} WHERE {_IS_OBJECT})",
            count=row[0] + len(lost),
            malformed=row[1] + len(lost),
        )

    def _lost_lines(self) -> list[int]:
        """The lines that DuckDB leaves out; of an array it reads every element or none."""
        return [] if self.text.format == "json" else text_encoding.unreadable_lines(self.text, _MAX_LINE_SIZE)

    def _members(self, names: list[str]) -> str:
        """The members of each object as columns; a list of scalars as a list."""
        members = []
        for position, name in enumerate(names, start=1):
            cell = f"__cells[{position}]"
            if self.columns[name] == "VARCHAR[]":
                cell = f"json_transform(CASE WHEN json_valid({cell}) THEN {cell} END, '[\"VARCHAR\"]')"
            members.append(f"{cell} AS {quoted(name)}")
        return ", ".join(members)

    def _parts(self, names: list[str]) -> str:
        pointers = sql.literals("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
        is_object = "json_valid(__text) AND starts_with(ltrim(__text), '{')"
        return (
            f"(SELECT CASE WHEN trim(__text) <> '' THEN {is_object} END AS {_IS_OBJECT}, "
            f"CASE WHEN {is_object} THEN json_extract_string(__text, [{pointers}]) END AS __cells FROM {self.lines})"
        )


def open_jsonl(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> JsonLines:
    """The file with the members of its first objects. Raises DataError when it holds no object."""
    encoding = text_encoding.detect_encoding(read_head(source, _HEAD_SIZE))
    utf8 = source if encoding == "utf-8" else text_encoding.copy_as_utf8(source, encoding, scratch)
    if source.format == "json":
        _check_array_end(utf8)
    columns: dict[str, str] = {}
    lines = JsonLines(source, utf8, {}).lines
    query = f"SELECT __text FROM {lines} WHERE json_valid(__text) LIMIT {_SAMPLE_LINES}"
    for (line,) in connection.execute(query).fetchall():
        value = json.loads(line)
        for name, member in value.items() if isinstance(value, dict) else ():
            columns[name] = _wider_type(columns.get(name), member)
    if not columns:
        raise DataError(f"{source.name}: no JSON object was found", "give one JSON object on each line")
    return JsonLines(source, utf8, columns)


def _wider_type(column_type: str | None, value: object) -> str:
    """The type of a column that has had values of `column_type` and now this one. STRUCT stands for any mixture."""
    value_type = "VARCHAR"
    if isinstance(value, list):
        value_type = "STRUCT[]" if any(isinstance(element, dict | list) for element in value) else "VARCHAR[]"
    elif isinstance(value, dict):
        value_type = "STRUCT"
    elif value is None:
        return column_type or value_type
    return value_type if column_type in (None, "VARCHAR", value_type) else "STRUCT"


def _check_array_end(source: Source) -> None:
    """Raises DataError for an array that is cut off: DuckDB reads it without complaint."""
    end = b""
    with open_stream(source) as file:
        while block := file.read(1 << 20):
            end = (end + block)[-64:]
    if not end.rstrip().endswith(b"]"):
        raise DataError(f"{source.name}: the JSON array is cut off", "export the file again")

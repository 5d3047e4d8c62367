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
from lookalike.data.ingest.readers import mended_text, text_encoding
from lookalike.data.ingest.sources import Source, open_stream, read_head
from lookalike.data.ingest.staging import LINE, MALFORMED, RECORD, STAGED_ROWS, StagedRows, staged_columns
from lookalike.errors import DataError

_HEAD_SIZE: Final = 1 << 20
_MAX_LINE_SIZE: Final = 1 << 24
_SAMPLE_LINES: Final = 1000
_FAULT: Final = "__fault"  # column: why a line is rejected; empty for a JSON object, NULL for a blank line


@dataclass(frozen=True)
class JsonLines:
    source: Source  # as it was given
    text: Source  # as UTF-8
    encoding: str
    columns: dict[str, str]
    delimiter: str = ""

    @property
    def scan(self) -> str:
        names = list(self.columns)
        members = zip(self._members(names), names, strict=True)
        columns = ", ".join(f"{member} AS {quoted(name)}" for member, name in members)
        return f"(SELECT {columns} FROM {self._parts(names)} WHERE {_FAULT} = '')"

    @property
    def lines(self) -> str:
        """What stands after FROM to get the lines, or the elements of the array, as column `__text`."""
        file = sql.path_literal(self.text.path)
        compression = sql.literal(self.text.compression)
        if self.text.format == "json":
            return (
                f"(SELECT json::VARCHAR AS __text FROM read_json_objects({file}, format='array', "
                f"maximum_object_size={_MAX_LINE_SIZE}, compression={compression}, hive_partitioning=false))"
            )
        return (
            f"read_csv({file}, auto_detect=false, columns={{'__text': 'VARCHAR'}}, delim='', quote='', escape='', "
            f"header=false, strict_mode=false, ignore_errors=true, max_line_size={_MAX_LINE_SIZE}, "
            f"compression={compression}, hive_partitioning=false)"
        )

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        cells = ", ".join(
            f"{member} AS {cell}" for (cell, _), member in zip(staged_columns(names), self._members(names), strict=True)
        )
        connection.execute(f"CREATE TEMP TABLE {STAGED_ROWS} AS SELECT {_FAULT}, {cells} FROM {self._parts(names)}")
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT {RECORD} AS line, 'malformed line: ' || {_FAULT} AS reason "
            f"FROM {STAGED_ROWS} WHERE {_FAULT} <> ''"
        )
        row = connection.execute(f"SELECT count({_FAULT}), count(nullif({_FAULT}, '')) FROM {STAGED_ROWS}").fetchone()
        assert row is not None
        columns = ", ".join(f"{cell} AS {quoted(name)}" for cell, name in staged_columns(names))
        return StagedRows(
            scan=f"(SELECT {columns} FROM {STAGED_ROWS} WHERE {_FAULT} = '')",
            numbered=f"(SELECT {RECORD} AS {LINE}, {columns} FROM {STAGED_ROWS} WHERE {_FAULT} = '')",
            count=row[0],
            malformed=row[1],
        )

    def _members(self, names: list[str]) -> list[str]:
        """The members of each object as SQL expressions; a list of scalars as a list."""
        members = []
        for position, name in enumerate(names, start=1):
            cell = f"__cells[{position}]"
            if self.columns[name] == "VARCHAR[]":
                cell = f"json_transform(CASE WHEN json_valid({cell}) THEN {cell} END, '[\"VARCHAR\"]')"
            members.append(cell)
        return members

    def _parts(self, names: list[str]) -> str:
        pointers = sql.literals("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
        is_object = "json_valid(__text) AND starts_with(ltrim(__text), '{')"
        marks = sql.literals(mark.decode() for mark in (mended_text.NOT_UTF8, mended_text.TOO_LONG))
        fault = f"CASE WHEN {is_object} THEN '' WHEN __text IN ({marks}) THEN __text ELSE 'no JSON object' END"
        return (
            f"(SELECT CASE WHEN NOT regexp_full_match(__text, '\\s*') THEN {fault} END AS {_FAULT}, "
            f"CASE WHEN {is_object} THEN json_extract_string(__text, [{pointers}]) END AS __cells FROM {self.lines})"
        )


def open_jsonl(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> JsonLines:
    """The file with the members of its first objects. Raises DataError when it holds no object."""
    utf8 = text_encoding.as_utf8(source, read_head(source, _HEAD_SIZE), _MAX_LINE_SIZE, scratch)
    text, found = utf8.file, utf8.survey
    if source.format == "json":  # of an array DuckDB reads every element or none
        if found.other_bytes:
            raise DataError(f"{source.name}: the text is not valid {utf8.encoding}", "save it as UTF-8")
        _check_array_end(text, source.name)
    elif found.has_long_line or found.has_nul or found.other_bytes:
        text = mended_text.mended_lines(text, _MAX_LINE_SIZE, scratch)
    columns: dict[str, str] = {}
    query = f"SELECT __text FROM {JsonLines(source, text, '', {}).lines} WHERE json_valid(__text) LIMIT {_SAMPLE_LINES}"
    for (line,) in connection.execute(query).fetchall():
        value = _first_level(line)
        for name, member in value.items() if isinstance(value, dict) else ():
            columns[name] = _wider_type(columns.get(name), member)
    if not columns:
        raise DataError(f"{source.name}: no JSON object was found", "give one JSON object on each line")
    return JsonLines(source, text, utf8.encoding, columns)


def _first_level(line: str) -> object:
    """The value, with texts instead of numbers, whose digits Python limits; None where it is nested too deeply for Python,
    or only DuckDB takes it for JSON (`NAN`)."""
    try:
        return json.loads(line, parse_int=str, parse_float=str)
    except (RecursionError, ValueError):
        return None


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


def _check_array_end(text: Source, name: str) -> None:
    """Raises DataError for an array that is cut off: DuckDB reads it without complaint. `name` is that of the file, of which
    the text may be a copy."""
    end = b""
    with open_stream(text) as file:
        while block := file.read(1 << 20):
            end = (end + block)[-64:]
    if not end.rstrip().endswith(b"]"):
        raise DataError(f"{name}: the JSON array is cut off", "export the file again")

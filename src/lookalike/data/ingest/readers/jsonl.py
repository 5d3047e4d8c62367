"""JSON lines, and files that are one array of objects. The members of the outermost object are the columns.

Lines are read as text and taken apart by JSON pointers: DuckDB's own reader turns a malformed line into a row of NULLs
when it is told to go on.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.readers import text_encoding
from lookalike.data.ingest.sources import Source, open_stream, read_head
from lookalike.data.ingest.staging import LINE, MALFORMED, RECORD, STAGED, StagedRows
from lookalike.errors import DataError

_SAMPLE = 1 << 20


_MAX_LINE = 1 << 24


_GOOD = "__good"  # NULL for a blank line


@dataclass(frozen=True)
class JsonLines:
    source: Source  # as it was given
    text: Source  # as UTF-8
    columns: dict[str, str]
    delimiter: str = ""

    @property
    def scan(self) -> str:
        return f"(SELECT {self._members(list(self.columns))} FROM {self._parts(list(self.columns))} WHERE {_GOOD})"

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        connection.execute(
            f"CREATE TEMP TABLE {STAGED} AS SELECT {_GOOD}, {self._members(names)} FROM {self._parts(names)}"
        )
        connection.execute(
            f"CREATE TEMP TABLE {MALFORMED} AS SELECT {RECORD} AS line, 'malformed line: no JSON object' AS reason "
            f"FROM {STAGED} WHERE NOT {_GOOD}"
        )
        row = connection.execute(f"SELECT count({_GOOD}), count(*) FILTER (NOT {_GOOD}) FROM {STAGED}").fetchone()
        assert row is not None
        columns = ", ".join(quoted(name) for name in names)
        return StagedRows(
            scan=f"(SELECT {columns} FROM {STAGED} WHERE {_GOOD})",
            numbered=f"(SELECT {RECORD} AS {LINE}, {columns} FROM {STAGED} WHERE {_GOOD})",
            count=row[0],
            malformed=row[1],
        )

    def _members(self, names: list[str]) -> str:
        parts = []
        for position, name in enumerate(names, start=1):
            cell = f"__cells[{position}]"
            if self.columns[name] == "VARCHAR[]":
                cell = f"json_transform(CASE WHEN json_valid({cell}) THEN {cell} END, '[\"VARCHAR\"]')"
            parts.append(f"{cell} AS {quoted(name)}")
        return ", ".join(parts)

    def _parts(self, names: list[str]) -> str:
        pointers = sql.literals("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
        good = "json_valid(__text) AND starts_with(ltrim(__text), '{')"
        return (
            f"(SELECT CASE WHEN trim(__text) <> '' THEN {good} END AS {_GOOD}, "
            f"CASE WHEN {good} THEN json_extract_string(__text, [{pointers}]) END AS __cells FROM {self._lines()})"
        )

    def _lines(self) -> str:
        file = sql.file(self.text.path)
        packed = sql.literal(self.text.compression)
        if self.text.format == "json":
            return (
                f"(SELECT json::VARCHAR AS __text FROM read_json_objects({file}, format='array', "
                f"maximum_object_size={_MAX_LINE}, compression={packed}))"
            )
        return (
            f"read_csv({file}, auto_detect=false, columns={{'__text': 'VARCHAR'}}, delim='', quote='', escape='', "
            f"header=false, strict_mode=false, ignore_errors=true, max_line_size={_MAX_LINE}, compression={packed})"
        )


def describe_jsonl(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> JsonLines:
    """The file with the members its first objects have. Raises DataError when there is no object in it."""
    start = read_head(source, _SAMPLE)
    name = text_encoding.detect_encoding(start)
    plain = source if name == "utf-8" else text_encoding.copy_as_utf8(source, name, scratch)
    if source.format == "json":
        _check_end(plain)
    lines = JsonLines(source, plain, {})
    columns: dict[str, str] = {}
    query = f"SELECT __text FROM {lines._lines()} WHERE json_valid(__text) LIMIT 1000"
    for (line,) in connection.execute(query).fetchall():
        found = json.loads(line)
        for key, value in found.items() if isinstance(found, dict) else ():
            columns[key] = _wider(columns.get(key), value)
    if not columns:
        raise DataError(f"{source.name}: no JSON object was found", "give one JSON object on each line")
    return JsonLines(source, plain, columns)


def _wider(known: str | None, value: object) -> str:
    kind = "VARCHAR"
    if isinstance(value, list):
        kind = "STRUCT[]" if any(isinstance(one, dict | list) for one in value) else "VARCHAR[]"
    elif isinstance(value, dict):
        kind = "STRUCT"
    elif value is None:
        return known or kind
    return kind if known in (None, "VARCHAR", kind) else "STRUCT"


def _check_end(source: Source) -> None:
    """DuckDB reads an array that breaks off without a word."""
    end = b""
    with open_stream(source) as file:
        while block := file.read(1 << 20):
            end = (end + block)[-64:]
    if not end.rstrip().endswith(b"]"):
        raise DataError(f"{source.name}: the JSON array is cut off", "export the file again")

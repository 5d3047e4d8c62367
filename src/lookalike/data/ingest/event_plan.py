"""How one event file is read: its reader, the mapping of its columns, the format of its times and numbers."""

from dataclasses import dataclass
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import column_mapping, sql, timestamps
from lookalike.data.ingest.cells import (
    bounded,
    clean_text,
    finite_or_null,
    has_decimal_comma,
    is_empty,
    parse_number,
    was_cut,
    without_null_words,
)
from lookalike.data.ingest.column_mapping import ColumnMapping
from lookalike.data.ingest.id_cells import id_text
from lookalike.data.ingest.options import UNIT_PRICE, IngestOptions
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.staging import LINE, drop_staged
from lookalike.data.schema import CONTEXT_SLOTS, DEFAULT_EVENT_TYPE, EVENT_FIELDS, ID_FIELDS, ITEM_KEY, USER_KEY
from lookalike.errors import DataError

_ID_FIELDS: Final = (USER_KEY, ITEM_KEY)
_NUMERIC_FIELDS: Final = ("value", "quantity", UNIT_PRICE)
_NO_LIMIT: Final = f"LIMIT {2**62}"


@dataclass(frozen=True)
class EventPlan:
    reader: Reader
    mapping: ColumnMapping
    time: timestamps.TimeFormat
    decimal_comma: frozenset[str]  # columns whose numbers have a decimal comma

    @property
    def column_names(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys(self.mapping.columns.values()))

    @property
    def fields(self) -> tuple[str, ...]:
        """What is stored: the event fields, and the slots of the context columns that the file has."""
        return (*EVENT_FIELDS, *(slot for slot in CONTEXT_SLOTS if slot in self.mapping.columns))

    def canonical(self, scan: str, *, numbered: bool = False) -> str:
        """A SELECT of the fields and of `__no_time`, which the reject reason needs; and of the line if the scan has it.

        The nested query ends in a limit that changes nothing: without it DuckDB computes every expression again
        wherever it is used, also in the caller's condition, which takes three times as long.
        """
        time = quoted(self.mapping.columns["ts"])
        no_time = is_empty(time, self._kind("ts"))
        line = f", {LINE}" if numbered else ""
        raw = ", ".join(f"{self._raw(name)} AS {name}" for name in self.fields)
        cleaned = ", ".join(f"{self._cleaned(name)} AS {name}" for name in self.fields)
        return (
            f"SELECT {cleaned}, __no_time{line} "
            f"FROM (SELECT {raw}, {no_time} AS __no_time{line} FROM {scan}) {_NO_LIMIT}"
        )

    def time_column(self, connection: duckdb.DuckDBPyConnection, scan: str) -> timestamps.TimeColumn:
        return timestamps.TimeColumn(
            connection, scan, self.mapping.columns["ts"], self._kind("ts"), self.reader.source.name
        )

    def unreadable_number(self) -> str:
        """An SQL condition: a cell of value, quantity or price is filled and not a number. Empty without such text."""
        conditions = [
            f"({quoted(column)} IS NOT NULL AND {self._number(name)} IS NULL)"
            for name, column in self.mapping.columns.items()
            if name in _NUMERIC_FIELDS and self._kind(name) == "VARCHAR"
        ]
        return " OR ".join(conditions)

    def cut_texts(self) -> dict[str, str]:
        """Column -> an SQL condition over the staged events: its text was cut."""
        texts = (name for name in self.mapping.columns if name in self.fields and name not in ID_FIELDS)
        return {
            self.mapping.columns[name]: was_cut(name)
            for name in texts
            if EVENT_FIELDS.get(name, "VARCHAR") == "VARCHAR"
        }

    def _kind(self, name: str) -> str:
        return self.reader.columns[self.mapping.columns[name]]

    def _raw(self, name: str) -> str:
        """The field as its type, before special values are replaced."""
        if name == "ts":
            return self.time.expression
        if name == "value" and self.mapping.derives_value:
            return f"{self._number('quantity')} * {self._number(UNIT_PRICE)}"
        if name not in self.mapping.columns:
            return f"NULL::{EVENT_FIELDS[name]}"
        if EVENT_FIELDS.get(name) == "DOUBLE":
            return self._number(name)
        as_text = id_text if name in _ID_FIELDS else clean_text
        return as_text(self.mapping.columns[name], self._kind(name))

    def _cleaned(self, name: str) -> str:
        """The field with infinite numbers, null words and a missing event type replaced."""
        if name in ("user_id", "ts"):  # placeholders for a user are recognised by the reject reason
            return name
        if name not in self.mapping.columns and not (name == "value" and self.mapping.derives_value):
            return sql.literal(DEFAULT_EVENT_TYPE) if name == "event_type" else name
        if EVENT_FIELDS.get(name) == "DOUBLE":
            return finite_or_null(name)
        text = without_null_words(name)
        text = text if name in ID_FIELDS else bounded(name, text)
        return f"coalesce({text}, {sql.literal(DEFAULT_EVENT_TYPE)})" if name == "event_type" else text

    def _number(self, name: str) -> str:
        column = self.mapping.columns[name]
        return parse_number(column, self._kind(name), column in self.decimal_comma)


def plan_events(connection: duckdb.DuckDBPyConnection, reader: Reader, options: IngestOptions) -> EventPlan:
    """How an event file will be read. Raises DataError when it cannot be."""
    file_name = reader.source.name
    mapping = column_mapping.map_event_columns(reader.columns, options.mapping, options.context, file_name)
    columns = mapping.columns
    _check_rows(connection, reader, list(columns.values()))
    time_column = timestamps.TimeColumn(
        connection, reader.scan, columns["ts"], reader.columns[columns["ts"]], file_name
    )
    time = timestamps.detect_format(time_column, options.timezone)
    text_numbers = [
        columns[name] for name in _NUMERIC_FIELDS if name in columns and reader.columns[columns[name]] == "VARCHAR"
    ]
    decimal_comma = frozenset(name for name in text_numbers if has_decimal_comma(connection, reader, name))
    return EventPlan(reader, mapping, time, decimal_comma)


def _check_rows(connection: duckdb.DuckDBPyConnection, reader: Reader, names: list[str]) -> None:
    """Raises DataError when the file has no row that can be read."""
    if connection.execute(f"SELECT 1 FROM {reader.scan} LIMIT 1").fetchone():
        return
    try:
        rows = reader.stage(connection, names)  # counts the malformed lines
    finally:
        drop_staged(connection)
    if rows.count:
        raise DataError(f"{reader.source.name}: all {rows.count:,} lines are malformed", "export the file again")
    raise DataError(f"{reader.source.name}: the file has no rows", "leave it out, or export it again")

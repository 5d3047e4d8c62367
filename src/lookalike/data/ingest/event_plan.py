"""One file with all that is needed to load it: reader, mapping, times; and the SQL of the canonical columns."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import column_mapping, sql, timestamps
from lookalike.data.ingest.column_mapping import ColumnMapping
from lookalike.data.ingest.options import UNIT_PRICE, IngestOptions
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.staging import LINE, drop_staged
from lookalike.data.ingest.synonyms import word_list
from lookalike.data.schema import CONTEXT_SLOTS, DEFAULT_EVENT_TYPE, EVENT_FIELDS, MAX_ID_LENGTH
from lookalike.errors import DataError

# Cut from both ends of every text. Trimming is ten times dearer than looking whether there is something to trim.
WHITESPACE: Final = " \t\n\r\f\v\u00a0\u3000\ufeff"


_EDGE: Final = "^[\\s\\x0b\\x{00a0}\\x{3000}\\x{feff}]|[\\s\\x0b\\x{00a0}\\x{3000}\\x{feff}]$"


# A number with what a till prints around it: sign, currency, marks between thousands, brackets.
_AMOUNT: Final = r"\s*\(?[+-]?\s*([A-Z]{3}|\p{Sc})?\s*[+-]?[0-9.,][0-9.,' \x{00a0}]*([A-Z]{3}|\p{Sc})?\)?\s*"


_NUMERIC: Final = ("FLOAT", "DOUBLE", "DECIMAL")


_BARRIER: Final = f"LIMIT {2**62}"


_EARLIEST: Final = "TIMESTAMP '2000-01-01'"


# Reasons of rejects. The user's are facts of a log (guests); the others are faults of the file.
NO_USER: Final = "empty user_id"


PLACEHOLDER: Final = "placeholder user_id"


LONG_USER: Final = "user_id over 10,000 characters"


LONG_ITEM: Final = "item_id over 10,000 characters"


NO_TIME: Final = "empty time"


UNREADABLE_TIME: Final = "unreadable time"


EARLY_TIME: Final = "time before 2000"


FUTURE_TIME: Final = "time in the future"


MALFORMED: Final = "malformed line"  # with DuckDB's word for the fault behind it


FAULTS: Final = (NO_TIME, UNREADABLE_TIME, EARLY_TIME, FUTURE_TIME, MALFORMED)


@dataclass(frozen=True)
class EventPlan:
    reader: Reader
    mapping: ColumnMapping
    time: timestamps.TimeFormat
    comma: frozenset[str]  # columns whose numbers have a decimal comma

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys(self.mapping.columns.values()))

    @property
    def fields(self) -> tuple[str, ...]:
        """What is stored: the event fields, and the slots of the declared columns that the file has."""
        return (*EVENT_FIELDS, *(slot for slot in CONTEXT_SLOTS if slot in self.mapping.columns))

    def canonical(self, scan: str) -> str:
        """A SELECT of the event fields, with the column that `reason` needs, and the line where `scan` has it.

        Two steps, and a limit that is none: DuckDB would else work out every expression again for each place that uses
        it, the condition of the caller among them, which takes three times as long.
        """
        time = quoted(self.mapping.columns["ts"])
        missing = f"{time} IS NULL" if self._kind("ts") != "VARCHAR" else f"trim(coalesce({time}, '')) = ''"
        line = f", {LINE}" if LINE in scan else ""
        raw = ", ".join(f"{self._raw(name)} AS {name}" for name in self.fields)
        fields = ", ".join(f"{self._refined(name)} AS {name}" for name in self.fields)
        return (
            f"SELECT {fields}, __no_time{line} FROM (SELECT {raw}, {missing} AS __no_time{line} FROM {scan}) {_BARRIER}"
        )

    def time_column(self, connection: duckdb.DuckDBPyConnection, scan: str) -> timestamps.TimeColumn:
        return timestamps.TimeColumn(
            connection, scan, self.mapping.columns["ts"], self._kind("ts"), self.reader.source.name
        )

    def unreadable_numbers(self) -> str:
        """A condition: a cell of value, quantity or price is there and no number."""
        found = [
            f"({quoted(column)} IS NOT NULL AND {self._number(name)} IS NULL)"
            for name, column in self.mapping.columns.items()
            if name in ("value", "quantity", UNIT_PRICE) and self._kind(name) == "VARCHAR"
        ]
        return " OR ".join(found)

    def _kind(self, name: str) -> str:
        return self.reader.columns[self.mapping.columns[name]]

    def _raw(self, name: str) -> str:
        if name == "ts":
            return self.time.expression
        if name == "value" and self.mapping.value_is_derived:
            return f"{self._number('quantity')} * {self._number(UNIT_PRICE)}"
        if name not in self.mapping.columns:
            return f"NULL::{EVENT_FIELDS[name]}"
        if EVENT_FIELDS.get(name) == "DOUBLE":
            return self._number(name)
        return clean_text(self.mapping.columns[name], self._kind(name))

    def _refined(self, name: str) -> str:
        if name in ("user_id", "ts"):  # a user's words for "nobody" are told apart by `reason`
            return name
        if name not in self.mapping.columns and not (name == "value" and self.mapping.value_is_derived):
            return sql.literal(DEFAULT_EVENT_TYPE) if name == "event_type" else name
        if EVENT_FIELDS.get(name) == "DOUBLE":
            return finite_or_null(name)
        text = without_null_words(name)
        return f"coalesce({text}, {sql.literal(DEFAULT_EVENT_TYPE)})" if name == "event_type" else text

    def _number(self, name: str) -> str:
        column = self.mapping.columns[name]
        return parse_number(column, self._kind(name), column in self.comma)


def plan_events(connection: duckdb.DuckDBPyConnection, reader: Reader, options: IngestOptions) -> EventPlan:
    """How an event file will be read. Raises DataError when it cannot be."""
    where = reader.source.name
    found = column_mapping.map_event_columns(reader.columns, options.mapping, options.context, where)
    _check_rows(connection, reader, list(found.columns.values()))
    column = timestamps.TimeColumn(
        connection, reader.scan, found.columns["ts"], reader.columns[found.columns["ts"]], where
    )
    written = timestamps.detect_format(column, options.timezone)
    numbers = [
        found.columns[name]
        for name in ("value", "quantity", UNIT_PRICE)
        if name in found.columns and reader.columns[found.columns[name]] == "VARCHAR"
    ]
    comma = frozenset(name for name in numbers if has_decimal_comma(connection, reader, name))
    return EventPlan(reader, found, written, comma)


def _check_rows(connection: duckdb.DuckDBPyConnection, reader: Reader, names: list[str]) -> None:
    """Raises DataError when the file has no row that can be looked at."""
    if connection.execute(f"SELECT 1 FROM {reader.scan} LIMIT 1").fetchone():
        return
    try:
        rows = reader.stage(connection, names)  # knows why
    finally:
        drop_staged(connection)
    if rows.count:
        raise DataError(f"{reader.source.name}: all {rows.count:,} lines are malformed", "export the file again")
    raise DataError(f"{reader.source.name}: the file has no rows", "leave it out, or export it again")


def reject_reason(moment: datetime) -> str:
    """An expression over `canonical`: why a row is rejected, NULL when it is not. `moment` is now."""
    limit = sql.literal((moment.astimezone(UTC) + timedelta(hours=24)).strftime("%Y-%m-%d %H:%M:%S"))
    placeholder = (
        f"(strlen(user_id) <= 16 AND lower(user_id) IN ({sql.literals(word_list('placeholder_ids'))})) "
        "OR (starts_with(user_id, '0') AND ltrim(user_id, '0-') = '')"
    )
    too_long = "strlen({0}) > {1} AND length({0}) > {1}"
    return (
        f"CASE WHEN user_id IS NULL THEN '{NO_USER}' WHEN {placeholder} THEN '{PLACEHOLDER}' "
        f"WHEN {too_long.format('user_id', MAX_ID_LENGTH)} THEN '{LONG_USER}' "
        f"WHEN {too_long.format('item_id', MAX_ID_LENGTH)} THEN '{LONG_ITEM}' WHEN __no_time THEN '{NO_TIME}' "
        f"WHEN ts IS NULL THEN '{UNREADABLE_TIME}' WHEN ts < {_EARLIEST} THEN '{EARLY_TIME}' "
        f"WHEN ts > TIMESTAMP {limit} THEN '{FUTURE_TIME}' END"
    )


def clean_text(column: str, kind: str) -> str:
    """A column as text without whitespace around it; NULL when nothing is left. Whole floats lose their '.0'."""
    name = quoted(column)
    if kind.startswith(_NUMERIC):
        whole = f"{name} = trunc({name}) AND abs({name}) < 9007199254740992"
        return f"CASE WHEN {whole} THEN {name}::BIGINT::VARCHAR ELSE {name}::VARCHAR END"
    if kind != "VARCHAR":
        return f"{name}::VARCHAR"
    edge = sql.literal(_EDGE)
    trimmed = f"trim({name}, {sql.literal(WHITESPACE)})"
    return f"nullif(CASE WHEN regexp_matches({name}, {edge}) THEN {trimmed} ELSE {name} END, '')"


def without_null_words(text: str) -> str:
    return f"CASE WHEN strlen({text}) > 9 OR lower({text}) NOT IN ({sql.literals(word_list('null_words'))}) THEN {text} END"


def parse_number(column: str, kind: str, comma: bool) -> str:
    """A column as a double; NULL where it is none. Text may carry a currency and marks between thousands."""
    name = quoted(column)
    if kind != "VARCHAR":
        return f"TRY_CAST({name} AS DOUBLE)"
    signed = f"regexp_replace({name}, '^\\s*\\((.*)\\)\\s*$', '-\\1')"  # bookkeepers write (2.50) for -2.50
    digits = f"regexp_replace({signed}, '[^0-9,.+-]', '', 'g')"
    bare = f"replace(replace({digits}, '.', ''), ',', '.')" if comma else f"replace({digits}, ',', '')"
    amount = f"CASE WHEN regexp_full_match({name}, {sql.literal(_AMOUNT)}) THEN TRY_CAST({bare} AS DOUBLE) END"
    return amount if comma else f"coalesce(TRY_CAST({name} AS DOUBLE), {amount})"


def finite_or_null(expression: str) -> str:
    return f"CASE WHEN isfinite({expression}) THEN {expression} END"


def has_decimal_comma(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str) -> bool:
    if reader.delimiter == ",":
        return False
    row = connection.execute(
        "SELECT count(*) FILTER (regexp_matches(t, '\\d,\\d+$')), count(*) FILTER (regexp_matches(t, '\\d\\.\\d+$')) "
        f"FROM (SELECT trim({quoted(column)}, ' €$£\u00a0') AS t FROM {reader.scan} LIMIT 10000)"
    ).fetchone()
    assert row is not None
    return bool(row[0] > row[1])

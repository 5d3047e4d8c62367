"""Items and users tables: one key, and every other column as rows of (attribute, value).

What a column becomes follows from what is in it: a list gives a row an element, numbers become tenths of the table,
text of several words becomes words, few values stay as they are. Identifiers say nothing about likeness and are left
out; personal data are never stored.
"""

from dataclasses import dataclass
from typing import Final, Literal

import duckdb

from lookalike.data.database import Database, quoted
from lookalike.data.ingest import column_mapping, sql
from lookalike.data.ingest.column_mapping import is_personal_name
from lookalike.data.ingest.event_plan import clean_text, finite_or_null, parse_number, without_null_words
from lookalike.data.ingest.load_events import FileEntry, next_file_id, record_file
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.results import Check, FileReport
from lookalike.data.ingest.staging import KEYED, KEYS, LINE, MALFORMED, StagedRows, drop_staged
from lookalike.data.ingest.synonyms import column_names, normalised, word_list
from lookalike.data.schema import ITEM_KEY, MAX_ID_LENGTH, USER_KEY, WORD
from lookalike.errors import DataError

EMAIL: Final = "^[^@\\s]+@[^@\\s]+\\.[A-Za-z]{2,}$"


PHONE: Final = "^(\\+|00)[1-9][0-9 ()./-]{7,18}$"


_MANY_NUMBERS = 20  # distinct numbers from which on they are amounts


_MOSTLY = 0.5  # distinct share from which on text names single rows


_FEW_ROWS = 20


_LONGEST_VALUE = 200


_PERSONAL_SHARE = 0.1


_LIST = "VARCHAR[]"


_TENTHS = [tenth / 10 for tenth in range(1, 10)]


Shape = Literal["list", "tenths", "words", "value", "identifier", "personal", "nested", "empty"]


@dataclass(frozen=True)
class TablePlan:
    reader: Reader
    key: str  # item_id or user_id
    column: str  # that holds it
    title: str | None
    price: str | None
    notes: list[str]

    @property
    def others(self) -> list[str]:
        return [name for name in self.reader.columns if name != self.column]

    @property
    def mapping(self) -> dict[str, str]:
        found = {self.key: self.column, "title": self.title, "price": self.price}
        return {name: column for name, column in found.items() if column}


def plan_table(reader: Reader, key: str, given: dict[str, str]) -> TablePlan:
    """How an items or users table will be read. Raises DataError when it has no key."""
    column, notes = column_mapping.find_key_column(reader.columns, key, given, reader.source.name)
    if key == USER_KEY:
        return TablePlan(reader, key, column, None, None, notes)
    found, more = column_mapping.match_columns(
        [name for name in reader.columns if name != column], column_names("items"), {}
    )
    return TablePlan(reader, key, column, found.get("title"), found.get("price"), notes + more)


def load_table(store: Database, plan: TablePlan, entry: FileEntry) -> tuple[FileReport, list[Check]]:
    """Puts the table in place of what was known of its keys, all or nothing. Raises DataError."""
    try:
        rows = plan.reader.stage(store.connection, list(plan.reader.columns))
        if not rows.count:
            raise DataError(f"{entry.name}: the file has no rows", "leave it out, or export it again")
        usable = _collect(store, plan, rows)
        if not usable:
            raise DataError(
                f"{entry.name}: no row has a usable {plan.key}", f"name its column with --map {plan.key}=COLUMN"
            )
        shapes = {name: _shape(store.connection, plan, name) for name in plan.others}
        with store.transaction():
            file_id = next_file_id(store)
            rejected = _write_rejects(store, plan, rows, file_id)
            distinct = _replace(store, plan, shapes)
            unused = [name for name, shape in shapes.items() if shape in ("identifier", "personal", "nested", "empty")]
            report = FileReport(
                name=entry.name,
                kind=entry.kind,
                rows=rows.count,
                added=distinct,
                duplicates=usable - distinct,
                rejected=rejected,
                mapping=plan.mapping,
                unused=unused,
            )
            record_file(store, file_id, report, entry)
    finally:
        drop_staged(store.connection)
    return report, _checks(entry.kind, shapes, usable)


def _key(plan: TablePlan) -> str:
    text = clean_text(plan.column, plan.reader.columns[plan.column])
    return without_null_words(text)


def _collect(store: Database, plan: TablePlan, rows: StagedRows) -> int:
    """Rows with a usable key, the key beside the columns as __key, the order as __line; and the last row of each key."""
    columns = ", ".join(quoted(name) for name in plan.others)
    store.connection.execute(
        f"CREATE TEMP TABLE {KEYED} AS SELECT * FROM (SELECT {_key(plan)} AS __key, {LINE}"
        f"{', ' + columns if columns else ''} FROM {rows.numbered}) "
        f"WHERE __key IS NOT NULL AND length(__key) <= {MAX_ID_LENGTH}"
    )
    store.connection.execute(
        f"CREATE TEMP TABLE {KEYS} AS SELECT __key, max({LINE}) AS {LINE} FROM {KEYED} GROUP BY __key"
    )
    return int(store.rows(f"SELECT count(*) FROM {KEYED}")[0][0])


def _write_rejects(store: Database, plan: TablePlan, rows: StagedRows, file_id: int) -> dict[str, int]:
    store.connection.execute(
        f"INSERT INTO rejects SELECT {file_id}, {LINE}, reason FROM (SELECT {LINE}, CASE WHEN key IS NULL "
        f"THEN 'empty {plan.key}' WHEN length(key) > {MAX_ID_LENGTH} THEN '{plan.key} over 10,000 characters' END "
        f"AS reason FROM (SELECT {LINE}, {_key(plan)} AS key FROM {rows.numbered})) WHERE reason IS NOT NULL"
    )
    if rows.malformed:
        store.connection.execute(f"INSERT INTO rejects SELECT {file_id}, line, reason FROM {MALFORMED}")
    counts = store.rows("SELECT reason, count(*) FROM rejects WHERE file_id = ? GROUP BY reason ORDER BY 1", file_id)
    return dict(counts)


def _replace(store: Database, plan: TablePlan, shapes: dict[str, Shape]) -> int:
    """Writes keys and attributes; gives back how many keys."""
    run = store.connection.execute
    table = "items" if plan.key == ITEM_KEY else "users"
    attributes = f"{table[:-1]}_attributes"
    run(f"DELETE FROM {attributes} WHERE {plan.key} IN (SELECT __key FROM {KEYS})")
    if table == "users":
        run(f"INSERT INTO users SELECT __key FROM {KEYS} ON CONFLICT DO NOTHING")
    else:
        title = _text(plan, plan.title) if plan.title else "NULL"
        price = (
            finite_or_null(parse_number(plan.price, plan.reader.columns[plan.price], False)) if plan.price else "NULL"
        )
        run(
            f"INSERT INTO items SELECT __key, {title}, {price} FROM {KEYED} "
            f"SEMI JOIN {KEYS} USING (__key, {LINE}) "
            "ON CONFLICT DO UPDATE SET title = excluded.title, price = excluded.price"
        )
    for column, shape in shapes.items():
        for name, values in _values(plan, column, shape):
            run(f"INSERT INTO {attributes} SELECT DISTINCT __key, {sql.literal(name)}, v FROM ({values}) WHERE v <> ''")
    return int(store.rows(f"SELECT count(*) FROM {KEYS}")[0][0])


def _values(plan: TablePlan, column: str, shape: Shape) -> list[tuple[str, str]]:
    """(attribute, query that gives __key and v) of one column; none when it is not stored."""
    name = column if column != WORD else f"{WORD}_column"
    if shape == "list":
        text = f"left(trim(unnest({quoted(column)}::{_LIST})), {_LONGEST_VALUE})"
        return [(name, f"SELECT __key, {text} AS v FROM {KEYED}")]
    if shape == "tenths":
        amounts = f"(SELECT __key, {_amount(plan, column)} AS x FROM {KEYED})"
        edges = f"(SELECT list_distinct(quantile_cont(x, {_TENTHS})) AS edges FROM {amounts})"
        tenth = "lpad((1 + len(list_filter(edges, lambda edge: edge < x)))::VARCHAR, 2, '0')"
        return [(name, f"SELECT __key, 'q' || {tenth} AS v FROM {amounts}, {edges} WHERE x IS NOT NULL")]
    if shape == "words":
        split = f"regexp_extract_all(lower({_text(plan, column)}), '\\p{{L}}[\\p{{L}}\\p{{M}}]+')"
        stop = sql.literals(word_list("stop_words"))
        return [(WORD, f"SELECT * FROM (SELECT __key, unnest({split}) AS v FROM {KEYED}) WHERE v NOT IN ({stop})")]
    if shape == "value":
        return [(name, f"SELECT __key, {_text(plan, column)} AS v FROM {KEYED}")]
    return []


def _shape(connection: duckdb.DuckDBPyConnection, plan: TablePlan, column: str) -> Shape:
    kind = plan.reader.columns[column]
    if is_personal_name(column):
        return "personal"
    if kind.endswith("[]"):
        return "nested" if kind.endswith("[][]") or kind.startswith("STRUCT") else "list"
    if kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")) or kind in ("BLOB", "JSON"):
        return "nested"
    text = f"SELECT {_text(plan, column)} AS t, {_amount(plan, column)} AS x FROM {KEYED}"
    row = connection.execute(
        f"SELECT count(t), count(DISTINCT t), count(x), avg((t SIMILAR TO '.*\\S\\s+\\S.*')::INT), max(length(t)), "
        f"count(*) FILTER (regexp_matches(t, '{EMAIL}') OR regexp_matches(t, '{PHONE}')) / count(t), "
        f"avg(starts_with(t, '{{')::INT) FROM ({text})"
    ).fetchone()
    assert row is not None
    count, distinct, numbers, several, longest, personal, objects = row
    if not count:
        return "empty"
    if personal > _PERSONAL_SHARE:
        return "personal"
    if objects > _MOSTLY:
        return "nested"
    single = distinct > _MOSTLY * count and distinct > _FEW_ROWS
    if numbers == count and not _names_things(column):
        return "tenths" if distinct > _MANY_NUMBERS else "value"
    if column == plan.title or (several > _MOSTLY and single):
        return "words"
    return "identifier" if single or longest > _LONGEST_VALUE else "value"


def _names_things(column: str) -> bool:
    """Whether numbers in the column are names: they end in id, code, number ..."""
    last = column.replace("-", "_").replace(" ", "_").split("_")[-1]
    return normalised(last) in word_list("identifier_names") or column.endswith(("Id", "ID", "Code"))


def _text(plan: TablePlan, column: str) -> str:
    return without_null_words(clean_text(column, plan.reader.columns[column]))


def _amount(plan: TablePlan, column: str) -> str:
    """A number, or the seconds of a date; NULL for other text. Stricter than an event's value: '12 cm' is none."""
    kind = plan.reader.columns[column]
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"epoch({quoted(column)})"
    if kind in ("BOOLEAN", "UUID", "BLOB", "INTERVAL") or kind.startswith("TIME"):
        return "NULL::DOUBLE"
    return f"(SELECT CASE WHEN isfinite(n) THEN n END FROM (SELECT TRY_CAST({quoted(column)} AS DOUBLE) AS n))"


def _checks(kind: str, shapes: dict[str, Shape], rows: int) -> list[Check]:
    checks: list[Check] = []
    for shape, severity, text in (
        ("personal", "warning", "look like personal data and were not stored"),
        ("identifier", "note", "differ in nearly every row, say nothing about likeness and were not stored"),
        ("nested", "note", "hold nested values and were not stored"),
    ):
        names = [name for name, found in shapes.items() if found == shape]
        if names:
            message = f"{kind}: columns {text}: {', '.join(names)}"
            checks.append(Check(f"{shape}_columns", severity, rows, 1.0, message))  # type: ignore[arg-type]
    return checks

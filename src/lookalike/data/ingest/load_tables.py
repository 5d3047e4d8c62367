"""Stores a table of items or users: its keys, and every other column as attributes."""

from dataclasses import dataclass
from typing import Final, Literal

from lookalike.data.database import Database, quoted
from lookalike.data.ingest import attributes, column_mapping, removal, sql
from lookalike.data.ingest.attributes import NOT_STORED, Shape, clean_value
from lookalike.data.ingest.cells import bounded, finite_or_null, parse_number, without_null_words
from lookalike.data.ingest.file_records import FileEntry, next_file_id, record_file, reject_counts
from lookalike.data.ingest.id_cells import id_text, is_placeholder
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.results import AmbiguousField, DroppedColumns, FileReport, Severity
from lookalike.data.ingest.staging import KEYED_ROWS, LAST_ROWS, LINE, MALFORMED, StagedRows, drop_staged
from lookalike.data.ingest.synonyms import column_names
from lookalike.data.schema import ITEM_KEY, MAX_ID_LENGTH, USER_KEY
from lookalike.errors import DataError

TableKind = Literal["items", "users"]


@dataclass(frozen=True)
class TablePlan:
    """How a table of items or users is read."""

    reader: Reader
    kind: TableKind
    key_column: str
    title: str | None  # columns, of items
    price: str | None
    notes: tuple[AmbiguousField, ...]

    @property
    def key(self) -> str:
        return ITEM_KEY if self.kind == "items" else USER_KEY

    @property
    def clean_key(self) -> str:
        """The key in SQL, NULL where it is empty or stands for nobody."""
        text = id_text(self.key_column, self.reader.columns[self.key_column])
        if self.kind == "items":
            return without_null_words(text)
        return f"CASE WHEN NOT {is_placeholder(text)} THEN {text} END"

    @property
    def attribute_columns(self) -> list[str]:
        return [name for name in self.reader.columns if name != self.key_column]

    @property
    def mapping(self) -> dict[str, str]:
        columns = {self.key: self.key_column, "title": self.title, "price": self.price}
        return {name: column for name, column in columns.items() if column}

    def cleaned(self, column: str) -> str:
        """The column as clean text, in SQL."""
        return clean_value(column, self.reader.columns[column])


def plan_table(reader: Reader, kind: TableKind, requested: dict[str, str]) -> TablePlan:
    """How a table will be read. Raises DataError when it has no key column."""
    key = ITEM_KEY if kind == "items" else USER_KEY
    column, notes = column_mapping.find_key_column(reader.columns, key, requested, reader.source.name)
    if kind == "users":
        return TablePlan(reader, kind, column, None, None, tuple(notes))
    candidates = [name for name in reader.columns if name != column]
    fields, more_notes = column_mapping.match_columns(candidates, column_names("items"), {})
    return TablePlan(reader, kind, column, fields.get("title"), fields.get("price"), (*notes, *more_notes))


def load_table(database: Database, plan: TablePlan, entry: FileEntry) -> tuple[FileReport, list[DroppedColumns]]:
    """Replaces what is stored about the table's keys, all or nothing. Raises DataError."""
    try:
        rows = plan.reader.stage(database.connection, list(plan.reader.columns))
        if not rows.count:
            raise DataError(f"{entry.name}: the file has no rows", "leave it out, or export it again")
        usable = _create_keyed_rows(database, plan, rows)
        if not usable:
            raise DataError(
                f"{entry.name}: no row has a usable {plan.key}", f"name its column with --map {plan.key}=COLUMN"
            )
        shapes = {
            name: attributes.column_shape(database.connection, name, plan.reader.columns[name], name == plan.title)
            for name in plan.attribute_columns
        }
        with database.transaction():
            removal.forget_files(database, entry.replaces)
            file_id = next_file_id(database)
            rejected = _store_rejects(database, plan, rows, file_id)
            keys = _replace_table(database, plan, shapes)
            report = FileReport(
                name=entry.name,
                kind=entry.kind,
                rows=rows.count,
                added=keys,
                duplicates=usable - keys,
                rejected=rejected,
                mapping=plan.mapping,
                unused=tuple(name for name, shape in shapes.items() if shape in NOT_STORED),
                encoding=plan.reader.encoding,
                cut_texts=_count_cut_texts(database, plan, shapes),
            )
            record_file(database, file_id, report, entry)
    finally:
        drop_staged(database.connection)
    return report, _dropped_columns(plan.kind, shapes, usable)


def _count_cut_texts(database: Database, plan: TablePlan, shapes: dict[str, Shape]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for column, shape in shapes.items():
        if condition := attributes.is_cut(column, plan.reader.columns[column], shape, column == plan.title):
            ((count,),) = database.rows(f"SELECT count(*) FROM {KEYED_ROWS} WHERE {condition}")
            counts |= {column: count} if count else {}
    return counts


def _create_keyed_rows(database: Database, plan: TablePlan, rows: StagedRows) -> int:
    """Creates the tables of the rows with a usable key (as __key, with __line) and of each key's last row.

    Returns the number of usable rows.
    """
    columns = ", ".join(quoted(name) for name in plan.attribute_columns)
    database.connection.execute(
        f"CREATE TEMP TABLE {KEYED_ROWS} AS SELECT * FROM (SELECT {plan.clean_key} AS __key, {LINE}"
        f"{', ' + columns if columns else ''} FROM {rows.numbered}) "
        f"WHERE __key IS NOT NULL AND length(__key) <= {MAX_ID_LENGTH}"
    )
    database.connection.execute(
        f"CREATE TEMP TABLE {LAST_ROWS} AS SELECT __key, max({LINE}) AS {LINE} FROM {KEYED_ROWS} GROUP BY __key"
    )
    return int(database.rows(f"SELECT count(*) FROM {KEYED_ROWS}")[0][0])


def _store_rejects(database: Database, plan: TablePlan, rows: StagedRows, file_id: int) -> dict[str, int]:
    """Stores line and reason of each rejected row; returns the rows by reason."""
    database.connection.execute(
        f"INSERT INTO rejects SELECT {file_id}, {LINE}, reason FROM (SELECT {LINE}, CASE WHEN key IS NULL "
        f"THEN 'empty {plan.key}' WHEN length(key) > {MAX_ID_LENGTH} THEN '{plan.key} over 10,000 characters' END "
        f"AS reason FROM (SELECT {LINE}, {plan.clean_key} AS key FROM {rows.numbered})) "
        "WHERE reason IS NOT NULL"
    )
    if rows.malformed:
        database.connection.execute(f"INSERT INTO rejects SELECT {file_id}, line, reason FROM {MALFORMED}")
    return reject_counts(database, file_id)


def _replace_table(database: Database, plan: TablePlan, shapes: dict[str, Shape]) -> int:
    """Stores the keys and their attributes; returns the number of keys."""
    attribute_table = f"{plan.kind[:-1]}_attributes"
    execute = database.connection.execute
    execute(f"DELETE FROM {attribute_table} WHERE {plan.key} IN (SELECT __key FROM {LAST_ROWS})")
    if plan.kind == "users":
        execute(f"INSERT INTO users SELECT __key FROM {LAST_ROWS} ON CONFLICT DO NOTHING")
    else:
        _store_items(database, plan)
    for column, shape in shapes.items():
        stored = attributes.attribute_values(column, plan.reader.columns[column], shape)
        if stored:
            attribute, values = sql.literal(stored[0]), stored[1]
            execute(
                f"INSERT INTO {attribute_table} SELECT DISTINCT __key, {attribute}, v FROM ({values}) WHERE v <> ''"
            )
    return int(database.rows(f"SELECT count(*) FROM {LAST_ROWS}")[0][0])


def _store_items(database: Database, plan: TablePlan) -> None:
    """Each item with the title and price of its last row."""
    title, price = "NULL", "NULL"
    if plan.title:
        title = bounded(plan.cleaned(plan.title))
    if plan.price:
        price = finite_or_null(parse_number(plan.price, plan.reader.columns[plan.price], False))
    database.connection.execute(
        f"INSERT INTO items SELECT __key, {title}, {price} FROM {KEYED_ROWS} "
        f"SEMI JOIN {LAST_ROWS} USING (__key, {LINE}) "
        "ON CONFLICT DO UPDATE SET title = excluded.title, price = excluded.price"
    )


_DROPPED: Final[
    tuple[tuple[Shape, Literal["personal_columns", "identifier_columns", "nested_columns"], Severity], ...]
] = (
    ("personal", "personal_columns", "warning"),
    ("identifier", "identifier_columns", "note"),
    ("nested", "nested_columns", "note"),
)


def _dropped_columns(table: TableKind, shapes: dict[str, Shape], rows: int) -> list[DroppedColumns]:
    checks = []
    for dropped_shape, name, severity in _DROPPED:
        columns = tuple(column for column, shape in shapes.items() if shape == dropped_shape)
        if columns:
            checks.append(
                DroppedColumns(check=name, severity=severity, rows=rows, share=1.0, table=table, columns=columns)
            )
    return checks

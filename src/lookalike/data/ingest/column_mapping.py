"""Which column of a file is which field: as the caller says, by known names, or derived from other columns."""

from collections.abc import Iterable
from dataclasses import dataclass

from lookalike.data.ingest.column_names import are_headings, headings, listed
from lookalike.data.ingest.options import UNIT_PRICE, did_you_mean
from lookalike.data.ingest.results import AmbiguousField, KeptAsContext, MappingNote
from lookalike.data.ingest.synonyms import column_names, normalised
from lookalike.data.schema import CONTEXT_SLOTS, EVENT_FIELDS, REQUIRED_EVENT_FIELDS
from lookalike.errors import DataError


@dataclass(frozen=True)
class ColumnMapping:
    columns: dict[str, str]  # field -> column
    unused: tuple[str, ...]
    notes: tuple[MappingNote, ...]
    missing: tuple[str, ...] = ()  # declared context columns that the file lacks

    @property
    def derives_value(self) -> bool:
        """Whether the value is the quantity times the unit price."""
        return "value" not in self.columns and {"quantity", UNIT_PRICE} <= self.columns.keys()

    def sources(self) -> dict[str, str]:
        """field -> the column it is read from, or `QUANTITY * PRICE`; in the order of the fields."""
        sources = {name: self.columns[name] for name in (*EVENT_FIELDS, *CONTEXT_SLOTS) if name in self.columns}
        if self.derives_value:
            sources["value"] = f"{self.columns['quantity']} * {self.columns[UNIT_PRICE]}"
        return sources


def map_event_columns(
    columns: dict[str, str], requested: dict[str, str], context: tuple[str, ...], file_name: str
) -> ColumnMapping:
    """The mapping of an event file whose `columns` are name -> type. A context column is not matched to a field.

    Raises DataError for a requested column that the file lacks, a nested context column, and when no column could be
    the user or the time.
    """
    kept = {slot: name for slot, name in zip(CONTEXT_SLOTS, context, strict=False) if name in columns}
    for name in kept.values():
        if is_nested(columns[name]):
            raise DataError(f"{file_name}: --context {name}: the column holds nested values", "declare a plain column")
    candidates = [name for name, kind in columns.items() if not is_nested(kind) and name not in kept.values()]
    check_requested(requested, columns, file_name)
    fields, ambiguous = match_columns(candidates, column_names("events"), requested)
    for field in REQUIRED_EVENT_FIELDS:
        if field not in fields:
            raise _no_column(field, columns, file_name)
    if "value" in fields or "quantity" not in fields:
        fields.pop(UNIT_PRICE, None)
    fields |= kept
    return ColumnMapping(
        columns=fields,
        unused=tuple(column for column in columns if column not in fields.values()),
        notes=(*ambiguous, *_kept_as_context(kept.values(), requested)),
        missing=tuple(name for name in context if name not in columns),
    )


def _kept_as_context(kept: Iterable[str], requested: dict[str, str]) -> list[KeptAsContext]:
    """A note for each field that a context column would have been by its name."""
    return [
        KeptAsContext(column=column, field=field)
        for column in kept
        if column not in requested.values()
        for field, names in column_names("events").items()
        if normalised(column) in {normalised(name) for name in names}
    ]


def find_key_column(
    columns: dict[str, str], key: str, requested: dict[str, str], file_name: str
) -> tuple[str, list[AmbiguousField]]:
    """The key column of an items or users table, with notes on the choice. Raises DataError when there is none."""
    names = {key: column_names("events")[key] + column_names("keys")[key]}
    requested_key = {key: requested[key]} if requested.get(key) in columns else {}
    candidates = [name for name, kind in columns.items() if not is_nested(kind)]
    fields, notes = match_columns(candidates, names, requested_key)
    if key not in fields:
        raise _no_column(key, columns, file_name)
    return fields[key], notes


def match_columns(
    columns: Iterable[str], names: dict[str, list[str]], requested: dict[str, str]
) -> tuple[dict[str, str], list[AmbiguousField]]:
    """field -> column, each column used once, and a note for every field that several columns could have been."""
    fields = dict(requested)
    notes: list[AmbiguousField] = []
    by_name = {normalised(column): column for column in reversed(list(columns)) if column not in requested.values()}
    for field, synonyms in names.items():
        if field in fields:
            continue
        matches = list(dict.fromkeys(by_name[normalised(name)] for name in synonyms if normalised(name) in by_name))
        matches = [column for column in matches if column not in fields.values()]
        if not matches:
            continue
        fields[field] = matches[0]
        if len(matches) > 1:
            notes.append(AmbiguousField(field=field, column=matches[0], alternatives=tuple(matches[1:])))
    return fields, notes


def is_nested(kind: str) -> bool:
    """Whether a DuckDB type is a list or a structure."""
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))


def check_requested(requested: dict[str, str], columns: dict[str, str], file_name: str) -> None:
    """Raises DataError for a column that the file lacks."""
    for field, column in requested.items():
        if column not in columns:
            raise DataError(
                f"{file_name}: --map {field}={column}: there is no column {column!r}",
                f"{did_you_mean(column, headings(columns), 0.4)}columns: {listed(columns)}",
            )


def _no_column(field: str, columns: dict[str, str], file_name: str) -> DataError:
    meaning = {"user_id": "the user", "ts": "the time", "item_id": "the item"}[field]
    if not are_headings(columns):
        hint = f"the file seems to have no header line: add one that names {field}"
    else:
        hint = f"name it with --map {field}=COLUMN"
    return DataError(f"{file_name}: no column could be {meaning} ({field}); columns: {listed(columns)}", hint)

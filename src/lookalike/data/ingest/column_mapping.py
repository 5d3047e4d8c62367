"""Which column of a file is which field: what the caller said, then the synonyms, then what can be derived."""

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from lookalike.data.ingest.options import UNIT_PRICE
from lookalike.data.ingest.synonyms import column_names, normalised, word_list
from lookalike.data.schema import CONTEXT_SLOTS, EVENT_FIELDS, REQUIRED_EVENT_FIELDS
from lookalike.errors import DataError

_SHOWN = 30


@dataclass(frozen=True)
class ColumnMapping:
    columns: dict[str, str]  # field -> column
    unused: list[str]
    notes: list[str]
    missing: tuple[str, ...] = ()  # declared columns that the file has not

    @property
    def value_is_derived(self) -> bool:
        return "value" not in self.columns and {"quantity", UNIT_PRICE} <= self.columns.keys()

    def as_dict(self) -> dict[str, str]:
        """field -> what it is made of, as people read it."""
        shown = {name: self.columns[name] for name in (*EVENT_FIELDS, *CONTEXT_SLOTS) if name in self.columns}
        if self.value_is_derived:
            shown["value"] = f"{self.columns['quantity']} * {self.columns[UNIT_PRICE]}"
        return shown


def map_event_columns(
    columns: dict[str, str], given: dict[str, str], context: tuple[str, ...], where: str
) -> ColumnMapping:
    """The mapping of an event file. Raises DataError for a missing column, and when user or time are not found.

    A declared column (of `context`) is no longer taken for a field by its name.
    """
    kept = {slot: name for slot, name in zip(CONTEXT_SLOTS, context, strict=False) if name in columns}
    scalar = [name for name, kind in columns.items() if not _nested(kind)]
    if nested := [name for name in kept.values() if name not in scalar]:
        raise DataError(f"{where}: --context {nested[0]}: the column holds nested values", "declare a plain column")
    free = [name for name in scalar if name not in kept.values()]
    found, notes = match_columns(free, column_names("events"), _checked(given, columns, where))
    notes += [note for name in kept.values() if name not in given.values() for note in _not_taken(name)]
    for name in REQUIRED_EVENT_FIELDS:
        if name not in found:
            raise _not_found(name, columns, where)
    if "value" in found or "quantity" not in found:
        found.pop(UNIT_PRICE, None)
    found |= kept
    unused = [column for column in columns if column not in found.values()]
    return ColumnMapping(found, unused, notes, tuple(name for name in context if name not in columns))


def _not_taken(column: str) -> list[str]:
    """Which fields a declared column would have been by its name."""
    return [
        f"{column} is kept as context, not as {field} (--map {field}={column} makes it both)"
        for field, known in column_names("events").items()
        if normalised(column) in {normalised(name) for name in known}
    ]


def find_key_column(columns: dict[str, str], key: str, given: dict[str, str], where: str) -> tuple[str, list[str]]:
    """The key column of an items or users table, and notes on the choice. Raises DataError when there is none."""
    names = {key: column_names("events")[key] + column_names("keys")[key]}
    wanted = {key: given[key]} if given.get(key) in columns else {}
    found, notes = match_columns([name for name, kind in columns.items() if not _nested(kind)], names, wanted)
    if key not in found:
        raise _not_found(key, columns, where)
    return found[key], notes


def match_columns(
    columns: Iterable[str], names: dict[str, list[str]], given: dict[str, str]
) -> tuple[dict[str, str], list[str]]:
    """field -> column, each column used once, and a note wherever a field had a choice."""
    found = dict(given)
    notes: list[str] = []
    free = {normalised(column): column for column in reversed(list(columns)) if column not in given.values()}
    for field, known in names.items():
        if field in found:
            continue
        hits = list(dict.fromkeys(free[normalised(name)] for name in known if normalised(name) in free))
        hits = [hit for hit in hits if hit not in found.values()]
        if not hits:
            continue
        found[field] = hits[0]
        if len(hits) > 1:
            others = ", ".join(hits[1:])
            notes.append(f"{field} is taken from {hits[0]}; it could also be {others} (--map {field}=COLUMN)")
    return found, notes


def is_personal_name(column: str) -> bool:
    """Whether a column's name says that its content is personal."""
    wanted = {normalised(word) for word in word_list("personal_names")}
    parts = [normalised(part) for part in column.replace("-", "_").replace(" ", "_").split("_")]
    pairs = {a + b for a, b in itertools.pairwise(parts)}
    return normalised(column) in wanted or bool(wanted & (set(parts) | pairs))


def _checked(given: dict[str, str], columns: dict[str, str], where: str) -> dict[str, str]:
    for field, column in given.items():
        if column not in columns:
            near = difflib.get_close_matches(column, list(columns), n=1, cutoff=0.4)
            meant = f"did you mean {near[0]}? " if near else ""
            raise DataError(
                f"{where}: --map {field}={column}: there is no column {column!r}", f"{meant}columns: {_shown(columns)}"
            )
    return dict(given)


def _not_found(field: str, columns: dict[str, str], where: str) -> DataError:
    what = {"user_id": "the user", "ts": "the time", "item_id": "the item"}[field]
    if all(any(c.isdigit() for c in name) for name in columns):
        hint = f"the file seems to have no header line: add one that names {field}"
    else:
        hint = f"name it with --map {field}=COLUMN"
    return DataError(f"{where}: no column could be {what} ({field}); columns: {_shown(columns)}", hint)


def _shown(columns: dict[str, str]) -> str:
    names = list(columns)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))

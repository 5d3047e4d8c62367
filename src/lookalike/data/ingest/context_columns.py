"""Columns that a caller declares to be kept with each event: their slots, and whether they may become features.

A column in which nearly every event or user has a value of its own says nothing about likeness: it would only let a
model know people by name. Whether one is such is decided from all events held, so that no order of files matters; of a
large log again only when it has grown by a tenth.
"""

import difflib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from lookalike.data.database import EXCLUDED_PREFIX, Database, declared_context_columns, last_file_id
from lookalike.data.ingest import running_counts
from lookalike.data.ingest.column_mapping import ColumnMapping, is_personal_name
from lookalike.data.ingest.load_tables import EMAIL, PHONE
from lookalike.data.ingest.results import Check, FileReport
from lookalike.data.schema import CONTEXT_FIELDS, CONTEXT_SLOTS
from lookalike.errors import DataError

_FEW_VALUES = 20  # up to which a column is a category, however few events there are


_MOSTLY = 0.5


_MANY_VALUES = 1_000


_RARE = 3  # events of the median value, below which many values may be names of single things


_PERSONAL_SHARE = 0.1


_SAMPLE_ROWS = 100_000


_MARGIN = 2  # how far an approximate count may be off


_FEW_EVENTS = 5_000_000  # up to so many are looked at each time: a second


_GROWN = 1.1  # times the events of the last look at all of them, past which all are looked at again


_UNDECIDED: Final = "not looked at yet"


_LOOKED: Final = "contexts_looked_at"  # in `meta`


MISSING_NOTE: Final = "there is no column {0}, declared with --context; the events are kept without it"


def all_declared(store: Database, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The columns declared in this workspace, now and before, in the order of their slots."""
    return tuple(dict.fromkeys((*declared_context_columns(store), *asked)))


def check_present(store: Database, asked: tuple[str, ...], columns: list[str]) -> None:
    """Raises DataError when a name that is new here is a column of no file: a slip of the pen would keep nothing."""
    for name in asked:
        if name not in columns and name not in declared_context_columns(store):
            near = difflib.get_close_matches(name, columns, n=1, cutoff=0.4)
            meant = f"did you mean {near[0]}? " if near else ""
            raise DataError(f"--context {name}: no file has such a column", f"{meant}--explain shows the columns")


def declare(store: Database, names: tuple[str, ...]) -> None:
    """Gives each name its slot, once and for all. No feature comes of a new one until `decide` has looked at it."""
    known = declared_context_columns(store)
    with store.transaction():
        # a killed ingest leaves columns nobody has looked at: they stay out until `settle`
        looked_at = _reviewed(store).columns
        unseen = [column for column in (*CONTEXT_FIELDS, *known.values()) if column not in looked_at]
        rows = [(EXCLUDED_PREFIX + column, _UNDECIDED) for column in unseen]
        if rows:
            store.connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", rows)
        for slot, name in zip(CONTEXT_SLOTS, names, strict=False):
            if name not in known:
                store.connection.execute(f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {slot} VARCHAR")
                rows = [(slot, name), (EXCLUDED_PREFIX + slot, _UNDECIDED)]
                store.connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def missing_columns(report: FileReport, mapping: ColumnMapping) -> list[Check]:
    """A note for each declared column that a file has not."""
    return [
        Check("missing_context", "note", report.rows, 1.0, f"{report.name}: {MISSING_NOTE.format(name)}")
        for name in mapping.missing
    ]


def decide_if_pending(store: Database) -> None:
    """Makes up for an ingest that ended before it had looked at its columns."""
    if _undecided(store) or last_file_id(store) > _reviewed(store).file:
        decide_exclusions(store)


def _undecided(store: Database) -> bool:
    return bool(store.rows("SELECT 1 FROM meta WHERE value = ? LIMIT 1", _UNDECIDED))


def decide_exclusions(store: Database) -> list[Check]:
    """Writes down which context columns are left out of the features, and gives a line for each.

    Looked at are the declared columns and country, device and source: in all events held; where those are many and have
    hardly grown since, only in the new ones, for what looks personal.
    """
    columns = {field: field for field in CONTEXT_FIELDS} | declared_context_columns(store)
    ((events,),) = store.rows("SELECT count(*) FROM events")
    before = _reviewed(store)
    grown = _undecided(store) or events < _FEW_EVENTS or events > _GROWN * before.events
    new = {} if grown else _column_statistics(store, columns, before.file)
    if grown or any(new[name].rows and column not in before.filled for name, column in columns.items()):
        seen = _column_statistics(store, columns)
        found = _exclusions(store, columns, seen)
        kept = [EXCLUDED_PREFIX + column for column in columns.values() if column not in found]
        filled = [column for name, column in columns.items() if seen[name].rows]
        looked = _Reviewed(events, last_file_id(store), list(columns.values()), filled)
    else:
        found, kept = _newly_personal(store, columns, new), []
        looked = replace(before, file=last_file_id(store))
    with store.transaction():
        store.connection.execute("DELETE FROM meta WHERE list_contains(?, key)", [kept])
        rows = [(EXCLUDED_PREFIX + column, check.check) for column, check in found.items()]
        rows.append((_LOOKED, json.dumps(asdict(looked))))
        store.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
    return list(found.values())


@dataclass(frozen=True)
class _Reviewed:
    """Up to where the columns were looked at: how many events there were when all were, the last file, which columns, and
    which of them held anything."""

    events: int = 0
    file: int = 0
    columns: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)


def _reviewed(store: Database) -> _Reviewed:
    known = store.rows("SELECT value FROM meta WHERE key = ?", _LOOKED)
    return _Reviewed(**json.loads(known[0][0])) if known else _Reviewed()


def _newly_personal(store: Database, columns: dict[str, str], seen: dict[str, "_ColumnStatistics"]) -> dict[str, Check]:
    checks = {column: _personal(store, name, seen[name]) for name, column in columns.items() if seen[name].rows}
    out = {key for (key,) in store.rows("SELECT key FROM meta WHERE starts_with(key, ?)", EXCLUDED_PREFIX)}
    return {column: check for column, check in checks.items() if check and EXCLUDED_PREFIX + column not in out}


def _exclusions(store: Database, columns: dict[str, str], seen: dict[str, "_ColumnStatistics"]) -> dict[str, Check]:
    """Of each column that is to be left out the reason."""
    found: dict[str, Check] = {}
    for name, column in columns.items():
        if seen[name].rows and (check := _personal(store, name, seen[name]) or _identifier(store, column, seen[name])):
            found[column] = check
    return found


@dataclass(frozen=True)
class _ColumnStatistics:
    """What one look at all events tells of a column; the numbers of values and users are approximate."""

    name: str
    rows: int
    values: int
    users: int
    personal: float  # share of what looks like it in a spread sample


def _column_statistics(store: Database, columns: dict[str, str], since: int = 0) -> dict[str, _ColumnStatistics]:
    events = running_counts.events_after(since)
    per_column = "count({0}), approx_count_distinct({0}), approx_count_distinct(user_id) FILTER ({0} IS NOT NULL)"
    counts = store.rows(f"SELECT {', '.join(per_column.format(c) for c in columns.values())} FROM {events}")[0]
    spread = running_counts.sample_condition(store.rows(f"SELECT count(*) FROM {events}")[0][0], _SAMPLE_ROWS)
    hit = "count(*) FILTER (regexp_matches({0}, '{1}') OR regexp_matches({0}, '{2}')) / greatest(count({0}), 1)"
    shares = ", ".join(hit.format(c, EMAIL, PHONE) for c in columns.values())
    personal = store.rows(f"SELECT {shares} FROM {events} WHERE {spread}")[0]
    found = {}
    for place, name in enumerate(columns):
        rows, values, users = counts[3 * place : 3 * place + 3]
        found[name] = _ColumnStatistics(name, rows, values, users, personal[place])
    return found


def _personal(store: Database, name: str, seen: _ColumnStatistics) -> Check | None:
    """A warning when a column is personal by its name, or by what stands in it."""
    if named := [one for one in _made_from(store, name) if is_personal_name(one)]:
        what = f"{name} is personal by its name" if named == [name] else f"{name} is made of {', '.join(named)}"
    elif seen.personal > _PERSONAL_SHARE:
        what = f"{name} holds what looks like e-mail addresses or phone numbers"
    else:
        return None
    return Check("personal_context", "warning", seen.rows, 1.0, f"{what}, and is left out of the features")


def _made_from(store: Database, name: str) -> list[str]:
    """The columns of the files that a field was read from; a declared one is its own."""
    if name not in CONTEXT_FIELDS:
        return [name]
    mappings = [json.loads(text) for (text,) in store.rows("SELECT DISTINCT mapping FROM files WHERE kind = 'events'")]
    return sorted({mapping[name] for mapping in mappings if name in mapping})


def _identifier(store: Database, column: str, seen: _ColumnStatistics) -> Check | None:
    """A warning when a column's values are names of single events or users. Counts exactly, where it may be so."""
    apart = _MARGIN * seen.values
    if apart <= _FEW_VALUES or apart <= min(_MOSTLY * seen.rows, _MOSTLY * seen.users, _MANY_VALUES):
        return None
    rows, values, users, usual, head, own = store.rows(_FIGURES.format(column=column))[0]
    by_event = values > _MOSTLY * rows
    by_rare_value = values > _MANY_VALUES and usual < _RARE and head < _MOSTLY * rows
    by_user = values > _MOSTLY * users and own > _MOSTLY * rows
    if values <= _FEW_VALUES or not (by_event or by_rare_value or by_user):
        return None
    message = (
        f"{seen.name} looks like an identifier and is left out of the features: {values:,} different values in "
        f"{rows:,} events of {users:,} users"
    )
    return Check("identifier_context", "warning", rows, values / rows, message)


# usual: events of the median value; head: events of the most common twentieth of the values, large where a long tail
# follows a few common values; own: events whose value only their user has.
_FIGURES: Final = """
SELECT sum(n)::BIGINT, count(*), (SELECT count(DISTINCT user_id) FROM events WHERE {column} IS NOT NULL), median(n),
       sum(n) FILTER (part = 1)::BIGINT, coalesce(sum(n) FILTER (one), 0)::BIGINT
FROM (SELECT n, one, ntile(20) OVER (ORDER BY n DESC) AS part
      FROM (SELECT count(*) AS n, min(user_id) = max(user_id) AS one
            FROM events WHERE {column} IS NOT NULL GROUP BY {column}))"""

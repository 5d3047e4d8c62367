"""Finding the events of a file that are stored already or stand earlier in the file.

The same event id is the same event; without one, all fields must agree. Candidates are found by a hash over the fields
that the file has, so that rows are sorted only where there may be duplicates.
"""

from datetime import datetime
from typing import Final

from lookalike.data.database import Database, declared_context_columns
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.staging import DUPLICATE_HASHES, STAGED_EVENTS
from lookalike.data.schema import EVENT_FIELDS

_IN_SPAN: Final = "ts BETWEEN ? AND ?"
_MAX_EVENTS_AT_ONCE = 20_000_000  # whose hashes are held in memory together: about 1 GB


def drop_duplicates(database: Database, plan: EventPlan, replaced: tuple[int, ...] = ()) -> int:
    """Deletes the duplicates from the staged events; returns how many. Only stored events in their span count, and none
    of the `replaced` files."""
    kept = "events" if not replaced else f"(FROM events WHERE file_id NOT IN ({', '.join(map(str, replaced))}))"
    tables = (kept, STAGED_EVENTS)
    event_hash = _event_hash(plan)
    first, last = database.rows(f"SELECT min(ts), max(ts) FROM {STAGED_EVENTS}")[0]
    by_time = "event_id" not in plan.mapping.columns
    _find_repeated_hashes(database, event_hash, tables, (first, last), by_time)
    if not database.rows(f"SELECT count(*) FROM {DUPLICATE_HASHES}")[0][0]:
        return 0
    fields = (*EVENT_FIELDS, *declared_context_columns(database).values())
    same = ", ".join(f"CASE WHEN event_id IS NULL THEN {name} END" for name in fields if name != "event_id")
    order = ", ".join(("place IS NOT NULL", *fields, "place"))
    stored = f"SELECT {', '.join(fields)}, NULL::BIGINT AS place FROM {kept} WHERE {_IN_SPAN}"
    # BY NAME: a context column that the file lacks is empty in its events
    both = f"({stored} UNION ALL BY NAME SELECT {', '.join(plan.fields)}, rowid AS place FROM {STAGED_EVENTS})"
    numbered = (
        f"SELECT place, row_number() OVER (PARTITION BY event_id, {same} ORDER BY {order}) AS n "
        f"FROM {both} WHERE {event_hash} IN (SELECT h FROM {DUPLICATE_HASHES})"
    )
    deleted = database.rows(
        f"DELETE FROM {STAGED_EVENTS} WHERE rowid IN (SELECT place FROM ({numbered}) WHERE n > 1)", first, last
    )
    return int(deleted[0][0])


def _event_hash(plan: EventPlan) -> str:
    """An SQL expression that is equal for equal events, over the fields that the file has."""
    fields = [name for name in plan.fields if name != "event_id" and (name in plan.mapping.columns or name == "value")]
    by_fields = f"hash({', '.join(fields)})"
    if "event_id" not in plan.mapping.columns:
        return by_fields
    return f"CASE WHEN event_id IS NULL THEN {by_fields} ELSE hash(event_id) END"


def _find_repeated_hashes(
    database: Database, event_hash: str, tables: tuple[str, ...], span: tuple[datetime, datetime], by_time: bool
) -> None:
    """Creates the table of the hashes that occur more than once.

    Duplicates have the same time, so the span is searched in slices, to bound the memory. With event ids it is not:
    events of one id may have different times.
    """
    first, last = span
    count = sum(database.rows(f"SELECT count(*) FROM {table} WHERE {_IN_SPAN}", first, last)[0][0] for table in tables)
    slices = 1 + count // _MAX_EVENTS_AT_ONCE if by_time else 1
    database.connection.execute(f"CREATE TEMP TABLE {DUPLICATE_HASHES} (h UBIGINT)")
    hashes = " UNION ALL ".join(f"SELECT {event_hash} AS h FROM {table} WHERE {_IN_SPAN}" for table in tables)
    for part in range(slices):
        ends = [first + (last - first) * part / slices, first + (last - first) * (part + 1) / slices]
        database.connection.execute(
            f"INSERT INTO {DUPLICATE_HASHES} SELECT h FROM ({hashes}) GROUP BY h HAVING count(*) > 1",
            ends * len(tables),
        )

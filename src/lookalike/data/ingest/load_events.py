"""Puts one event file into the store: rows staged, duplicates taken out, then all of it and its rejects in one transaction."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from lookalike.data.database import Database, declared_context_columns
from lookalike.data.ingest import event_plan, timestamps
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.results import FileReport
from lookalike.data.ingest.staging import EVENTS, LINE, MALFORMED, TWINS, StagedRows, drop_staged
from lookalike.data.schema import EVENT_FIELDS
from lookalike.errors import DataError

_SPAN = "ts BETWEEN ? AND ?"


_BOTH = ("events", EVENTS)


_AT_ONCE = 20_000_000  # events whose hashes are held in memory together: about 1 GB


@dataclass(frozen=True)
class FileEntry:
    """How a file stands in the table of files."""

    name: str
    sha256: str
    kind: str
    moment: datetime  # of the ingest
    max_rejected_share: float


def load_events(store: Database, plan: EventPlan, entry: FileEntry) -> FileReport:
    """Adds the file's events, all or none. Raises DataError when too few of its rows can be used.

    What is staged is staged before the transaction: DuckDB reads tables that the same transaction made on one core only.
    """
    try:
        rows = plan.reader.stage(store.connection, plan.names)
        if not rows.count:
            raise DataError(f"{entry.name}: the file has no rows", "leave it out, or export it again")
        reason, fields = event_plan.reject_reason(entry.moment), ", ".join(plan.fields)
        usable = store.rows(
            f"CREATE TEMP TABLE {EVENTS} AS SELECT {fields} FROM ({plan.canonical(rows.scan)}) WHERE ({reason}) IS NULL"
        )[0][0]
        duplicates = _drop_duplicates(store, plan) if usable else 0
        with store.transaction():
            file_id = next_file_id(store)
            rejected: dict[str, int] = {}
            if usable < rows.count:
                rejected = _write_rejects(store, plan, rows, file_id, reason)
                _check_rejected(store, plan, rows, rejected, entry)
            with store.any_order():
                store.connection.execute(
                    f"INSERT INTO events ({fields}, file_id) SELECT {fields}, {file_id} FROM {EVENTS}"
                )
            report = FileReport(
                name=entry.name,
                kind=entry.kind,
                rows=rows.count,
                added=usable - duplicates,
                duplicates=duplicates,
                rejected=rejected,
                mapping=plan.mapping.as_dict(),
                unused=plan.mapping.unused,
                unreadable_values=_unreadable(store, plan, rows),
            )
            record_file(store, file_id, report, entry)
    finally:
        drop_staged(store.connection)
    return report


def _unreadable(store: Database, plan: EventPlan, rows: StagedRows) -> int:
    condition = plan.unreadable_numbers()
    return int(store.rows(f"SELECT count(*) FROM {rows.scan} WHERE {condition}")[0][0]) if condition else 0


def next_file_id(store: Database) -> int:
    return int(store.rows("SELECT coalesce(max(file_id), 0) + 1 FROM files")[0][0])


def record_file(store: Database, file_id: int, report: FileReport, entry: FileEntry) -> None:
    """Writes the file down as ingested, before what was staged for it goes."""
    first, last = (None, None)
    if report.kind == "events":
        first, last = store.rows(f"SELECT min(ts), max(ts) FROM {EVENTS}")[0]
    store.connection.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            file_id, report.name, entry.sha256, report.kind, report.rows, report.added, sum(report.rejected.values()),
            report.duplicates, first, last, json.dumps(report.mapping, ensure_ascii=False),
            entry.moment.astimezone(UTC).replace(tzinfo=None),
        ],
    )  # fmt: skip


def _write_rejects(store: Database, plan: EventPlan, rows: StagedRows, file_id: int, reason: str) -> dict[str, int]:
    store.connection.execute(
        f"INSERT INTO rejects SELECT {file_id}, {LINE}, reason FROM "
        f"(SELECT {LINE}, {reason} AS reason FROM ({plan.canonical(rows.numbered)})) WHERE reason IS NOT NULL"
    )
    if rows.malformed:
        store.connection.execute(f"INSERT INTO rejects SELECT {file_id}, line, reason FROM {MALFORMED}")
    counts = store.rows("SELECT reason, count(*) FROM rejects WHERE file_id = ? GROUP BY reason ORDER BY 1", file_id)
    return dict(counts)


def _check_rejected(
    store: Database, plan: EventPlan, rows: StagedRows, rejected: dict[str, int], entry: FileEntry
) -> None:
    """Raises DataError when units are mixed, every row is rejected, or too many for faults of the file."""
    if plan.time.unit:
        column = plan.time_column(store.connection, rows.scan)
        timestamps.check_units(column, timestamps.unit_counts(column))
    faults = sum(count for reason, count in rejected.items() if reason.startswith(event_plan.FAULTS))
    all_of_them = sum(rejected.values()) == rows.count
    if all_of_them or faults > entry.max_rejected_share * rows.count:
        which = "all" if all_of_them else f"{faults:,} of"
        shown = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected.items(), key=lambda one: -one[1]))
        raise DataError(
            f"{entry.name}: {which} {rows.count:,} rows are rejected ({shown})",
            "see `ingest --explain` for how the columns are read, and --map to change it",
        )


def _drop_duplicates(store: Database, plan: EventPlan) -> int:
    """Deletes the file's events that are stored already or stand earlier in it; gives back how many.

    The same event id is the same event; without one, all fields must agree. Candidates are found by a hash over the
    fields this file has, so that the rows themselves are sorted only where there is something to find.
    """
    key = _key(plan)
    first, last = store.rows(f"SELECT min(ts), max(ts) FROM {EVENTS}")[0]
    _find_twins(store, key, first, last, by_time="event_id" not in plan.mapping.columns)
    if not store.rows(f"SELECT count(*) FROM {TWINS}")[0][0]:
        return 0
    fields = (*EVENT_FIELDS, *declared_context_columns(store).values())
    same = ", ".join(f"CASE WHEN event_id IS NULL THEN {name} END" for name in fields if name != "event_id")
    order = ", ".join(("place IS NOT NULL", *fields, "place"))
    stored = f"SELECT {', '.join(fields)}, NULL::BIGINT AS place FROM events WHERE {_SPAN}"
    # a declared column that the file has not is empty in its events
    both = f"({stored} UNION ALL BY NAME SELECT {', '.join(plan.fields)}, rowid AS place FROM {EVENTS})"
    numbered = (
        f"SELECT place, row_number() OVER (PARTITION BY event_id, {same} ORDER BY {order}) AS n "
        f"FROM {both} WHERE {key} IN (SELECT h FROM {TWINS})"
    )
    return int(
        store.rows(
            f"DELETE FROM {EVENTS} WHERE rowid IN (SELECT place FROM ({numbered}) WHERE n > 1)",
            first,
            last,
        )[0][0]
    )


def _key(plan: EventPlan) -> str:
    """A hash that is the same for the same event, over the fields the file has."""
    given = [name for name in plan.fields if name != "event_id" and (name in plan.mapping.columns or name == "value")]
    key = f"hash({', '.join(given)})"
    return (
        f"CASE WHEN event_id IS NULL THEN {key} ELSE hash(event_id) END" if "event_id" in plan.mapping.columns else key
    )


def _find_twins(store: Database, key: str, first: datetime, last: datetime, by_time: bool) -> None:
    """Makes the table of hashes that occur more than once.

    Twins have one time, so slices of time are searched one after another to bound the memory; not so by event id, whose
    events may bear different times.
    """
    count = sum(store.rows(f"SELECT count(*) FROM {table} WHERE {_SPAN}", first, last)[0][0] for table in _BOTH)
    slices = 1 + count // _AT_ONCE if by_time else 1
    store.connection.execute(f"CREATE TEMP TABLE {TWINS} (h UBIGINT)")
    hashes = " UNION ALL ".join(f"SELECT {key} AS h FROM {table} WHERE {_SPAN}" for table in _BOTH)
    for part in range(slices):
        ends = [first + (last - first) * part / slices, first + (last - first) * (part + 1) / slices]
        store.connection.execute(
            f"INSERT INTO {TWINS} SELECT h FROM ({hashes}) GROUP BY h HAVING count(*) > 1", ends * len(_BOTH)
        )

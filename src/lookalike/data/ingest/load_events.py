"""Stores one event file: rows are staged, duplicates removed, then events and rejects stored in one transaction."""

from lookalike.data.database import Database
from lookalike.data.ingest import removal, timestamps
from lookalike.data.ingest.duplicates import drop_duplicates
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.file_records import (
    FileEntry,
    next_file_id,
    record_file,
    record_timezone,
    reject_counts,
)
from lookalike.data.ingest.reject_reasons import FAULTS, reject_reason
from lookalike.data.ingest.results import FileReport
from lookalike.data.ingest.staging import LINE, MALFORMED, STAGED_EVENTS, StagedRows, drop_staged
from lookalike.errors import DataError


def load_events(database: Database, plan: EventPlan, entry: FileEntry) -> FileReport:
    """Adds the file's events, all or none. Raises DataError when too few of its rows can be used.

    Rows are staged before the transaction: DuckDB reads tables that the same transaction created on one core only.
    """
    try:
        rows = plan.reader.stage(database.connection, plan.column_names)
        if not rows.count:
            raise DataError(f"{entry.name}: the file has no rows", "leave it out, or export it again")
        reason = reject_reason(entry.ingested_at)
        usable = _stage_events(database, plan, rows, reason)
        duplicates = drop_duplicates(database, plan, entry.replaces) if usable else 0
        with database.transaction():
            removal.forget_files(database, entry.replaces)
            file_id = next_file_id(database)
            rejected: dict[str, int] = {}
            if usable < rows.count:
                rejected = _store_rejects(database, plan, rows, file_id, reason)
                _check_rejected(database, plan, rows, rejected, entry)
            _store_events(database, plan, file_id)
            report = FileReport(
                name=entry.name,
                kind=entry.kind,
                rows=rows.count,
                added=usable - duplicates,
                duplicates=duplicates,
                rejected=rejected,
                mapping=plan.mapping.sources(),
                unused=plan.mapping.unused,
                unreadable_values=_count_unreadable(database, plan, rows),
                encoding=plan.reader.encoding,
                cut_texts=_count_cut_texts(database, plan),
            )
            record_file(database, file_id, report, entry)
            if plan.time.assumes_zone:
                record_timezone(database, file_id, entry.timezone)
    finally:
        drop_staged(database.connection)
    return report


def _stage_events(database: Database, plan: EventPlan, rows: StagedRows, reason: str) -> int:
    """Creates the table of the usable events; returns how many."""
    counts = database.rows(
        f"CREATE TEMP TABLE {STAGED_EVENTS} AS SELECT {', '.join(plan.fields)} "
        f"FROM ({plan.canonical(rows.scan)}) WHERE ({reason}) IS NULL"
    )
    return int(counts[0][0])


def _store_events(database: Database, plan: EventPlan, file_id: int) -> None:
    fields = ", ".join(plan.fields)
    with database.any_order():
        database.connection.execute(
            f"INSERT INTO events ({fields}, file_id) SELECT {fields}, {file_id} FROM {STAGED_EVENTS}"
        )


def _count_unreadable(database: Database, plan: EventPlan, rows: StagedRows) -> int:
    condition = plan.unreadable_number()
    return int(database.rows(f"SELECT count(*) FROM {rows.scan} WHERE {condition}")[0][0]) if condition else 0


def _count_cut_texts(database: Database, plan: EventPlan) -> dict[str, int]:
    conditions = plan.cut_texts()
    if not conditions:
        return {}
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions.values())
    row = database.rows(f"SELECT {counts} FROM {STAGED_EVENTS}")[0]
    return {column: count for column, count in zip(conditions, row, strict=True) if count}


def _store_rejects(database: Database, plan: EventPlan, rows: StagedRows, file_id: int, reason: str) -> dict[str, int]:
    """Stores line and reason of each rejected row; returns the rows by reason."""
    database.connection.execute(
        f"INSERT INTO rejects SELECT {file_id}, {LINE}, reason FROM "
        f"(SELECT {LINE}, {reason} AS reason FROM ({plan.canonical(rows.numbered, numbered=True)})) WHERE reason IS NOT NULL"
    )
    if rows.malformed:
        database.connection.execute(f"INSERT INTO rejects SELECT {file_id}, line, reason FROM {MALFORMED}")
    return reject_counts(database, file_id)


def _check_rejected(
    database: Database, plan: EventPlan, rows: StagedRows, rejected: dict[str, int], entry: FileEntry
) -> None:
    """Raises DataError when times mix units, when all rows are rejected, or too many of them for faults of the file."""
    if plan.time.unit:
        column = plan.time_column(database.connection, rows.scan)
        timestamps.check_units(column, timestamps.unit_counts(column))
    faults = sum(count for reason, count in rejected.items() if reason.startswith(FAULTS))
    all_rejected = sum(rejected.values()) == rows.count
    if all_rejected or faults > entry.max_rejected_share * rows.count:
        share = "all" if all_rejected else f"{faults:,} of"
        by_count = sorted(rejected.items(), key=lambda item: -item[1])
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_count)
        raise DataError(
            f"{entry.name}: {share} {rows.count:,} rows are rejected ({reasons})",
            "ingest --dry-run shows how the columns are read, --map changes it",
        )

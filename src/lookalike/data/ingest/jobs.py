"""What is to be done with each file of an ingest. All files are planned before the first is loaded."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from lookalike.data.database import Database
from lookalike.data.ingest import column_mapping, context_columns, event_plan, file_records, load_tables, readers
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.load_tables import TablePlan
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import FileKind
from lookalike.data.ingest.sources import InputFile, Source
from lookalike.data.schema import CONTEXT_SLOTS
from lookalike.errors import DataError
from lookalike.workspace.files import sha256


@dataclass(frozen=True)
class Job:
    source: Source
    kind: FileKind
    sha256: str
    plan: EventPlan | TablePlan | None  # None: the same bytes were ingested before
    replaces: tuple[int, ...] = ()  # numbers under which the same bytes were ingested before


def plan_jobs(database: Database, files: list[InputFile], options: IngestOptions, scratch: Path) -> list[Job]:
    """A job for each file. Raises DataError for the first file that cannot be used."""
    return [_plan_job(database, file, options, scratch) for file in files]


def plan_file(
    connection: duckdb.DuckDBPyConnection, file: InputFile, options: IngestOptions, scratch: Path
) -> EventPlan | TablePlan:
    """How a file will be read. Raises DataError when it cannot be."""
    with readers.reading_errors(file.source):
        reader = readers.open_reader(connection, file.source, scratch)
        if file.kind == "events":
            return event_plan.plan_events(connection, reader, options)
        return load_tables.plan_table(reader, file.kind, options.mapping)


def check_requested_context(database: Database, jobs: list[Job], requested: tuple[str, ...], scratch: Path) -> None:
    """Raises DataError when a requested context column is in no file, or in one that was ingested without it."""
    if not requested:
        return
    columns: list[str] = []
    for job in jobs:
        if job.kind != "events":
            continue
        if job.plan:
            columns += job.plan.reader.columns
        else:
            file_columns = readers.open_reader(database.connection, job.source, scratch).columns
            _check_was_kept(database, job, [name for name in requested if name in file_columns])
            columns += file_columns
    context_columns.check_present(database, requested, columns)


def _plan_job(database: Database, file: InputFile, options: IngestOptions, scratch: Path) -> Job:
    digest = sha256(file.source.path)
    recorded = file_records.recorded_as(database, digest, file.kind)
    if recorded and not options.again:
        _check_same_mapping(database, file, digest, options, scratch)
        return Job(file.source, file.kind, digest, None)
    return Job(file.source, file.kind, digest, plan_file(database.connection, file, options, scratch), recorded)


def _check_same_mapping(
    database: Database, file: InputFile, digest: str, options: IngestOptions, scratch: Path
) -> None:
    """Raises DataError for an event file that was ingested with another mapping: skipping it would look like success.

    A column that the file lacks is named as such.
    """
    if file.kind != "events":
        return
    mapping = file_records.recorded_mapping(database, digest, file.kind)
    requested = {field: column for field, column in options.mapping.items() if mapping.get(field) != column}
    if requested:
        with readers.reading_errors(file.source):
            reader = readers.open_reader(database.connection, file.source, scratch)
            column_mapping.check_requested(requested, reader.columns, file.source.name)
    if differing := [field for field in requested if field in mapping]:
        raise DataError(
            f"{file.source.name}: was read before with another column as {', '.join(differing)}",
            "ingest into a new --workspace",
        )


def _check_was_kept(database: Database, job: Job, columns: list[str]) -> None:
    """Raises DataError when a file was ingested without keeping all of the columns."""
    mapping = file_records.recorded_mapping(database, job.sha256, "events")
    kept = [column for field, column in mapping.items() if field in CONTEXT_SLOTS]
    if missing := [name for name in columns if name not in kept]:
        raise DataError(
            f"{job.source.name}: was read before without --context {', '.join(missing)}",
            "ingest into a new --workspace",
        )

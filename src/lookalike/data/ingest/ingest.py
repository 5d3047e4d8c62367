"""Loads files into the workspace: each is one transaction, and the log is checked at the end."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lookalike.data.database import Database
from lookalike.data.ingest import (
    context_columns,
    file_records,
    load_events,
    load_tables,
    quality,
    readers,
    removal,
    running_counts,
)
from lookalike.data.ingest.column_names import shown
from lookalike.data.ingest.context_review import review_columns
from lookalike.data.ingest.file_records import FileEntry
from lookalike.data.ingest.jobs import Job, check_requested_context, plan_jobs
from lookalike.data.ingest.load_tables import TablePlan
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import (
    SEVERITIES,
    AnyCheck,
    ColumnsUnused,
    DuplicatesOfRemoved,
    FileLoaded,
    FileReport,
    FileSkipped,
    IngestResult,
    MappingNoted,
)
from lookalike.data.ingest.session import reading_session
from lookalike.data.ingest.sources import find_input_files
from lookalike.data.ingest.stored_ids import check_stored_ids
from lookalike.errors import LookalikeError
from lookalike.workspace.progress import Progress


def ingest_files(database: Database, paths: list[Path], options: IngestOptions, progress: Progress) -> IngestResult:
    """Loads the files and says what became of every row.

    Raises DataError for a file that cannot be used (files before it stay loaded), StateError for ids of an earlier version,
    and SettingsError for an unknown time zone or too many context columns.
    """
    check_stored_ids(database)
    requested = options.context
    options = replace(options, context=context_columns.with_declared(database, requested))
    now = datetime.now(UTC)
    with reading_session(database.connection, options.timezone) as scratch:
        jobs = plan_jobs(database, find_input_files(paths, options), options, scratch)
        check_requested_context(database, jobs, requested, scratch)
        context_columns.declare(database, options.context)
        last_checked_file = running_counts.counted_files(database)
        size = sum(job.source.size for job in jobs)
        with progress.step("ingest", size) as advance, _reviewed_in_any_case(database):
            reports: list[FileReport] = []
            checks: list[AnyCheck] = []
            done = 0
            for job in jobs:
                advance(done, job.source.path.name)
                report, file_checks = _load(database, job, options, now)
                _report_file(progress, job, report, reports)
                reports.append(report)
                checks += file_checks
                done += job.source.size
            advance(done, "checks")
            running_counts.update_counts(database)
            totals, log_checks = quality.quality_checks(database, reports, now, last_checked_file)
            checks += [*log_checks, *review_columns(database)]
    worst_first = sorted(checks, key=lambda check: SEVERITIES.index(check.severity))
    return IngestResult(files=tuple(reports), totals=totals, checks=tuple(worst_first))


@contextlib.contextmanager
def _reviewed_in_any_case(database: Database) -> Iterator[None]:
    """Reviews the context columns also when a file stops the ingest: those before it are loaded."""
    try:
        yield
    except LookalikeError:
        review_columns(database)
        raise


def _load(database: Database, job: Job, options: IngestOptions, now: datetime) -> tuple[FileReport, list[AnyCheck]]:
    # a copy of the file may have been loaded since the jobs were planned
    if job.plan is None or file_records.recorded_as(database, job.sha256, job.kind) != job.replaces:
        return FileReport(name=job.source.name, kind=job.kind, skipped=True), []
    losers = removal.files_with_duplicates_of(database, job.replaces)
    entry = FileEntry(
        job.source.name, job.sha256, job.kind, now, options.timezone, options.max_rejected_share, job.replaces
    )
    with readers.reading_errors(job.source):
        if isinstance(job.plan, TablePlan):
            report, dropped = load_tables.load_table(database, job.plan, entry)
            return report, [*dropped]
        report = load_events.load_events(database, job.plan, entry)
        missing = [DuplicatesOfRemoved(severity="warning", rows=0, share=0.0, file=report.name, files=losers)]
        return report, [
            *context_columns.missing_columns(report, job.plan.mapping.missing),
            *(missing if losers else []),
        ]


def _report_file(progress: Progress, job: Job, report: FileReport, before: list[FileReport]) -> None:
    """Reports what became of a file. A column that is not used is reported once, with the first file that has it."""
    if report.skipped or job.plan is None:
        progress.say(FileSkipped(file=report.name))
        return
    rejected = sum(report.rejected.values())
    progress.say(FileLoaded(file=report.name, added=report.added, duplicates=report.duplicates, rejected=rejected))
    for note in job.plan.notes if isinstance(job.plan, TablePlan) else job.plan.mapping.notes:
        progress.say(MappingNoted(file=report.name, note=note))
    reported = {name for file in before if file.kind == "events" for name in file.unused}
    unused = tuple(name for name in shown(report.unused) if name not in reported)
    if unused and report.kind == "events":
        progress.say(ColumnsUnused(file=report.name, columns=unused))

"""The two verbs: look at the files, or load them."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from lookalike.data.database import Database, quoted
from lookalike.data.ingest import (
    column_mapping,
    context_columns,
    event_plan,
    load_events,
    load_tables,
    quality,
    readers,
    running_counts,
    sources,
    sql,
)
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.load_tables import TablePlan
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import Check, FilePreview, FileReport, IngestPreview, IngestResult
from lookalike.data.ingest.sources import Source
from lookalike.data.ingest.synonyms import column_names
from lookalike.data.schema import CONTEXT_SLOTS, ITEM_KEY, USER_KEY
from lookalike.errors import DataError, LookalikeError, SettingsError
from lookalike.workspace.files import TEMPORARY_PREFIX, sha256
from lookalike.workspace.progress import Progress

_PREVIEW_ROWS = 5


@dataclass(frozen=True)
class _Job:
    source: Source
    kind: str
    sha256: str
    plan: EventPlan | TablePlan | None  # None: the same bytes were ingested before


def ingest_files(store: Database, paths: list[Path], options: IngestOptions, progress: Progress) -> IngestResult:
    """Loads the files and says what became of every row.

    All files are looked at before the first is loaded; each is one transaction. Raises DataError for a file that cannot
    be used (files before it stay loaded) and SettingsError for an unknown zone or too many declared columns.
    """
    asked = options.context
    options = replace(options, context=context_columns.all_declared(store, asked))
    moment = datetime.now(UTC)
    reports: list[FileReport] = []
    found: list[Check] = []
    told: set[str] = set()  # columns that are not used
    with _session(store.connection, options) as scratch:
        jobs = [_job(store, source, kind, options, scratch) for source, kind in find_sources(paths, options)]
        _check_context(store, jobs, asked, scratch)
        context_columns.declare(store, options.context)
        total = sum(job.source.size for job in jobs)
        done = 0
        with progress.step("ingest", total) as step, _decided_whatever_comes(store):
            for job in jobs:
                step(done, job.source.path.name)
                report, more = _load(store, job, options, moment)
                reports.append(report)
                found += more
                done += job.source.size
                _say(progress, job, report)
                if unused := [name for name in report.unused if name not in told and report.kind == "events"]:
                    progress.note(
                        f"{report.name}: not used: {', '.join(unused)} (--context keeps a column with each event)"
                    )
                    told.update(unused)
            step(done, "checks")
            held, checked = quality.quality_checks(store, reports, moment, running_counts.update_counts(store))
            checked += context_columns.decide_exclusions(store)
    return IngestResult(
        reports, held, sorted(found + checked, key=lambda one: ("error", "warning", "note").index(one.severity))
    )


def sessions_as_users(paths: list[Path], options: IngestOptions, context: tuple[str, ...]) -> IngestOptions:
    """Options by which every session counts as a user of its own, with those of the `context` columns that are there.

    Raises DataError when the first file names no session.
    """
    source, _ = next(iter(find_sources(paths, options)))
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    with contextlib.closing(connection), _session(connection, options) as scratch:
        columns = readers.open_reader(connection, source, scratch).columns
    given = {name: column for name, column in options.mapping.items() if name == "session_id"}
    found, _ = column_mapping.match_columns(list(columns), {"session_id": column_names("events")["session_id"]}, given)
    if found.get("session_id") not in columns:
        asked = given.get("session_id", "the session")
        shown = ", ".join(list(columns)[:30])
        raise DataError(f"{source.name}: no column could be {asked}", f"--map session_id=COLUMN; columns: {shown}")
    others = {name: column for name, column in options.mapping.items() if name != "session_id"}
    there = tuple(name for name in context if name in columns)
    return replace(options, mapping=others | {"user_id": found["session_id"]}, context=there)


def preview_files(paths: list[Path], options: IngestOptions) -> IngestPreview:
    """How each file would be read, with its first rows. Writes nothing. Raises as `ingest` does."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    with contextlib.closing(connection), _session(connection, options) as scratch:
        return IngestPreview(
            [_preview(connection, source, kind, options, scratch) for source, kind in find_sources(paths, options)]
        )


def find_sources(paths: list[Path], options: IngestOptions) -> list[tuple[Source, str]]:
    """The files meant, each with its kind: events, items or users. Raises DataError when one is not there or empty."""
    apart = [(path, kind) for path, kind in ((options.items, "items"), (options.users, "users")) if path]
    tables = [(sources.describe_source(path), kind) for path, kind in apart]
    taken = {source.path.resolve() for source, _ in tables}
    events = [source for source in sources.expand_paths(paths) if source.path.resolve() not in taken]
    found = [(source, "events") for source in events] + tables
    if not found:
        raise DataError("no file was given", f"known are {sources.KNOWN_FORMATS}")
    return found


@contextlib.contextmanager
def _session(connection: duckdb.DuckDBPyConnection, options: IngestOptions) -> Iterator[Path]:
    """Sets the session's zone for times that name none, and gives a folder for copies beside the database."""
    row = connection.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchone()
    beside = str(Path(row[0]).parent) if row and row[0] else None
    connection.execute("SET enable_progress_bar = false")  # it would draw on stdout, which carries data only
    try:
        connection.execute(f"SET TimeZone = {sql.literal(options.timezone)}")
    except duckdb.Error as error:
        raise SettingsError(f"unknown time zone {options.timezone!r}", "name one like Europe/Berlin") from error
    try:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=beside) as folder:
            yield Path(folder)
    finally:
        connection.execute("SET TimeZone = 'UTC'")


def _job(store: Database, source: Source, kind: str, options: IngestOptions, scratch: Path) -> _Job:
    digest = sha256(source.path)
    if _known(store, digest, kind):
        _check_mapping(store, source, digest, kind, options)
        return _Job(source, kind, digest, None)
    return _Job(source, kind, digest, _plan(store.connection, source, kind, options, scratch))


def _check_mapping(store: Database, source: Source, digest: str, kind: str, options: IngestOptions) -> None:
    """Raises DataError when a file read before is now given with another mapping: skipping it would look like success."""
    if kind != "events":
        return
    ((stored,),) = store.rows("SELECT mapping FROM files WHERE sha256 = ? AND kind = ? LIMIT 1", digest, kind)
    before = json.loads(stored)
    differing = [field for field, column in options.mapping.items() if field in before and before[field] != column]
    if differing:
        raise DataError(
            f"{source.name}: was read before with another column as {', '.join(differing)}",
            "ingest into a new --workspace",
        )


@contextlib.contextmanager
def _decided_whatever_comes(store: Database) -> Iterator[None]:
    """A file that cannot be used stops the ingest, not the decision on what the files before it brought."""
    try:
        yield
    except LookalikeError:
        context_columns.decide_exclusions(store)
        raise


def _check_context(store: Database, jobs: list[_Job], asked: tuple[str, ...], scratch: Path) -> None:
    """Raises DataError when a column asked for is in no file, or in one that was read before without it."""
    if not asked:
        return
    seen: list[str] = []
    for job in jobs:
        if job.kind != "events":
            continue
        reader = job.plan.reader if job.plan else readers.open_reader(store.connection, job.source, scratch)
        seen += reader.columns
        if job.plan is None:
            ((stored,),) = store.rows("SELECT mapping FROM files WHERE sha256 = ? AND kind = 'events'", job.sha256)
            kept = [column for field, column in json.loads(stored).items() if field in CONTEXT_SLOTS]
            if late := [name for name in asked if name in reader.columns and name not in kept]:
                raise DataError(
                    f"{job.source.name}: was read before without --context {', '.join(late)}",
                    "ingest into a new --workspace",
                )
    context_columns.check_present(store, asked, seen)


def _known(store: Database, digest: str, kind: str) -> bool:
    return bool(store.rows("SELECT 1 FROM files WHERE sha256 = ? AND kind = ?", digest, kind))


def _plan(
    connection: duckdb.DuckDBPyConnection, source: Source, kind: str, options: IngestOptions, scratch: Path
) -> EventPlan | TablePlan:
    with _wrapped(source):
        reader = readers.open_reader(connection, source, scratch)
        if kind == "events":
            return event_plan.plan_events(connection, reader, options)
        return load_tables.plan_table(reader, ITEM_KEY if kind == "items" else USER_KEY, options.mapping)


def _load(store: Database, job: _Job, options: IngestOptions, moment: datetime) -> tuple[FileReport, list[Check]]:
    if job.plan is None or _known(store, job.sha256, job.kind):
        return FileReport(job.source.name, job.kind, skipped=True), []
    entry = load_events.FileEntry(job.source.name, job.sha256, job.kind, moment, options.max_rejected_share)
    with _wrapped(job.source):
        if isinstance(job.plan, TablePlan):
            return load_tables.load_table(store, job.plan, entry)
        report = load_events.load_events(store, job.plan, entry)
        return report, context_columns.missing_columns(report, job.plan.mapping)


@contextlib.contextmanager
def _wrapped(source: Source) -> Iterator[None]:
    """A complaint about the file becomes a DataError; a full disk or memory is the store's to explain."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.TransactionException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise
        raise readers.unreadable_error(source, error) from error


def _say(progress: Progress, job: _Job, report: FileReport) -> None:
    if report.skipped:
        progress.note(f"{report.name}: ingested before, skipped")
        return
    left_out = sum(report.rejected.values())
    progress.note(f"{report.name}: {report.added:,} added, {report.duplicates:,} duplicates, {left_out:,} rejected")
    notes = job.plan.notes if isinstance(job.plan, TablePlan) else job.plan.mapping.notes if job.plan else []
    for note in notes:
        progress.note(f"{report.name}: {note}")


def _notes(made: EventPlan | TablePlan) -> list[str]:
    if isinstance(made, TablePlan):
        return made.notes
    return made.mapping.notes + [context_columns.MISSING_NOTE.format(name) for name in made.mapping.missing]


def _preview(
    connection: duckdb.DuckDBPyConnection, source: Source, kind: str, options: IngestOptions, scratch: Path
) -> FilePreview:
    made = _plan(connection, source, kind, options, scratch)
    reader = made.reader
    with _wrapped(source):
        every = ", ".join(f"{quoted(name)}::VARCHAR" for name in reader.columns)
        shown = connection.execute(f"SELECT {every} FROM {reader.scan} LIMIT {_PREVIEW_ROWS}").fetchall()
        stored: list[dict[str, str | None]] = []
        if isinstance(made, EventPlan):
            fields = ", ".join(f"{name}::VARCHAR" for name in made.fields)
            query = f"SELECT {fields} FROM ({made.canonical(reader.scan)}) LIMIT {_PREVIEW_ROWS}"
            stored = [dict(zip(made.fields, row, strict=True)) for row in connection.execute(query).fetchall()]
    return FilePreview(
        name=source.name,
        kind=kind,
        format=source.format,
        mapping=made.mapping.as_dict() if isinstance(made, EventPlan) else made.mapping,
        time=made.time.label if isinstance(made, EventPlan) else "",
        unused=made.mapping.unused if isinstance(made, EventPlan) else [],
        notes=_notes(made),
        columns=list(reader.columns),
        rows=[list(row) for row in shown],
        stored=stored,
    )

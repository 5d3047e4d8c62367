"""The workspace's DuckDB file: its tables, one connection, transactions, and the queries about the log as a whole.

SQL is written in `data/` only. Values reach a statement as parameters, identifiers through `quoted`.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import Field

from lookalike.data.schema import CONTEXT_FIELDS, CONTEXT_SLOTS, EVENT_FIELDS, SourceFile
from lookalike.errors import LookalikeError, StateError
from lookalike.workspace.files import make_folder, new_file
from lookalike.workspace.paths import WorkspaceFolder, nothing_ingested
from lookalike.workspace.records import Record

if TYPE_CHECKING:
    import polars as pl
    from pyarrow import RecordBatchReader

SCHEMA_VERSION = 1
ROWS_PER_BATCH = 262_144
MEMORY_LIMIT = "4GiB"
# Size of the write-ahead log: at DuckDB's default of 16 MB, tables are rewritten after every ingested file.
CHECKPOINT_SIZE = "256MiB"
PATIENCE = 10.0  # seconds for which a command waits for others who have the database open
_POLL = 0.02  # seconds between two attempts

CODED_FIELDS = ("event_type", *CONTEXT_FIELDS)
MAX_CODES = 1_000  # values of one coded field; rarer ones count as missing
EXCLUDED_PREFIX = "left_out:"  # begins the key in `meta` of a column that is not coded; the value is the reason
TIMEZONE_PREFIX = (
    "timezone:"  # begins the key in `meta` of a zone that times of a file were read in; its number follows
)
REMOVAL_KEY = "last_removal"  # key in `meta`

_EVENT_COLUMNS = ", ".join(
    f"{name} {kind}{' NOT NULL' if name in ('user_id', 'ts', 'event_type') else ''}"
    for name, kind in EVENT_FIELDS.items()
)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    file_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, kind VARCHAR NOT NULL,
    rows BIGINT NOT NULL, added BIGINT NOT NULL, rejected BIGINT NOT NULL, duplicates BIGINT NOT NULL,
    first_ts TIMESTAMP, last_ts TIMESTAMP, mapping VARCHAR NOT NULL, ingested_at TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS rejects (file_id INTEGER NOT NULL, line BIGINT NOT NULL, reason VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS events ({_EVENT_COLUMNS}, file_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS items (item_id VARCHAR PRIMARY KEY, title VARCHAR, price DOUBLE);
CREATE TABLE IF NOT EXISTS item_attributes (item_id VARCHAR NOT NULL, attribute VARCHAR NOT NULL, value VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS users (user_id VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS user_attributes (user_id VARCHAR NOT NULL, attribute VARCHAR NOT NULL, value VARCHAR NOT NULL);
"""

Configuration = dict[str, str | bool | int | float | list[str]]


class Database:
    """One open connection to the workspace's database. Use as a context manager."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block. After an error, a full disk or a kill the tables are as before."""
        self.connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a fatal error has already rolled back
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def any_order(self) -> Iterator[None]:
        """Lets rows be written in any order: DuckDB compresses rows twice if it keeps their order and some are deleted."""
        self.connection.execute("SET preserve_insertion_order = false")
        try:
            yield
        finally:
            with contextlib.suppress(duckdb.Error):  # a fatal error has closed the connection
                self.connection.execute("SET preserve_insertion_order = true")

    @contextlib.contextmanager
    def registered(self, **tables: "pl.DataFrame") -> Iterator[None]:
        """Makes frames available to queries as tables of these names."""
        for name, table in tables.items():
            self.connection.register(name, table.to_arrow())
        try:
            yield
        finally:
            for name in tables:
                self.connection.unregister(name)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, list(values)).fetchall()

    def frame(self, query: str, *values: Any) -> "pl.DataFrame":
        import polars as pl  # `status` counts without it, and is to answer at once

        frame = pl.from_arrow(self.connection.sql(query, params=list(values)).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def reader(self, query: str, *values: Any) -> "RecordBatchReader":
        """The result in batches, for results that do not fit in memory."""
        return self.connection.sql(query, params=list(values)).to_arrow_reader(ROWS_PER_BATCH)


def quoted(identifier: str) -> str:
    """A column or table name as an SQL identifier, whatever characters it contains."""
    return '"' + identifier.replace('"', '""') + '"'


class DatabaseBusy(StateError):
    """Another process or thread has the database open in a way that excludes ours: one writes, or many read."""


@contextlib.contextmanager
def open_file(
    path: Path, *, temporary: Path | None = None, read_only: bool = False, patience: float = PATIENCE
) -> Iterator[Database]:
    """Opens the database at `path`; unless `read_only`, creates it if it does not exist.

    Waits up to `patience` seconds for others who have it open. Raises DatabaseBusy if they keep it; StateError if the file is
    damaged, the disk is full, or another version of the program wrote it; and NothingIngested if it is to be read and is not
    there or empty, as a killed program may leave it.
    """
    try:
        if not path.exists() or not path.stat().st_size:
            if read_only:
                raise nothing_ingested(path.parent)
            make_folder(path.parent)
            with new_file(path) as unfinished:
                unfinished.unlink()  # DuckDB takes no empty file
                with Database(duckdb.connect(str(unfinished))) as database:
                    _create_tables(database)
        with Database(_connected(path, read_only, _configuration(temporary), patience)) as database:
            # the progress bar would be drawn on stdout, which is for data only
            database.connection.execute("SET enable_progress_bar = false")
            if not read_only:
                _create_tables(database)
            _check_version(database, path)
            yield database
    except duckdb.Error as error:
        raise translated_error(error, path) from error


def _connected(path: Path, read_only: bool, configuration: Configuration, patience: float) -> duckdb.DuckDBPyConnection:
    """A connection, as soon as nobody else has the file open in a way that excludes it: who looks at a log is brief."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=configuration)
        except duckdb.Error as error:
            if not isinstance(translated_error(error, path), DatabaseBusy) or time.monotonic() >= give_up:
                raise
            time.sleep(_POLL)


def open_in(
    workspace: WorkspaceFolder, read_only: bool = False, patience: float = PATIENCE
) -> contextlib.AbstractContextManager[Database]:
    """Opens the workspace's database; what does not fit in memory is spilled to the workspace's disk."""
    spill = workspace.spill
    if spill.is_symlink():
        raise StateError(f"{spill}: is a link", "delete it")
    return open_file(workspace.database, temporary=spill, read_only=read_only, patience=patience)


def _configuration(temporary: Path | None) -> Configuration:
    configuration: Configuration = {
        "memory_limit": MEMORY_LIMIT,
        "TimeZone": "UTC",
        "autoinstall_known_extensions": "false",
        "checkpoint_threshold": CHECKPOINT_SIZE,
    }
    if temporary:
        configuration["temp_directory"] = str(temporary)
    return configuration


def translated_error(error: duckdb.Error, path: Path) -> LookalikeError:
    """DuckDB's error as one of ours, with a hint."""
    text = str(error).splitlines()[0]
    if "Conflicting lock" in text or "Could not set lock" in text:
        return DatabaseBusy(f"{path}: another process holds the database", "close it, or name another --workspace")
    if "different configuration" in text:
        return DatabaseBusy(f"{path}: another thread of this process is working on it", "wait until it has finished")
    if "No space left" in text or isinstance(error, duckdb.OutOfMemoryException):
        return StateError(f"{path}: {text}", "free disk space; nothing was changed")
    return StateError(f"{path}: {text}", "if the file is damaged, move it away and ingest again")


def _create_tables(database: Database) -> None:
    """Creates the tables that are not there, and says of which version they are, both or neither."""
    with database.transaction():
        database.connection.execute(_SCHEMA)
        database.connection.execute(
            "INSERT INTO meta SELECT 'schema_version', $1 WHERE 'schema_version' NOT IN (SELECT key FROM meta)",
            [str(SCHEMA_VERSION)],
        )


def _check_version(database: Database, path: Path) -> None:
    if not database.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'"):
        raise nothing_ingested(path.parent)
    stored = database.rows("SELECT value FROM meta WHERE key = 'schema_version'")
    if not stored:
        raise nothing_ingested(path.parent)
    if stored[0][0] != str(SCHEMA_VERSION):
        raise StateError(f"{path}: was made by another version of lookalike", "ingest into a new --workspace")


# --- the log as a whole ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """Which events count: those strictly before `as_of`, of users with at least `min_events` of them.

    With 0, people of the users table without any event in the whole log are users too.
    """

    as_of: datetime
    min_events: int = 1


class LogSummary(Record):
    """How much was ingested. `first` and `last` are the times of the first and last event, None in an empty log."""

    events: int = Field(description="stored")
    users: int = Field(description="with events")
    without_events: int = Field(description="people of the users table without any event")
    items: int = Field(description="that events name")
    first: datetime | None = Field(description="time of the first event")
    last: datetime | None = Field(description="time of the last event")
    files: int = Field(description="ingested")
    rejected: int = Field(description="rows")
    duplicates: int = Field(description="rows")


def log_summary(database: Database) -> LogSummary:
    ((events, users, first, last),) = database.rows(
        "SELECT count(*), count(DISTINCT user_id), min(ts), max(ts) FROM events"
    )
    ((without_events,),) = database.rows(
        "SELECT count(*) FROM users ANTI JOIN (SELECT DISTINCT user_id FROM events) USING (user_id)"
    )
    ((items,),) = database.rows("SELECT count(DISTINCT item_id) FROM events")
    ((files, rejected, duplicates),) = database.rows(
        "SELECT count(*), coalesce(sum(rejected), 0)::BIGINT, coalesce(sum(duplicates), 0)::BIGINT FROM files"
    )
    return LogSummary(
        events=events,
        users=users,
        without_events=without_events,
        items=items,
        first=first,
        last=last,
        files=files,
        rejected=rejected,
        duplicates=duplicates,
    )


def ingested_files(database: Database) -> tuple[SourceFile, ...]:
    """Every file that events, items or users came from, in the order of ingestion."""
    rows = database.rows("SELECT name, sha256, kind FROM files ORDER BY file_id")
    return tuple(SourceFile(name=Path(name).name, sha256=digest, kind=kind) for name, digest, kind in rows)


def last_file_id(database: Database) -> int:
    """The number of the last change of the log: the `file_id` of the file that was ingested last, or the number that a
    later removal took. 0 if nothing was ever ingested. Numbers are never used again."""
    ((number,),) = database.rows("SELECT coalesce(max(file_id), 0) FROM files")
    return max(int(number), last_removal(database))


def last_removal(database: Database) -> int:
    """The number that the last removal of a file took, 0 if there was none."""
    ((number,),) = database.rows("SELECT coalesce(max(value::INTEGER), 0) FROM meta WHERE key = ?", REMOVAL_KEY)
    return int(number)


def has_files(database: Database) -> bool:
    return bool(database.rows("SELECT 1 FROM files LIMIT 1"))


def end_of_log(database: Database) -> datetime:
    """The moment just after the last event. Raises StateError when no event was ingested."""
    ((last,),) = database.rows("SELECT max(ts) FROM events")
    if last is None:
        if has_files(database):
            raise StateError(
                "only tables were ingested, and no event: there is nothing to learn from", "lookalike ingest LOG"
            )
        raise StateError("nothing was ingested into this workspace", "lookalike ingest FILES")
    moment: datetime = last + timedelta(microseconds=1)
    return moment


def resolve_cutoff(database: Database, requested: datetime | None) -> datetime:
    """The requested cut, but never later than the end of the log; the end of the log if none was requested."""
    end = end_of_log(database)
    return min(requested, end) if requested else end


def declared_context_columns(database: Database) -> dict[str, str]:
    """The context columns that were declared at ingestion: name -> column of `events` that holds it."""
    rows = database.rows("SELECT value, key FROM meta WHERE list_contains(?, key) ORDER BY key", list(CONTEXT_SLOTS))
    return dict(rows)


def coded_fields(database: Database, names: Iterable[str] | None = None) -> dict[str, str]:
    """The fields whose values are coded: name -> column of `events`. Columns found to hold identifiers are excluded.

    With `names`, those of a vocabulary, exactly the fields of these names that the log has.
    """
    columns = {field: field for field in CODED_FIELDS} | declared_context_columns(database)
    if names is not None:
        return {name: columns[name] for name in names if name in columns}
    excluded = {key for (key,) in database.rows("SELECT key FROM meta WHERE starts_with(key, ?)", EXCLUDED_PREFIX)}
    return {name: column for name, column in columns.items() if EXCLUDED_PREFIX + column not in excluded}


def log_timezones(database: Database) -> tuple[str, ...]:
    """The zones in which times of the log that name none were read; UTC if there are no such times."""
    rows = database.rows("SELECT DISTINCT value FROM meta WHERE starts_with(key, ?) ORDER BY value", TIMEZONE_PREFIX)
    return tuple(zone for (zone,) in rows) or ("UTC",)


def event_types(database: Database) -> list[str]:
    rows = database.rows("SELECT DISTINCT event_type FROM events WHERE event_type IS NOT NULL ORDER BY 1")
    return [name for (name,) in rows]


def first_event_times(database: Database, event_type: str) -> "pl.DataFrame":
    """When each user had the first event of a type: columns `user_id`, `moment` (seconds since 1970)."""
    return database.frame(
        "SELECT user_id, floor(epoch(min(ts)))::BIGINT AS moment FROM events WHERE event_type = ? GROUP BY user_id",
        event_type,
    )


def ingested_users(database: Database, ids: "pl.DataFrame") -> "pl.DataFrame":
    """Those of the ids (column `user_id`) that have at least one event, or are in the users table."""
    with database.registered(requested_ids=ids.select("user_id")):
        return database.frame(
            """SELECT user_id FROM requested_ids
               WHERE user_id IN (SELECT user_id FROM events) OR user_id IN (SELECT user_id FROM users)"""
        )

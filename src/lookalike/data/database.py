"""The workspace's DuckDB file: its tables, one connection, transactions, and the queries of the later steps.

SQL stands here and in `ingest/`, nowhere else. Values reach a statement as parameters; identifiers through `quoted`.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from pyarrow import RecordBatchReader

from lookalike.data.schema import CONTEXT_FIELDS, CONTEXT_SLOTS, EVENT_FIELDS
from lookalike.errors import LookalikeError, StateError
from lookalike.workspace.files import TEMPORARY_PREFIX
from lookalike.workspace.paths import WorkspaceFolder

SCHEMA_VERSION = 1


ROWS_PER_BATCH = 262_144


MEMORY_LIMIT = "4GiB"


CHECKPOINT_SIZE = (
    "256MiB"  # of the log of changes: at DuckDB's 16 MB every file ingested is followed by a rewrite of tables
)


CODED_FIELDS = ("event_type", *CONTEXT_FIELDS)


EXCLUDED_PREFIX = "left_out:"  # begins the key in `meta` of a column that is not coded; the value says why


MAX_CODES = 1_000  # values of one coded field; rarer ones count as missing


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
        """All or nothing. An error inside, a full disk or a kill leaves the tables as they were."""
        self.connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a fatal error has rolled back already
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def any_order(self) -> Iterator[None]:
        """Rows written inside may stand in any order. In order, rows of which some were deleted are packed twice."""
        self.connection.execute("SET preserve_insertion_order = false")
        try:
            yield
        finally:
            with contextlib.suppress(duckdb.Error):  # of a connection that a fatal error has ended
                self.connection.execute("SET preserve_insertion_order = true")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, list(values)).fetchall()

    def frame(self, query: str, *values: Any) -> pl.DataFrame:
        frame = pl.from_arrow(self.connection.sql(query, params=list(values)).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    @contextlib.contextmanager
    def registered(self, **tables: pl.DataFrame) -> Iterator[None]:
        """Frames as tables of the connection while a query needs them."""
        for name, table in tables.items():
            self.connection.register(name, table.to_arrow())
        try:
            yield
        finally:
            for name in tables:
                self.connection.unregister(name)

    def reader(self, query: str, *values: Any) -> RecordBatchReader:
        """The result in batches, so that memory does not grow with it."""
        return self.connection.sql(query, params=list(values)).to_arrow_reader(ROWS_PER_BATCH)


def quoted(identifier: str) -> str:
    """A column or table name as SQL takes it, whatever it contains."""
    return '"' + identifier.replace('"', '""') + '"'


@contextlib.contextmanager
def open_file(path: Path, *, temporary: Path | None = None, read_only: bool = False) -> Iterator[Database]:
    """The store at `path`, made if it is not there. Raises StateError when it is damaged, full or of another version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "TimeZone": "UTC",
        "autoinstall_known_extensions": "false",
        "checkpoint_threshold": CHECKPOINT_SIZE,
    }
    if temporary:
        settings["temp_directory"] = str(temporary)
    try:
        with Database(duckdb.connect(str(path), read_only=read_only, config=settings)) as store:
            # it would draw on stdout, which carries data only
            store.connection.execute("SET enable_progress_bar = false")
            if not read_only:
                store.connection.execute(_SCHEMA)
            _check_version(store, path)
            yield store
    except duckdb.Error as error:
        raise translated_error(error, path) from error


def open_in(workspace: WorkspaceFolder, read_only: bool = False) -> contextlib.AbstractContextManager[Database]:
    """The workspace's store; what does not fit in memory goes beside it."""
    return open_file(workspace.database, temporary=workspace.root / f"{TEMPORARY_PREFIX}duckdb", read_only=read_only)


def translated_error(error: duckdb.Error, path: Path) -> LookalikeError:
    """DuckDB's error in our words."""
    text = str(error).splitlines()[0]
    if "Conflicting lock" in text or "Could not set lock" in text:
        return StateError(f"{path}: another process holds the database", "close it, or name another --workspace")
    if "No space left" in text or isinstance(error, duckdb.OutOfMemoryException):
        return StateError(f"{path}: {text}", "free disk space; nothing was changed")
    return StateError(f"{path}: {text}", "if the file is damaged, move it away and ingest again")


def _check_version(store: Database, path: Path) -> None:
    known = store.rows("SELECT value FROM meta WHERE key = 'schema_version'")
    if not known:
        store.connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])
    elif known[0][0] != str(SCHEMA_VERSION):
        raise StateError(f"{path}: made by another version of lookalike", "ingest into a new --workspace")


@dataclass(frozen=True)
class Cut:
    """Which events count: those strictly before `as_of`, of users with at least `min_events` of them."""

    as_of: datetime
    min_events: int = 1


def end_of_log(store: Database) -> datetime:
    """The moment just after the last event. Raises StateError when nothing was ingested."""
    ((last,),) = store.rows("SELECT max(ts) FROM events")
    if last is None:
        raise StateError("nothing was ingested into this workspace", "lookalike ingest FILES")
    moment: datetime = last + timedelta(microseconds=1)
    return moment


def resolve_cutoff(store: Database, asked: datetime | None) -> datetime:
    """The asked cut, or the end of the log where none was asked or it is later: nothing is known of the time after it."""
    end = end_of_log(store)
    return min(asked, end) if asked else end


def declared_context_columns(store: Database) -> dict[str, str]:
    """The columns that were declared when a log was read: their names, and the columns of `events` that hold them."""
    rows = store.rows("SELECT value, key FROM meta WHERE list_contains(?, key) ORDER BY key", list(CONTEXT_SLOTS))
    return dict(rows)


def coded_fields(store: Database, known: Iterable[str] | None = None) -> dict[str, str]:
    """The fields whose values are coded, and their columns of `events`: all but those found to be identifiers.

    With `known`, the names that a vocabulary has, whatever was found or declared since.
    """
    left_out = {key for (key,) in store.rows("SELECT key FROM meta WHERE starts_with(key, ?)", EXCLUDED_PREFIX)}
    columns = {field: field for field in CODED_FIELDS} | declared_context_columns(store)
    if known is not None:
        return {name: columns[name] for name in known if name in columns}
    return {name: column for name, column in columns.items() if EXCLUDED_PREFIX + column not in left_out}


def last_file_id(store: Database) -> int:
    """The number of the newest file."""
    ((number,),) = store.rows("SELECT coalesce(max(file_id), 0) FROM files")
    return int(number)


def event_types(store: Database) -> list[str]:
    return [
        name for (name,) in store.rows("SELECT DISTINCT event_type FROM events WHERE event_type IS NOT NULL ORDER BY 1")
    ]


def first_event_times(store: Database, event_type: str) -> pl.DataFrame:
    """`user_id` and `moment`: seconds since 1970 of each user's first event of a type."""
    return store.frame(
        "SELECT user_id, floor(epoch(min(ts)))::BIGINT AS moment FROM events WHERE event_type = ? GROUP BY user_id",
        event_type,
    )


def with_events(store: Database, ids: pl.DataFrame) -> pl.DataFrame:
    """Those of the ids (column `user_id`) that have an event."""
    with store.registered(asked_for=ids.select("user_id")):
        return store.frame("SELECT user_id FROM asked_for SEMI JOIN events USING (user_id)")


def ingested_files(store: Database) -> list[dict[str, str]]:
    """Name and hash of every file the events and tables came from."""
    rows = store.rows("SELECT name, sha256, kind FROM files ORDER BY file_id")
    return [{"name": Path(name).name, "sha256": digest, "kind": kind} for name, digest, kind in rows]


def log_summary(store: Database) -> dict[str, Any]:
    """What was ingested, in counts."""
    ((events, users, first, last),) = store.rows(
        "SELECT count(*), count(DISTINCT user_id), min(ts), max(ts) FROM events"
    )
    ((items,),) = store.rows("SELECT count(DISTINCT item_id) FROM events")
    ((files, rejected, duplicates),) = store.rows(
        "SELECT count(*), coalesce(sum(rejected), 0)::BIGINT, coalesce(sum(duplicates), 0)::BIGINT FROM files"
    )
    return {
        "events": events,
        "users": users,
        "items": items,
        "first": first and first.isoformat(),
        "last": last and last.isoformat(),
        "files": files,
        "rejected": rejected,
        "duplicates": duplicates,
    }

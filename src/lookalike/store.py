"""The workspace's DuckDB file: its tables, one connection, transactions, and the queries of the later steps.

SQL stands here and in `ingest/`, nowhere else. Values reach a statement as parameters; identifiers through `quoted`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from lookalike.errors import LookalikeError, StateError
from lookalike.events import EVENT_FIELDS

SCHEMA_VERSION = 1

_EVENT_COLUMNS = ", ".join(
    f"{name} {kind}{' NOT NULL' if name in ('user_id', 'ts', 'event_type') else ''}" for name, kind in EVENT_FIELDS.items()
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


class Store:
    """One open connection to the workspace's database. Use as a context manager."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __enter__(self) -> "Store":
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

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, list(values)).fetchall()

    def frame(self, query: str, *values: Any) -> pl.DataFrame:
        frame = pl.from_arrow(self.connection.execute(query, list(values)).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame


def quoted(identifier: str) -> str:
    """A column or table name as SQL takes it, whatever it contains."""
    return '"' + identifier.replace('"', '""') + '"'


@contextlib.contextmanager
def opened(path: Path, *, temporary: Path | None = None, memory_limit: str = "4GiB") -> Iterator[Store]:
    """The store at `path`, made when it is not there. Raises StateError when it is damaged, full or of another version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"memory_limit": memory_limit, "TimeZone": "UTC", "autoinstall_known_extensions": "false"}
    if temporary:
        settings["temp_directory"] = str(temporary)
    try:
        with Store(duckdb.connect(str(path), config=settings)) as store:
            store.connection.execute(_SCHEMA)
            _check_version(store, path)
            yield store
    except duckdb.Error as error:
        raise explained(error, path) from error


def explained(error: duckdb.Error, path: Path) -> LookalikeError:
    """DuckDB's error in our words."""
    text = str(error).splitlines()[0]
    if "Conflicting lock" in text or "Could not set lock" in text:
        return StateError(f"{path}: another process holds the database", "close it, or name another --workspace")
    if "No space left" in text or isinstance(error, duckdb.OutOfMemoryException):
        return StateError(f"{path}: {text}", "free disk space; nothing was changed")
    return StateError(f"{path}: {text}", "if the file is damaged, move it away and ingest again")


def _check_version(store: Store, path: Path) -> None:
    known = store.rows("SELECT value FROM meta WHERE key = 'schema_version'")
    if not known:
        store.connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])
    elif known[0][0] != str(SCHEMA_VERSION):
        raise StateError(f"{path}: made by another version of lookalike", "ingest into a new --workspace")

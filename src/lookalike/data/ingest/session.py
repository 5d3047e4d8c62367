"""The state of a DuckDB connection while files are read: its time zone, and a folder for converted copies."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from lookalike.data.ingest import sql
from lookalike.errors import SettingsError
from lookalike.workspace.paths import temporary_folder


@contextlib.contextmanager
def reading_session(connection: duckdb.DuckDBPyConnection, timezone: str) -> Iterator[Path]:
    """Sets the zone of times that name none, and yields a scratch folder beside the database.

    Raises SettingsError for a time zone that DuckDB does not know.
    """
    connection.execute("SET enable_progress_bar = false")  # it would go to stdout, which is for data only
    try:
        connection.execute(f"SET TimeZone = {sql.literal(timezone)}")
    except duckdb.Error as error:
        raise SettingsError(f"unknown time zone {timezone!r}", "name one like Europe/Berlin") from error
    try:
        with temporary_folder(_database_folder(connection)) as folder:
            yield folder
    finally:
        connection.execute("SET TimeZone = 'UTC'")


@contextlib.contextmanager
def private_session(timezone: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A reading session of its own, on a database in memory, which spills into the scratch folder and nowhere else."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    with contextlib.closing(connection), reading_session(connection, timezone) as scratch:
        connection.execute(f"SET temp_directory = {sql.literal(str(scratch / 'spill'))}")
        yield connection, scratch


def _database_folder(connection: duckdb.DuckDBPyConnection) -> Path | None:
    """None for a database in memory."""
    row = connection.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchone()
    return Path(row[0]).parent if row and row[0] else None

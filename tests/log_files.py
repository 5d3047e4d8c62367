"""Writing small logs, ingesting them, and looking at what is stored."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lookalike.data.database import Database
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import IngestResult
from lookalike.errors import LookalikeError
from lookalike.workspace.progress import QuietProgress

TABLES = ("events", "files", "rejects", "items", "item_attributes", "users", "user_attributes")
TWO_EVENTS = "user_id,ts,event_type,item_id\nann,2024-03-01 10:00:00,view,a\nbob,2024-03-02 11:30:00,purchase,b\n"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_parquet(path: Path, query: str) -> Path:
    """Writes the result of a query."""
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def ingest(database: Database, *paths: Path, **options: Any) -> IngestResult:
    return ingest_files(database, list(paths), IngestOptions(**options), QuietProgress())


def refused(database: Database, *paths: Path, **options: Any) -> LookalikeError:
    """The error of an ingest that must fail and change nothing."""
    before = stored_tables(database)
    with pytest.raises(LookalikeError) as raised:
        ingest(database, *paths, **options)
    assert stored_tables(database) == before
    assert database.rows("SELECT table_name FROM duckdb_tables() WHERE temporary") == []
    assert raised.value.hint
    assert "\n" not in raised.value.message
    return raised.value


def stored_tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: database.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}


def stored_events(database: Database, fields: str = "user_id, ts, event_type, item_id") -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT {fields} FROM events ORDER BY ALL")


def stored_rejects(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT line, reason FROM rejects ORDER BY ALL")


def find_check(result: IngestResult, name: str) -> Any:
    """The first check of a kind; None when there is none."""
    return next((check for check in result.checks if check.check == name), None)

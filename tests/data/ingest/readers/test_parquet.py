"""Parquet: rows are numbered, damaged files are refused."""

import os
from pathlib import Path

import pytest

from log_files import ingest, refused, stored_rejects, write, write_parquet
from lookalike.data.database import Database


def thousand_events(path: Path) -> bytes:
    query = "SELECT 'u' || i AS user_id, DATE '2024-01-01' AS ts FROM range(1000) t(i)"
    return write_parquet(path, query).read_bytes()


def test_rejects_of_parquet_have_the_number_of_the_row(database: Database, tmp_path: Path) -> None:
    user = "CASE WHEN i % 4 > 0 THEN 'u' || i END AS user_id"
    query = f"SELECT {user}, DATE '2024-01-01' AS ts FROM range(10) t(i)"
    ingest(database, write_parquet(tmp_path / "a.parquet", query))
    assert stored_rejects(database) == [(1, "empty user_id"), (5, "empty user_id"), (9, "empty user_id")]


@pytest.mark.parametrize("size", [100, 2000])
def test_a_truncated_parquet_is_refused(database: Database, tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "cut.parquet", thousand_events(tmp_path / "whole.parquet")[:size])
    assert f"{path}: cannot be read as parquet" in refused(database, path).message


def test_parquet_damaged_in_the_middle_is_refused(database: Database, tmp_path: Path) -> None:
    damaged = bytearray(thousand_events(tmp_path / "whole.parquet"))
    damaged[20:600] = os.urandom(580)
    error = refused(database, write(tmp_path / "damaged.parquet", bytes(damaged)))
    assert error.exit_code == 3
    assert "damaged.parquet" in error.message


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("column", ["user_id", "item_id", "event_type", "country", "campaign", "value", "ts"])
def test_nan_and_infinities_are_empty_cells(database: Database, tmp_path: Path, column: str, kind: str) -> None:
    """Among so many rows that DuckDB reads them as vectors."""
    number = "1700000000 + i" if column == "ts" else "1 + i % 50"
    others = {"user_id": "'u' || i", "ts": "TIMESTAMP '2024-01-01' + to_seconds(i)"}
    others.pop(column, None)
    odd = " ".join(f"WHEN {rest} THEN '{word}'::{kind}" for rest, word in enumerate(("nan", "inf", "-inf"), start=1))
    cell = f"CASE i % 7 {odd} ELSE {number} END AS {column}"
    columns = ", ".join((cell, *(f"{text} AS {name}" for name, text in others.items())))
    path = write_parquet(tmp_path / "a.parquet", f"SELECT {columns} FROM range(7000) t(i)")
    result = ingest(database, path, context=("campaign",) if column == "campaign" else ())
    rejects = {"user_id": {"empty user_id": 3_000}, "ts": {"empty time": 1_000, "unreadable time": 2_000}}
    assert result.files[0].rejected == rejects.get(column, {})
    stored = "context_1" if column == "campaign" else column
    filled = 7_000 if column == "event_type" else 4_000
    assert database.rows(f"SELECT count({stored}), count(*) FILTER (contains({stored}::VARCHAR, 'n')) FROM events") == [
        (filled, 3_000 if column == "event_type" else 0)
    ]


def test_nan_in_the_tables_of_items_and_users_is_an_empty_cell(database: Database, tmp_path: Path) -> None:
    key = "CASE WHEN i % 7 = 1 THEN 'nan'::DOUBLE ELSE i + 1 END"
    other = "CASE WHEN i % 5 = 1 THEN 'inf'::DOUBLE WHEN i % 5 = 2 THEN 'nan'::DOUBLE ELSE i % 3 END AS size"
    events = write_parquet(tmp_path / "e.parquet", "SELECT 'u' AS user_id, TIMESTAMP '2024-01-01' AS ts")
    tables = {
        kind: write_parquet(
            tmp_path / f"{kind}.parquet", f"SELECT {key} AS {kind[:-1]}_id, {other} FROM range(70) t(i)"
        )
        for kind in ("items", "users")
    }
    result = ingest(database, events, **tables)
    assert [report.added for report in result.files] == [1, 60, 60]
    for kind in tables:
        assert database.rows(f"SELECT DISTINCT value FROM {kind[:-1]}_attributes ORDER BY 1") == [
            ("0",),
            ("1",),
            ("2",),
        ]

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

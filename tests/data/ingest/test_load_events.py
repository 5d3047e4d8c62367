"""An event file is stored whole or not at all."""

from pathlib import Path

import duckdb
import pytest

from log_files import TWO_EVENTS, ingest, refused, stored_tables, write
from lookalike.data.database import Database
from lookalike.data.ingest import load_events


def test_mixed_units_are_refused_when_they_show_late(database: Database, tmp_path: Path) -> None:
    rows = "".join(f"u{i},{1_700_000_000 + i}\n" for i in range(5000))
    error = refused(database, write(tmp_path / "a.csv", f"user_id,ts\n{rows}late,1700000000000\n"))
    assert "mix units: 5,000 in s, 1 in ms" in error.message


def test_an_error_in_the_middle_leaves_the_database_as_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> int:
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr(load_events, "drop_duplicates", disk_full)
    before = stored_tables(database)
    with pytest.raises(duckdb.IOException):
        ingest(database, write(tmp_path / "a.csv", TWO_EVENTS))
    assert stored_tables(database) == before

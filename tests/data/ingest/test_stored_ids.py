"""Workspaces of an earlier version: no second person is made of one whose id was stored as it was written."""

from pathlib import Path

import pytest

from log_files import ingest, write
from lookalike.data.database import Database
from lookalike.errors import StateError

LOG = "user_id,ts,item_id\nann,2024-01-01,i1\n7,2024-01-02,i2\n"


@pytest.mark.parametrize("stored", ["7.0", '="7"', "'7"])
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_ids_of_an_earlier_version_stop_an_ingest(database: Database, tmp_path: Path, stored: str, column: str) -> None:
    ingest(database, write(tmp_path / "a.csv", LOG))
    database.connection.execute("DELETE FROM meta WHERE key = 'ids_checked'")
    database.connection.execute(f"UPDATE events SET {column} = ?", [stored])
    with pytest.raises(StateError, match="ids that an earlier version stored"):
        ingest(database, write(tmp_path / "b.csv", LOG.replace("2024", "2023")))


def test_clean_ids_are_looked_at_once(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "a.csv", LOG))
    assert database.rows("SELECT value FROM meta WHERE key = 'ids_checked'") == [("1",)]
    assert ingest(database, write(tmp_path / "b.csv", LOG.replace("2024", "2023"))).totals.events == 4

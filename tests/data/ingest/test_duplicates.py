"""The same event is stored once."""

from datetime import datetime
from pathlib import Path

import pytest

from log_files import TWO_EVENTS, find_check, ingest, stored_events, write
from lookalike.data.database import Database
from lookalike.data.ingest import duplicates


def test_overlapping_files_do_not_double_events(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "a.csv", TWO_EVENTS))
    result = ingest(database, write(tmp_path / "b.csv", TWO_EVENTS + "eve,2024-03-02 11:00:00,view,c\n"))
    assert result.totals.events == 3
    assert result.files[0].duplicates == 2
    assert result.files[0].added == 1


def test_duplicates_within_a_file_are_dropped_and_counted(database: Database, tmp_path: Path) -> None:
    result = ingest(database, write(tmp_path / "a.csv", TWO_EVENTS + "ann,2024-03-01 10:00:00,view,a\n" * 3))
    assert stored_events(database) == [
        ("ann", datetime(2024, 3, 1, 10), "view", "a"),
        ("bob", datetime(2024, 3, 2, 11, 30), "purchase", "b"),
    ]
    assert (result.files[0].rows, result.files[0].added, result.files[0].duplicates) == (5, 2, 3)
    assert find_check(result, "duplicates").rows == 3


def test_duplicates_are_found_slice_by_slice(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_MAX_EVENTS_AT_ONCE", 7)
    rows = "".join(f"u{i % 9},2024-01-01 00:{i % 30:02}:00,view,a\n" for i in range(180))
    result = ingest(database, write(tmp_path / "a.csv", TWO_EVENTS.splitlines()[0] + "\n" + rows))
    ((distinct,),) = database.rows("SELECT count(*) FROM (SELECT DISTINCT * FROM events)")
    assert result.totals.events == distinct == 90
    assert result.files[0].duplicates == 90


def test_the_same_event_id_is_the_same_event(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts,item_id,event_id\nann,2024-01-01,b,1\nann,2024-01-01,a,1\nann,2024-01-01,a,2\n"
    result = ingest(database, write(tmp_path / "a.csv", text))
    assert stored_events(database, "item_id, event_id") == [("a", "1"), ("a", "2")]
    assert result.files[0].duplicates == 1

"""Event files as they are planned: what becomes of cells that cannot be read."""

from pathlib import Path

from log_files import find_check, ingest, stored_events, write
from lookalike.data.database import Database


def test_a_value_that_is_not_a_number_is_counted_and_the_event_kept(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "a.csv", "user,time,revenue\nann,2024-01-01,much\nbob,2024-01-01,2\n")
    result = ingest(database, log)
    assert stored_events(database, "user_id, value") == [("ann", None), ("bob", 2.0)]
    assert find_check(result, "unreadable_values").rows == 1

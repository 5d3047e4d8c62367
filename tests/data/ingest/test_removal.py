"""Removing a file and reading it again: the workspace is as if the file had never been read, or only now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from log_files import TWO_EVENTS, find_check, ingest, stored_events, stored_rejects, stored_tables, write
from lookalike.data.database import Database, coded_fields, last_file_id, log_summary, log_timezones, open_file
from lookalike.data.ingest import ingest as ingest_module
from lookalike.data.ingest import load_events
from lookalike.data.ingest.context_columns import require_finished_ingest
from lookalike.data.ingest.removal import remove_file
from lookalike.errors import DataError, StateError
from lookalike.workspace.files import sha256


def log(path: Path, user: str, day: int, more: str = "") -> Path:
    """Two events of a user, of others with the same country, and a row that is rejected."""
    lines = [f"{user},2024-03-{day:02} 1{hour}:00,view,i{hour},{user}land" for hour in range(2)]
    return write(
        path, "user_id,ts,event_type,item_id,country\n" + "\n".join([*lines, ",2024-03-01,view,x,"]) + "\n" + more
    )


def all_that_is_stored(database: Database) -> dict[str, Any]:
    """Everything but the numbers of the files."""
    tables = {
        name: database.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in ("seen_users", "seen_items", "days")
    }
    tables["days"] = database.rows("SELECT day, sum(events)::INTEGER FROM days GROUP BY day ORDER BY day")
    for name in ("events", "rejects", "files"):
        columns = "* EXCLUDE (file_id, ingested_at)" if name == "files" else "* EXCLUDE (file_id)"
        tables[name] = database.rows(f"SELECT {columns} FROM {name} ORDER BY ALL")
    for name in ("items", "item_attributes", "users", "user_attributes"):
        tables[name] = database.rows(f"SELECT * FROM {name} ORDER BY ALL")
    return tables | {
        "zones": log_timezones(database),
        "coded": coded_fields(database),
        "summary": log_summary(database),
    }


@pytest.fixture
def fresh(tmp_path: Path) -> Any:
    with open_file(tmp_path / "other" / "lookalike.duckdb") as opened:
        yield opened


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_after_a_removal_all_is_as_if_the_file_had_never_been_read(
    database: Database, fresh: Database, tmp_path: Path, removed: int
) -> None:
    files = [log(tmp_path / f"{user}.csv", user, day) for user, day in (("ann", 1), ("bob", 9), ("cy", 20))]
    zones = ["Asia/Tokyo", "Europe/Berlin", "UTC"]
    for file, zone in zip(files, zones, strict=True):
        ingest(database, file, timezone=zone)
    result = remove_file(database, str(files[removed]), dry_run=False)
    assert [(file.name, file.rows, file.added) for file in result.removed] == [(str(files[removed]), 3, 2)]
    for number in (each for each in range(3) if each != removed):
        ingest(fresh, files[number], timezone=zones[number])
    assert all_that_is_stored(database) == all_that_is_stored(fresh)
    require_finished_ingest(database)


def test_reading_again_is_reading_with_other_choices_from_the_start(
    database: Database, fresh: Database, tmp_path: Path
) -> None:
    files = [log(tmp_path / f"{user}.csv", user, day) for user, day in (("ann", 1), ("bob", 9))]
    ingest(database, *files)
    choices: dict[str, Any] = {"timezone": "Asia/Tokyo", "mapping": {"session_id": "country"}}
    result = ingest(database, files[0], again=True, **choices)
    assert (result.files[0].added, result.files[0].duplicates) == (2, 0)
    ingest(fresh, files[1])
    ingest(fresh, files[0], **choices)
    assert all_that_is_stored(database) == all_that_is_stored(fresh)
    assert ingest(database, files[0]).files[0].skipped
    again = ingest(database, *files, again=True, **choices)
    assert [file.added for file in again.files] == [2, 2]
    assert log_timezones(database) == ("Asia/Tokyo",)


def test_rows_from_the_future_come_back(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2024, 3, 5, tzinfo=UTC)

    path = write(tmp_path / "a.csv", "user_id,ts\nann,2024-03-01\nbob,2024-03-09\n")
    with monkeypatch.context() as slow:
        slow.setattr(ingest_module, "datetime", SlowClock)
        ingest(database, path)
    assert stored_rejects(database) == [(3, "time in the future")]
    assert ingest(database, path).files[0].skipped
    ingest(database, path, again=True)
    assert (stored_rejects(database), len(stored_events(database))) == ([], 2)


def test_a_file_that_cannot_be_read_again_stays_as_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log(tmp_path / "a.csv", "ann", 1)
    ingest(database, path)
    before = stored_tables(database)
    with pytest.raises(DataError):
        ingest(database, path, again=True, mapping={"ts": "country"})
    assert stored_tables(database) == before

    def fail(*_: object) -> None:
        raise DataError("full", "")

    monkeypatch.setattr(load_events, "record_file", fail)
    with pytest.raises(DataError, match="full"):
        ingest(database, path, again=True)
    assert stored_tables(database) == before


def test_numbers_of_files_are_never_used_again(database: Database, tmp_path: Path) -> None:
    ingest(database, log(tmp_path / "a.csv", "ann", 1), log(tmp_path / "b.csv", "bob", 2))
    remove_file(database, "b.csv", dry_run=False)
    assert last_file_id(database) == 3, "vectors that have read up to 2 are older than the removal"
    ingest(database, log(tmp_path / "c.csv", "cy", 3))
    assert database.rows("SELECT file_id FROM files ORDER BY 1") == [(1,), (4,)]


def test_files_that_dropped_rows_of_the_removed_one_are_named(database: Database, tmp_path: Path) -> None:
    first = log(tmp_path / "a.csv", "ann", 1)
    copies = log(tmp_path / "b.csv", "ann", 1, "bob,2024-03-02,view,i1,x\n")
    ingest(database, first)
    ingest(database, copies, log(tmp_path / "c.csv", "cy", 2))
    assert remove_file(database, "b.csv", dry_run=True).removed[0].ingest_again == ()
    check = find_check(ingest(database, first, again=True), "duplicates_of_removed")
    assert check.files == (str(copies),)
    result = remove_file(database, "a.csv", dry_run=False)
    assert result.removed[0].ingest_again == ()  # it was read last: nobody has dropped rows of it since
    ingest(database, copies, again=True)
    assert len(stored_events(database)) == 5


def test_a_table_goes_with_its_file_unless_its_rows_are_mixed_with_others(database: Database, tmp_path: Path) -> None:
    events = write(tmp_path / "a.csv", TWO_EVENTS)
    for kind in ("items", "users"):
        first = write(tmp_path / f"{kind}.csv", f"{kind[:-1]}_id,colour\na,red\nb,blue\n")
        other = write(tmp_path / f"more_{kind}.csv", f"{kind[:-1]}_id,colour\nc,red\n")
        ingest(database, events, **{kind: first})
        again = ingest(database, events, again=True, **{kind: first})
        assert [file.added for file in again.files] == [2, 2]
        remove_file(database, first.name, dry_run=False)
        assert database.rows(f"FROM {kind}") == database.rows(f"FROM {kind[:-1]}_attributes") == []
        ingest(database, events, **{kind: first})
        ingest(database, events, **{kind: other})
        with pytest.raises(StateError, match=f"several tables of {kind} were ingested"):
            remove_file(database, first.name, dry_run=False)


def test_a_file_is_found_by_name_path_and_hash(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [log(tmp_path / f"{folder}/a.csv", folder, 1) for folder in ("one", "two")]
    ingest(database, *files)
    copied = write(tmp_path / "elsewhere.csv", files[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    before = stored_tables(database)
    for what in (str(files[0]), str(copied), "elsewhere.csv", sha256(files[0]), sha256(files[0])[:8].upper()):
        result = remove_file(database, what, dry_run=True)
        assert [file.name for file in result.removed] == [str(files[0])]
    for what, message in (("a.csv", "2 ingested files are called so"), ("b.csv", "no such file"), ("", "no such file")):
        with pytest.raises(StateError, match=message):
            remove_file(database, what, dry_run=False)
    assert stored_tables(database) == before


def test_the_last_file_can_be_removed_and_another_log_begins(database: Database, tmp_path: Path) -> None:
    ingest(database, log(tmp_path / "a.csv", "ann", 1))
    remove_file(database, "a.csv", dry_run=False)
    assert log_summary(database).events == 0
    result = ingest(database, log(tmp_path / "b.csv", "bob", 2))
    assert (result.totals.users, result.totals.events) == (1, 2)

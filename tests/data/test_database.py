"""The database: transactions, versions, translated errors, and the queries about the log as a whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from log_files import TWO_EVENTS, ingest, write
from lookalike.api.status import next_step, status
from lookalike.data.database import (
    Database,
    LogSummary,
    end_of_log,
    first_event_times,
    ingested_files,
    ingested_users,
    last_file_id,
    log_summary,
    log_timezones,
    open_file,
    open_in,
    quoted,
    resolve_cutoff,
)
from lookalike.data.schema import SourceFile
from lookalike.errors import StateError
from lookalike.workspace.paths import NothingIngested, WorkspaceFolder

# --- the connection --------------------------------------------------------------------------------------------------


def test_database_is_created_with_its_tables_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lookalike.duckdb"
    with open_file(path) as first:
        first.rows("INSERT INTO users VALUES ('ann')")
    with open_file(path) as second:
        assert second.rows("SELECT user_id FROM users") == [("ann",)]


_KILLED = """
import os, signal, sys
from pathlib import Path
from lookalike.data import database
original = database.Database.transaction
def dying(self):
    os.kill(os.getpid(), signal.SIGKILL)
database.Database.transaction = dying
with database.open_file(Path(sys.argv[1])):
    pass
"""


def blank(path: Path) -> None:
    path.write_bytes(b"")


def without_tables(path: Path) -> None:
    duckdb.connect(str(path)).close()


def without_version(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)")


def killed(path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(path)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()


@pytest.mark.parametrize("leave", [blank, without_tables, without_version, killed])
def test_what_a_first_ingest_that_was_killed_leaves_is_an_empty_workspace(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    folder = WorkspaceFolder(tmp_path)
    leave(folder.database)
    with pytest.raises(NothingIngested) as raised, open_file(folder.database, read_only=True):
        pass
    assert raised.value.hint == "lookalike ingest FILES"
    assert (status(folder).log, status(folder).next_step, next_step(folder)) == (None, "ingest", "ingest")
    with open_file(folder.database) as database:
        ingest(database, write(tmp_path / "a.csv", TWO_EVENTS))
    assert status(folder).next_step == "train"
    assert not list(tmp_path.glob(".lookalike-tmp-*"))


def test_what_a_reader_spills_stays_while_another_command_cleans_up(tmp_path: Path) -> None:
    folder = WorkspaceFolder(tmp_path)
    with open_in(folder):
        pass
    code = (
        "import sys\nfrom pathlib import Path\nfrom lookalike.data.database import open_in\n"
        "from lookalike.workspace.paths import WorkspaceFolder\n"
        "with open_in(WorkspaceFolder(Path(sys.argv[1])), read_only=True) as database:\n"
        "    database.rows(\"SET memory_limit = '32MB'\")\n    database.rows('SET threads = 1')\n"
        "    query = 'SELECT range FROM range(3_000_000) ORDER BY hash(range)'\n"
        "    result = database.connection.execute(query)\n    first = result.fetchmany(10)\n"
        "    print(flush=True)\n    sys.stdin.read()\n    print(len(first) + len(result.fetchall()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "\n"
        assert list(tmp_path.glob(f".lookalike-tmp-duckdb-{reader.pid}-*/*"))
        status(folder)
        assert reader.communicate() == ("3000000\n", None)
    assert not list(tmp_path.glob(".lookalike-tmp-*"))


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NothingIngested), open_file(tmp_path / "new" / "lookalike.duckdb", read_only=True):
        pass
    assert not (tmp_path / "new").exists()


def test_transaction_is_all_or_nothing(march_log: Database) -> None:
    with pytest.raises(duckdb.ConversionException), march_log.transaction():
        march_log.rows("DELETE FROM events WHERE user_id = 'ann' OR CAST('x' || user_id AS INTEGER) = 1")
    assert march_log.rows("SELECT count(*) FROM events") == [(7,)]
    with march_log.transaction():
        march_log.rows("DELETE FROM events WHERE user_id = 'zed'")
    assert march_log.rows("SELECT count(*) FROM events") == [(6,)]


def test_database_of_another_version_is_refused(tmp_path: Path) -> None:
    with open_file(tmp_path / "a.duckdb") as database:
        database.rows("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StateError, match="another version"), open_file(tmp_path / "a.duckdb"):
        pass


def test_database_of_another_program_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as foreign:
        foreign.execute("CREATE TABLE events (something INTEGER)")
        foreign.execute("INSERT INTO events VALUES (7)")
    with pytest.raises(StateError), open_file(path) as database:
        end_of_log(database)
    with duckdb.connect(str(path)) as foreign:
        assert foreign.execute("SELECT * FROM events").fetchall() == [(7,)]


def test_damaged_file_is_a_state_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError) as raised, open_file(tmp_path / "a.duckdb"):
        pass
    assert str(tmp_path / "a.duckdb") in raised.value.message
    assert "\n" not in raised.value.message


def test_database_held_by_another_process_is_a_state_error(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with open_file(path):
        pass
    code = (
        "import duckdb, sys\nheld = duckdb.connect(sys.argv[1])\n"
        "sys.stdout.write('held\\n')\nsys.stdout.flush()\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match="another process holds the database"), open_file(path, patience=0):
            pass
        holder.communicate()


def test_a_database_that_others_soon_let_go_is_waited_for(tmp_path: Path) -> None:
    with open_file(path := tmp_path / "a.duckdb"):
        pass
    code = "import duckdb, sys, time\nheld = duckdb.connect(sys.argv[1], read_only=True)\nprint(flush=True)\ntime.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with open_file(path) as database:
            database.rows("INSERT INTO users VALUES ('ann')")


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "a; DROP TABLE x", " ", "two\nlines", "שלום"])
def test_any_name_can_be_quoted(name: str) -> None:
    assert duckdb.sql(f"SELECT 1 AS {quoted(name)}").columns == [name]


# --- the log as a whole ----------------------------------------------------------------------------------------------


def test_end_of_log_is_just_after_the_last_event(march_log: Database) -> None:
    assert end_of_log(march_log) == datetime(2024, 3, 12, 0, 0, 0, 1)


def test_empty_log_has_no_end(database: Database) -> None:
    with pytest.raises(StateError, match="nothing was ingested"):
        end_of_log(database)
    database.rows(
        """INSERT INTO files VALUES
           (1, 'users.csv', 'abc', 'users', 1, 1, 0, 0, NULL, NULL, '{}', now()::TIMESTAMP)"""
    )
    database.rows("INSERT INTO users VALUES ('ann')")
    with pytest.raises(StateError, match="only tables were ingested, and no event"):
        end_of_log(database)


def test_cutoff_is_never_after_the_end_of_the_log(march_log: Database) -> None:
    end = end_of_log(march_log)
    assert resolve_cutoff(march_log, None) == end
    assert resolve_cutoff(march_log, datetime(2030, 1, 1)) == end
    assert resolve_cutoff(march_log, datetime(2024, 3, 2)) == datetime(2024, 3, 2)


def test_summary_counts_what_was_ingested(march_log: Database) -> None:
    march_log.rows(
        """INSERT INTO files VALUES (1, '/logs/a.csv', 'abc', 'events', 9, 5, 3, 1, NULL, NULL, '{}', now()::TIMESTAMP),
                                    (2, 'items.csv', 'def', 'items', 2, 2, 0, 0, NULL, NULL, '{}', now()::TIMESTAMP)"""
    )
    march_log.rows("INSERT INTO users VALUES ('ann'), ('zed'), ('new'), ('newer')")
    assert log_summary(march_log) == LogSummary(
        events=7,
        users=4,
        without_events=2,
        items=3,
        first=datetime(2024, 3, 1),
        last=datetime(2024, 3, 12),
        files=2,
        rejected=3,
        duplicates=1,
    )
    assert ingested_files(march_log) == (
        SourceFile(name="a.csv", sha256="abc", kind="events"),
        SourceFile(name="items.csv", sha256="def", kind="items"),
    )
    assert last_file_id(march_log) == 2


def test_summary_of_an_empty_log_has_no_times(database: Database) -> None:
    summary = log_summary(database)
    assert (summary.events, summary.first, summary.last) == (0, None, None)
    assert ingested_files(database) == ()
    assert last_file_id(database) == 0


def test_first_events_are_those_of_the_type(march_log: Database) -> None:
    first = first_event_times(march_log, "purchase")
    assert first.rows() == [("bob", int((datetime(2024, 3, 2) - datetime(1970, 1, 1)).total_seconds()))]


def test_zones_that_local_times_were_read_in_are_known(database: Database, tmp_path: Path) -> None:
    assert log_timezones(database) == ("UTC",)
    ingest(database, write(tmp_path / "z.csv", "user_id,ts\nann,2026-03-01T12:00Z\n"), timezone="Asia/Tokyo")
    assert log_timezones(database) == ("UTC",)  # its times name their zone
    ingest(database, write(tmp_path / "a.csv", "user_id,ts\nann,2026-03-01\n"), timezone="Asia/Tokyo")
    assert log_timezones(database) == ("Asia/Tokyo",)
    ingest(database, write(tmp_path / "b.csv", "user_id,ts\nann,2026-03-02\n"), timezone="Europe/Berlin")
    assert log_timezones(database) == ("Asia/Tokyo", "Europe/Berlin")


def test_ingested_users_are_those_of_the_ids_that_have_an_event_or_are_in_the_table(march_log: Database) -> None:
    march_log.rows("INSERT INTO users VALUES ('ann'), ('new')")
    ids = pl.DataFrame({"user_id": ["zed", "nobody", "ann", "new"]})
    assert sorted(ingested_users(march_log, ids)["user_id"]) == ["ann", "new", "zed"]


def test_a_second_opening_in_another_mode_is_told_who_works_on_it(tmp_path: Path) -> None:
    path = tmp_path / "lookalike.duckdb"
    with (
        open_file(path),
        pytest.raises(StateError, match="another thread of this process"),
        open_file(path, read_only=True, patience=0),
    ):
        pass

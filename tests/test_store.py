"""The store: transactions, versions, errors in our words, and the queries of the later steps."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from lookalike.data import behaviour, database, id_encoding
from lookalike.data.database import Cut, Database, open_file, quoted
from lookalike.errors import StateError

END = datetime(2024, 3, 10)
EVENTS = [  # user, day of March 2024, event type, item, country
    ("bob", 1, "view", "a", "de"),
    ("bob", 2, "purchase", "b", "de"),
    ("ann", 3, "view", "b", None),
    ("ann", 3, "view", "a", "fr"),
    ("cy", 4, "view", None, "de"),
    ("ann", 9, "view", "c", "de"),
    ("zed", 12, "view", "a", "it"),  # after the cut
]


@pytest.fixture
def log(tmp_path: Path):
    with open_file(tmp_path / "space" / "lookalike.duckdb") as made:
        for user, day, kind, item, country in EVENTS:
            made.rows(
                "INSERT INTO events (user_id, ts, event_type, item_id, country, file_id) VALUES (?, ?, ?, ?, ?, 1)",
                *(user, datetime(2024, 3, day), kind, item, country),
            )
        yield made


# --- the connection --------------------------------------------------------------------------------------------------


def test_store_is_made_with_its_tables_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lookalike.duckdb"
    with open_file(path) as first:
        first.rows("INSERT INTO users VALUES ('ann')")
    with open_file(path) as second:
        assert second.rows("SELECT user_id FROM users") == [("ann",)]


def test_transaction_is_all_or_nothing(log: Database) -> None:
    with pytest.raises(duckdb.ConversionException), log.transaction():
        log.rows("DELETE FROM events WHERE user_id = 'ann' OR CAST('x' || user_id AS INTEGER) = 1")
    assert log.rows("SELECT count(*) FROM events") == [(len(EVENTS),)]
    with log.transaction():
        log.rows("DELETE FROM events WHERE user_id = 'zed'")
    assert log.rows("SELECT count(*) FROM events") == [(len(EVENTS) - 1,)]


def test_store_of_another_version_is_refused(tmp_path: Path) -> None:
    with open_file(tmp_path / "a.duckdb") as made:
        made.rows("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StateError, match="another version"), open_file(tmp_path / "a.duckdb"):
        pass


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(path)) as theirs:
        theirs.execute("CREATE TABLE events (something INTEGER)")
        theirs.execute("INSERT INTO events VALUES (7)")
    with pytest.raises(StateError), open_file(path) as made:
        database.end_of_log(made)
    with duckdb.connect(str(path)) as theirs:
        assert theirs.execute("SELECT * FROM events").fetchall() == [(7,)]


def test_damaged_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError) as raised, open_file(tmp_path / "a.duckdb"):
        pass
    assert str(tmp_path / "a.duckdb") in raised.value.message
    assert "\n" not in raised.value.message


def test_database_held_by_another_process_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with open_file(path):
        pass
    code = (
        "import duckdb, sys\nheld = duckdb.connect(sys.argv[1])\n"
        "sys.stdout.write('held\\n')\nsys.stdout.flush()\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StateError, match="another process holds the database"), open_file(path):
            pass
        other.communicate()


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "a; DROP TABLE x", "", "two\nlines", "שלום"])
def test_any_name_may_be_quoted(name: str) -> None:
    assert duckdb.sql(f"SELECT 1 AS {quoted(name or ' ')}").columns == [name or " "]


# --- what the later steps read ---------------------------------------------------------------------------------------


def test_last_moment_is_just_after_the_last_event(log: Database) -> None:
    assert database.end_of_log(log) == datetime(2024, 3, 12, 0, 0, 0, 1)


def test_nothing_ingested_has_no_last_moment(tmp_path: Path) -> None:
    with open_file(tmp_path / "a.duckdb") as empty, pytest.raises(StateError, match="nothing was ingested"):
        database.end_of_log(empty)


def test_users_are_numbered_by_id_and_items_by_count(log: Database) -> None:
    id_encoding.encode_ids(log, Cut(END))
    users = pl.from_arrow(id_encoding.user_rows(log).read_all())
    assert users["row"].to_list() == [0, 1, 2]  # type: ignore[index]
    assert users["user_id"].to_list() == ["ann", "bob", "cy"]  # type: ignore[index]
    assert users["events"].to_list() == [3, 2, 1]  # type: ignore[index]
    assert users["tie"].n_unique() == 3  # type: ignore[index,union-attr]
    assert id_encoding.item_list(log) == ["a", "b", "c"]


def test_ties_follow_from_the_id_alone(log: Database, tmp_path: Path) -> None:
    def ties(made: Database) -> dict[str, int]:
        id_encoding.encode_ids(made, Cut(END))
        frame = pl.from_arrow(id_encoding.user_rows(made).read_all())
        return dict(zip(frame["user_id"], frame["tie"], strict=True))  # type: ignore[index]

    before = ties(log)
    log.rows("DELETE FROM events WHERE user_id = 'bob'")
    assert ties(log) == {user: before[user] for user in ("ann", "cy")}


def test_users_with_too_few_events_are_left_out(log: Database) -> None:
    id_encoding.encode_ids(log, Cut(END, min_events=2))
    users = pl.from_arrow(id_encoding.user_rows(log).read_all())
    assert users["user_id"].to_list() == ["ann", "bob"]  # type: ignore[index]


def test_events_stream_in_order_of_users_and_time_up_to_the_cut(log: Database) -> None:
    id_encoding.encode_ids(log, Cut(END))
    stream = pl.from_arrow(id_encoding.event_stream(log, Cut(END)).read_all())
    assert isinstance(stream, pl.DataFrame)
    assert stream["item"].to_list() == [0, 1, 2, 0, 1, -1]
    moments = [datetime.fromtimestamp(second).day for second in stream["time"]]
    assert len(moments) == 6
    first_of_each = stream["time"].to_list()
    assert first_of_each[:3] == sorted(first_of_each[:3])
    countries = id_encoding.code_values(log, "country")
    assert countries == ["de", "fr"]
    assert stream["country"].to_list() == [2, 0, 1, 1, 1, 1]


def test_attributes_of_items_are_coded_by_how_common_they_are(log: Database) -> None:
    for item, family in (("a", "x"), ("b", "x"), ("c", "y"), ("unseen", "y")):
        log.rows("INSERT INTO item_attributes VALUES (?, 'family', ?)", item, family)
    id_encoding.encode_ids(log, Cut(END))
    names, pairs = id_encoding.item_attribute_codes(log, 10)
    assert names == [("family", "x")]  # y has one item in the log: it tells nothing that the item does not
    assert pairs.rows() == [(0, 0), (1, 0)]


def test_deeds_count_each_user_once(log: Database) -> None:
    looked_at = pl.DataFrame({"user_id": ["ann", "bob", "cy"], "audience": [1, 0, 1], "base": [1, 1, 0]}).with_columns(
        pl.col("audience", "base").cast(pl.Int8)
    )
    counts = behaviour.behaviour_counts(log, looked_at, Cut(END))
    events = {label: (a, b) for title, label, a, b in counts.iter_rows() if title == "Event types"}
    assert events == {"view": (2, 2), "purchase": (0, 1)}
    items = {label: (a, b) for title, label, a, b in counts.iter_rows() if title == "Items"}
    assert items == {"a": (1, 2), "b": (1, 2), "c": (1, 1)}


def test_summary_counts_what_is_held(log: Database) -> None:
    held = database.log_summary(log)
    assert (held["events"], held["users"], held["items"]) == (7, 4, 3)
    assert (held["first"], held["last"]) == ("2024-03-01T00:00:00", "2024-03-12T00:00:00")


def test_summary_of_nothing_has_no_moments(tmp_path: Path) -> None:
    with open_file(tmp_path / "a.duckdb") as empty:
        assert database.log_summary(empty)["first"] is None


def test_a_value_that_few_users_have_is_not_named(log: Database) -> None:
    users = [f"v{n:03d}" for n in range(60)]
    log.connection.executemany(
        "INSERT INTO events (user_id, ts, event_type, file_id) VALUES (?, TIMESTAMP '2024-03-01', 'view', 1)",
        [(user,) for user in users],
    )
    rows = [
        (user, "plan", "pro" if n < 25 else "free" if n < 49 else f"plan of {user}") for n, user in enumerate(users)
    ]
    log.connection.executemany("INSERT INTO user_attributes VALUES (?, ?, ?)", rows)
    id_encoding.encode_ids(log, Cut(END))
    assert id_encoding.user_attribute_codes(log, 10)[0] == [("plan", "pro")]

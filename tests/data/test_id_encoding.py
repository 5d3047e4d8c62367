"""The numbers of users, items and values, and the events in that form."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from lookalike.data import id_encoding
from lookalike.data.database import Cut, Database
from lookalike.data.id_encoding import Watermark

CUT = Cut(datetime(2024, 3, 10))


def user_frame(database: Database) -> pl.DataFrame:
    frame = pl.from_arrow(id_encoding.user_rows(database).read_all())
    assert isinstance(frame, pl.DataFrame)
    return frame


def test_users_are_numbered_by_id_and_items_by_count(march_log: Database) -> None:
    id_encoding.encode_ids(march_log, CUT)
    users = user_frame(march_log)
    assert users["row"].to_list() == [0, 1, 2]
    assert users["user_id"].to_list() == ["ann", "bob", "cy"]
    assert users["events"].to_list() == [3, 2, 1]
    assert users["tie"].n_unique() == 3
    assert id_encoding.item_list(march_log) == ["a", "b", "c"]


def test_ties_depend_on_the_id_only(march_log: Database) -> None:
    def ties() -> dict[str, int]:
        id_encoding.encode_ids(march_log, CUT)
        return dict(user_frame(march_log).select("user_id", "tie").iter_rows())

    before = ties()
    march_log.rows("DELETE FROM events WHERE user_id = 'bob'")
    assert ties() == {user: before[user] for user in ("ann", "cy")}


def test_users_with_too_few_events_are_excluded(march_log: Database) -> None:
    id_encoding.encode_ids(march_log, Cut(CUT.as_of, min_events=2))
    assert user_frame(march_log)["user_id"].to_list() == ["ann", "bob"]


def test_people_of_the_users_table_without_any_event_are_users_unless_events_are_required(march_log: Database) -> None:
    march_log.rows("INSERT INTO users VALUES ('ann'), ('aaron'), ('zoe'), ('zed')")  # zed's event is after the cut
    id_encoding.encode_ids(march_log, Cut(CUT.as_of, min_events=0))
    users = user_frame(march_log)
    assert users["row"].to_list() == [0, 1, 2, 3, 4]
    assert users["user_id"].to_list() == ["aaron", "ann", "bob", "cy", "zoe"]
    assert users["events"].to_list() == [0, 3, 2, 1, 0]
    for enough in (1, 2):
        id_encoding.encode_ids(march_log, Cut(CUT.as_of, min_events=enough))
        assert user_frame(march_log)["user_id"].to_list() == ["ann", "bob", "cy"][: 4 - enough]


def test_people_without_events_are_never_changed_and_are_matched_with_an_earlier_version(
    march_log: Database, tmp_path: Path
) -> None:
    pl.DataFrame({"row": [0, 1], "user_id": ["aaron", "bob"]}).write_parquet(tmp_path / "old.parquet")
    march_log.rows("INSERT INTO users VALUES ('aaron'), ('zed')")
    cut = Cut(CUT.as_of, min_events=0)
    id_encoding.encode_ids(march_log, cut)
    id_encoding.keep_changed_users(march_log, cut, Watermark(as_of=datetime(2024, 3, 5), last_file=1))
    assert user_frame(march_log).select("row", "user_id").rows() == [(0, "ann")]
    matched = pl.from_arrow(id_encoding.matched_user_rows(march_log, tmp_path / "old.parquet").read_all())
    assert matched.rows() == [(0, -1), (-1, 0), (1, -1), (-1, -1)]  # aaron, ann, bob, cy  # type: ignore[union-attr]


def test_values_of_people_with_events_have_the_first_codes(database: Database) -> None:
    for user in range(30):
        database.rows(
            "INSERT INTO events (user_id, ts, event_type, file_id) VALUES (?, ?, 'view', 1)", f"a{user}", CUT.as_of
        )
    for name, count, plan in (("a", 30, "pro"), ("b", 90, "free"), ("c", 24, "rare")):
        ids = [(f"{name}{user}",) for user in range(count)]
        database.connection.executemany("INSERT INTO users VALUES (?)", ids)
        database.connection.executemany(f"INSERT INTO user_attributes VALUES (?, 'plan', '{plan}')", ids)
    id_encoding.encode_ids(database, Cut(datetime(2024, 3, 11), min_events=0))
    names, pairs = id_encoding.user_attribute_codes(database, 10)
    assert names == [("plan", "pro"), ("plan", "free")]
    assert len(pairs) == 120
    assert id_encoding.user_attribute_codes(database, 1)[0] == [("plan", "pro")]


@pytest.mark.usefixtures("rare_values")
def test_events_stream_by_user_and_time_up_to_the_cut(march_log: Database) -> None:
    id_encoding.encode_ids(march_log, CUT)
    stream = pl.from_arrow(id_encoding.event_stream(march_log, CUT).read_all())
    assert isinstance(stream, pl.DataFrame)
    assert stream["item"].to_list() == [0, 1, 2, 0, 1, -1]
    days = [datetime.fromtimestamp(second).day for second in stream["time"]]
    assert days == [3, 3, 9, 1, 2, 4]
    assert id_encoding.code_values(march_log, "country") == ["de", "fr"]
    assert stream["country"].to_list() == [2, 0, 1, 1, 1, 1]


def test_changed_users_are_those_with_events_that_the_watermark_does_not_cover(
    march_log: Database, tmp_path: Path
) -> None:
    pl.DataFrame({"row": [0, 1, 2], "user_id": ["ann", "bob", "gone"]}).write_parquet(tmp_path / "old.parquet")
    march_log.rows("UPDATE events SET file_id = 2 WHERE user_id = 'cy'")
    id_encoding.encode_ids(march_log, CUT)
    id_encoding.keep_changed_users(march_log, CUT, Watermark(as_of=datetime(2024, 3, 5), last_file=1))
    assert user_frame(march_log).select("row", "user_id").rows() == [(0, "ann"), (1, "cy")]
    matched = pl.from_arrow(id_encoding.matched_user_rows(march_log, tmp_path / "old.parquet").read_all())
    assert matched.rows() == [(0, 0), (1, -1), (-1, 1)]  # ann, bob, cy  # type: ignore[union-attr]


@pytest.mark.usefixtures("rare_values")
def test_item_attributes_are_coded_by_how_common_they_are(march_log: Database) -> None:
    for item, family in (("a", "x"), ("b", "x"), ("c", "y"), ("not in the log", "y")):
        march_log.rows("INSERT INTO item_attributes VALUES (?, 'family', ?)", item, family)
    id_encoding.encode_ids(march_log, CUT)
    names, pairs = id_encoding.item_attribute_codes(march_log, 10)
    assert names == [("family", "x")]  # only one item of the log has y
    assert pairs.rows() == [(0, 0), (1, 0)]


def test_a_user_attribute_that_few_users_have_gets_no_code(march_log: Database) -> None:
    users = [f"v{n:03d}" for n in range(60)]
    march_log.connection.executemany(
        "INSERT INTO events (user_id, ts, event_type, file_id) VALUES (?, TIMESTAMP '2024-03-01', 'view', 1)",
        [(user,) for user in users],
    )
    rows = [
        (user, "plan", "pro" if n < 25 else "free" if n < 49 else f"plan of {user}") for n, user in enumerate(users)
    ]
    march_log.connection.executemany("INSERT INTO user_attributes VALUES (?, ?, ?)", rows)
    id_encoding.encode_ids(march_log, CUT)
    assert id_encoding.user_attribute_codes(march_log, 10)[0] == [("plan", "pro")]

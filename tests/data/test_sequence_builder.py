"""Sequences built from a log, against the same log handled in plain Python."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.data import private_values, sequence_builder
from lookalike.data.database import Cut, Database, end_of_log
from lookalike.data.id_encoding import Watermark
from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.errors import StateError
from planted_log import built
from random_log import START, Row, insert_log, random_log


@pytest.fixture(autouse=True)
def small_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs here have too few users for values that 25 of them share."""
    monkeypatch.setattr(private_values, "MIN_USERS_PER_VALUE", 1)


def names_by_count(log: list[Row], field: str) -> list[str]:
    """Values by count, then by name: the order of their numbers."""
    counts = Counter(row[field] for row in log if row[field] is not None)
    return sorted(counts, key=lambda value: (-counts[value], value))


def decoded(arrays: Sequences, vocabulary: Vocabulary) -> list[list[tuple[Any, ...]]]:
    """The arrays as values again: a list of events per user."""

    def value_of(field: str, code: int) -> str | None:
        return vocabulary.codes[field][code - 1] if code else None

    users = []
    for first, last in zip(arrays.offsets, arrays.offsets[1:], strict=False):
        events = []
        for position in range(first, last):
            item = int(arrays["item"][position])
            value, quantity = float(arrays["value"][position]), float(arrays["quantity"][position])
            events.append(
                (
                    int(arrays["time"][position]),
                    vocabulary.items[item] if item >= 0 else None,
                    value_of("event_type", int(arrays["event_type"][position])),
                    None if np.isnan(value) else value,
                    None if np.isnan(quantity) else quantity,
                    value_of("country", int(arrays["country"][position])),
                )
            )
        users.append(events)
    return users


def events_by_user(log: list[Row]) -> list[list[tuple[Any, ...]]]:
    users: dict[str, list[tuple[Any, ...]]] = {}
    for row in log:
        time = int((row["ts"] - datetime(1970, 1, 1)).total_seconds())
        fields = ("item_id", "event_type", "value", "quantity", "country")
        users.setdefault(row["user_id"], []).append((time, *(row[field] for field in fields)))
    return [users[user] for user in sorted(users)]


def by_moment(events: list[tuple[Any, ...]]) -> list[tuple[int, Counter[tuple[Any, ...]]]]:
    """Events of one moment as a multiset, the moments in the order they come in."""
    moments: list[tuple[int, Counter[tuple[Any, ...]]]] = []
    for event in events:
        if not moments or moments[-1][0] != event[0]:
            moments.append((event[0], Counter()))
        moments[-1][1][event] += 1
    return moments


@pytest.mark.parametrize("seed", range(4))
def test_each_user_has_all_events_in_time_order(database: Database, tmp_path: Path, seed: int) -> None:
    log = random_log(seed)
    insert_log(database, log)
    arrays, vocabulary = built(database, tmp_path)
    expected = events_by_user(log)
    assert [by_moment(user) for user in decoded(arrays, vocabulary)] == [
        by_moment(sorted(user, key=lambda event: event[0])) for user in expected
    ]
    assert np.diff(arrays.offsets).tolist() == [len(user) for user in expected]
    assert vocabulary.items == names_by_count(log, "item_id")
    assert vocabulary.codes["event_type"] == names_by_count(log, "event_type")
    assert vocabulary.codes["country"] == names_by_count(log, "country")


def test_the_order_of_rows_in_the_log_changes_no_byte(database: Database, tmp_path: Path) -> None:
    log = random_log(1)
    insert_log(database, log)
    first, first_vocabulary = built(database, tmp_path / "a")
    database.connection.execute("DELETE FROM events")
    insert_log(database, [log[position] for position in np.random.default_rng(0).permutation(len(log))])
    second, second_vocabulary = built(database, tmp_path / "b")
    for column in COLUMNS:
        assert first[column].tobytes() == second[column].tobytes(), column
    assert first_vocabulary.items == second_vocabulary.items
    assert first_vocabulary.codes == second_vocabulary.codes
    assert (tmp_path / "a" / "users.parquet").read_bytes() == (tmp_path / "b" / "users.parquet").read_bytes()


def test_the_cut_is_strict_and_requires_enough_events_before_it(database: Database, tmp_path: Path) -> None:
    moment = START + timedelta(hours=1)
    rows = [("a", -2), ("a", -1), ("a", 0), ("b", -1), ("b", 5), ("c", 0), ("d", -9), ("d", -8)]
    insert_log(database, [{"user_id": u, "ts": moment + timedelta(seconds=s), "item_id": f"{u}{s}"} for u, s in rows])
    arrays, vocabulary = built(database, tmp_path, moment, min_events=2)
    assert pl.read_parquet(tmp_path / "users.parquet")["user_id"].to_list() == ["a", "d"]
    assert np.diff(arrays.offsets).tolist() == [2, 2]
    assert arrays.as_of == int((moment - datetime(1970, 1, 1)).total_seconds())
    assert "a0" not in vocabulary.items
    assert "b5" not in vocabulary.items


def test_people_without_events_have_a_profile_and_no_event(database: Database, tmp_path: Path) -> None:
    log = random_log(1)
    insert_log(database, log)
    alone, alone_vocabulary = built(database, tmp_path / "alone")
    new = [(f"{'a' if number % 2 else 'z'}{number:02d}",) for number in range(40)]  # before and after the log's ids
    database.connection.executemany("INSERT INTO users VALUES (?)", new)
    database.connection.executemany("INSERT INTO user_attributes VALUES (?, 'plan', 'free')", new)
    arrays, vocabulary = built(database, tmp_path / "all", min_events=0)
    users = pl.read_parquet(tmp_path / "all" / "users.parquet")
    is_new = users["user_id"].is_in([user for (user,) in new]).to_numpy()
    assert is_new.sum() == 40
    assert arrays.users == alone.users + 40
    assert np.array_equal(np.diff(arrays.offsets) == 0, is_new)
    assert users["events"].to_list() == np.diff(arrays.offsets).tolist()
    assert np.array_equal(np.diff(arrays.profile[0]), is_new)
    assert vocabulary.profile == [*alone_vocabulary.profile, ("plan", "free")]
    active = arrays.with_events()
    assert np.array_equal(active.offsets, alone.offsets)
    for column in COLUMNS:
        assert active[column].tobytes() == alone[column].tobytes(), column
        assert active[column] is arrays[column]
    assert alone.with_events() is alone


def test_without_events_before_the_cut_there_are_no_users(database: Database, tmp_path: Path) -> None:
    insert_log(database, random_log(0))
    arrays, _ = built(database, tmp_path, START - timedelta(days=1))
    assert arrays.users == 0
    assert len(arrays["time"]) == 0


def test_an_empty_log_is_a_state_error(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StateError):
        built(database, tmp_path)


def test_fractions_of_a_second_count_before_the_cut_and_keep_their_order(database: Database, tmp_path: Path) -> None:
    times = [0.6, 0.1, 59.9999995]
    insert_log(database, [{"user_id": "a", "ts": START + timedelta(seconds=s), "item_id": f"i{s}"} for s in times])
    arrays, vocabulary = built(database, tmp_path)
    assert [vocabulary.items[item] for item in arrays["item"]] == ["i0.1", "i0.6", "i59.9999995"]
    assert (np.asarray(arrays["time"]) <= arrays.as_of).all()


def test_a_field_with_too_many_values_keeps_the_most_common(database: Database, tmp_path: Path) -> None:
    database.connection.execute(
        """INSERT INTO events (user_id, ts, event_type, source, file_id)
           SELECT 'u' || (i % 50), TIMESTAMP '2024-01-01' + to_seconds(i), 'view',
                  CASE WHEN i % 2 = 0 THEN 'common' ELSE 'https://x/' || i END, 1
           FROM range(80_000) t(i)"""
    )
    arrays, vocabulary = built(database, tmp_path)
    assert vocabulary.codes["source"][0] == "common"
    assert len(vocabulary.codes["source"]) == 1_000
    assert int((np.asarray(arrays["source"]) == 1).sum()) == 40_000


def test_attributes_are_numbered_by_how_many_events_or_users_they_cover(database: Database, tmp_path: Path) -> None:
    pairs = [("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")]
    insert_log(database, [{"user_id": user, "ts": START, "item_id": item} for user, item in pairs])
    database.connection.execute(
        """INSERT INTO item_attributes VALUES
           ('x', 'brand', 'A'), ('y', 'brand', 'A'), ('z', 'brand', 'B'), ('z', 'size', 'L'), ('y', 'size', 'L'),
           ('never', 'brand', 'B'), ('never', 'size', 'XL')"""
    )
    database.connection.execute("INSERT INTO user_attributes VALUES ('b', 'plan', 'pro'), ('unknown', 'plan', 'free')")
    arrays, vocabulary = built(database, tmp_path)
    # a value of a single item tells no more than the item; "A" has three events, "L" two
    assert vocabulary.attributes == [("brand", "A"), ("size", "L")]
    offsets, codes = vocabulary.item_attributes
    codes_of = {item: codes[offsets[row] : offsets[row + 1]].tolist() for row, item in enumerate(vocabulary.items)}
    assert codes_of == {"x": [0], "y": [0, 1], "z": [1]}
    assert vocabulary.profile == [("plan", "pro")]
    assert arrays.profile[0].tolist() == [0, 0, 1]


# --- with the vocabulary of an earlier training ------------------------------------------------------------------------


@pytest.fixture
def old_vocabulary(database: Database, tmp_path: Path) -> Vocabulary:
    """Of the log before the events that `grown` adds."""
    insert_log(database, random_log(3))
    database.connection.execute(
        "INSERT INTO item_attributes SELECT 'i' || i, 'brand', 'b' || (i % 3) FROM range(9) t(i)"
    )
    return built(database, tmp_path / "old")[1]


@pytest.fixture
def grown(database: Database, old_vocabulary: Vocabulary) -> Database:
    """Two users have new events, one of them with a new item and a new country; the file's number is 2."""
    later = START + timedelta(days=1)
    database.connection.execute(
        """INSERT INTO events (user_id, ts, event_type, item_id, country, file_id) VALUES
           ('u3', ?, 'view', 'new', 'IT', 2), ('newcomer', ?, 'view', 'i0', 'DE', 2)""",
        [later, later],
    )
    database.connection.execute("INSERT INTO item_attributes VALUES ('new', 'brand', 'b0')")
    database.connection.execute("DELETE FROM item_attributes WHERE item_id = 'i4'")
    return database


def cut_of(database: Database) -> Cut:
    return Cut(end_of_log(database))


def test_a_vocabulary_keeps_its_numbers_and_new_items_follow(
    grown: Database, old_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    arrays, vocabulary = sequence_builder.build_sequences(grown, cut_of(grown), tmp_path, old_vocabulary)
    count = len(old_vocabulary.items)
    assert vocabulary.items == [*old_vocabulary.items, "new"]
    assert vocabulary.codes == old_vocabulary.codes
    assert vocabulary.attributes == old_vocabulary.attributes
    offsets, codes = vocabulary.item_attributes
    old_offsets, old_codes = old_vocabulary.item_attributes
    assert offsets[: count + 1].tolist() == old_offsets.tolist()
    assert codes[: len(old_codes)].tolist() == old_codes.tolist()  # i4 keeps what it was trained with
    assert [vocabulary.attributes[code] for code in codes[offsets[count] :]] == [("brand", "b0")]
    events = np.asarray(arrays["item"]) == count
    assert events.sum() == 1
    assert arrays["country"][events].tolist() == [0]  # a new value has no code


def test_changed_users_are_as_in_the_sequences_of_all(
    grown: Database, old_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    (whole_folder := tmp_path / "whole").mkdir()
    (changed_folder := tmp_path / "changed").mkdir()
    cut, watermark = cut_of(grown), Watermark(as_of=START + timedelta(hours=1), last_file=1)
    whole, _ = sequence_builder.build_sequences(grown, cut, whole_folder, old_vocabulary)
    changed, vocabulary = sequence_builder.build_changed(grown, cut, changed_folder, old_vocabulary, watermark)
    users = pl.read_parquet(whole_folder / "users.parquet")
    assert (changed_folder / "all_users.parquet").read_bytes() == (whole_folder / "users.parquet").read_bytes()
    assert pl.read_parquet(changed_folder / "users.parquet")["user_id"].to_list() == ["newcomer", "u3"]
    expected = whole.take(users.filter(pl.col("user_id").is_in(["newcomer", "u3"]))["row"].to_numpy().astype(np.int64))
    assert decoded(changed, vocabulary) == decoded(expected, vocabulary)


def test_chosen_users_are_as_in_the_sequences_of_all(
    grown: Database, old_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    chosen = pl.DataFrame({"user_id": ["用户", "u1", "nobody", "u1"], "moment": [1, 2, 3, 4]})
    whole, _ = built(grown, tmp_path / "whole")
    (folder := tmp_path / "chosen").mkdir()
    part, vocabulary = sequence_builder.build_for_users(grown, cut_of(grown), folder, old_vocabulary, chosen)
    assert pl.read_parquet(folder / "users.parquet")["user_id"].to_list() == ["u1", "用户"]
    users = pl.read_parquet(tmp_path / "whole" / "users.parquet")["user_id"].to_list()
    for row, user in enumerate(["u1", "用户"]):
        assert part.block(row, row + 1)["time"].tolist() == whole.take(np.array([users.index(user)]))["time"].tolist()
    assert vocabulary.items[:-1] == old_vocabulary.items


def test_a_field_that_the_log_lacks_is_missing_everywhere(
    grown: Database, old_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    codes = old_vocabulary.codes | {"campaign": ["spring"]}
    known = Vocabulary(
        old_vocabulary.items, codes, old_vocabulary.attributes, old_vocabulary.item_attributes, old_vocabulary.profile
    )
    arrays, vocabulary = sequence_builder.build_sequences(grown, cut_of(grown), tmp_path, known)
    assert vocabulary.codes["campaign"] == ["spring"]
    assert arrays.fields[-1] == "campaign"
    assert len(arrays["campaign"]) == arrays.offsets[-1]
    assert not np.asarray(arrays["campaign"]).any()

"""Events as arrays, against the same log handled in plain Python."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.data import id_encoding
from lookalike.data.database import Database
from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.errors import StateError
from planted_log import built, insert_events

START = datetime(2024, 1, 1)
Row = dict[str, Any]


def random_log(seed: int, users: int = 12, events: int = 300) -> list[Row]:
    """Many events of one moment, missing fields, a user with one event, ids in any script."""
    rng = np.random.default_rng(seed)
    names = [f"u{n}" for n in range(users - 3)] + ["Zoë", "用户", "=cmd"]
    owner = np.append(rng.integers(0, users - 1, events), users - 1)
    return [
        {
            "user_id": names[u],
            "ts": START + timedelta(minutes=int(rng.integers(0, 40))),
            "item_id": None if rng.random() < 0.2 else f"i{rng.integers(0, 9)}",
            "event_type": str(rng.choice(["view", "cart", "buy"], p=[0.7, 0.2, 0.1])),
            "value": None if rng.random() < 0.5 else float(rng.integers(0, 5)),
            "quantity": None if rng.random() < 0.9 else 2.0,
            "country": None if rng.random() < 0.5 else str(rng.choice(["DE", "FR"])),
        }
        for u in owner
    ]


SCHEMA = {"item_id": pl.String, "value": pl.Float64, "quantity": pl.Float64, "country": pl.String}


def put(store: Database, log: list[Row]) -> None:
    insert_events(store, pl.DataFrame(log, schema_overrides=SCHEMA))


def ranked_names(log: list[Row], field: str) -> list[str]:
    """Values by count, then by name: what the numbers must follow."""
    counts = Counter(row[field] for row in log if row[field] is not None)
    return sorted(counts, key=lambda value: (-counts[value], value))


def decoded(arrays: Sequences, vocabulary: Vocabulary) -> list[list[tuple[Any, ...]]]:
    """The arrays as values again, one list of events a user."""

    def code(field: str, value: int) -> str | None:
        return vocabulary.codes[field][value - 1] if value else None

    users = []
    for first, last in zip(arrays.offsets, arrays.offsets[1:], strict=False):
        events = []
        for at in range(first, last):
            item = int(arrays["item"][at])
            value, quantity = float(arrays["value"][at]), float(arrays["quantity"][at])
            events.append(
                (
                    int(arrays["time"][at]),
                    vocabulary.items[item] if item >= 0 else None,
                    code("event_type", int(arrays["event_type"][at])),
                    None if np.isnan(value) else value,
                    None if np.isnan(quantity) else quantity,
                    code("country", int(arrays["country"][at])),
                )
            )
        users.append(events)
    return users


def plain(log: list[Row]) -> list[list[tuple[Any, ...]]]:
    users: dict[str, list[tuple[Any, ...]]] = {}
    for row in log:
        time = int((row["ts"] - datetime(1970, 1, 1)).total_seconds())
        fields = ("item_id", "event_type", "value", "quantity", "country")
        users.setdefault(row["user_id"], []).append((time, *(row[field] for field in fields)))
    return [users[user] for user in sorted(users)]


def by_moment(events: list[tuple[Any, ...]]) -> list[tuple[int, Counter[tuple[Any, ...]]]]:
    """Events of one moment as a set, moments in the order they stand in."""
    moments: list[tuple[int, Counter[tuple[Any, ...]]]] = []
    for event in events:
        if not moments or moments[-1][0] != event[0]:
            moments.append((event[0], Counter()))
        moments[-1][1][event] += 1
    return moments


@pytest.mark.parametrize("seed", range(4))
def test_every_event_stands_with_its_user_in_time_order(store: Database, tmp_path: Path, seed: int) -> None:
    log = random_log(seed)
    put(store, log)
    arrays, vocabulary = built(store, tmp_path)
    found, expected = decoded(arrays, vocabulary), plain(log)
    assert [by_moment(user) for user in found] == [by_moment(sorted(user, key=lambda e: e[0])) for user in expected]
    assert np.diff(arrays.offsets).tolist() == [len(user) for user in expected]
    assert vocabulary.items == ranked_names(log, "item_id")
    assert vocabulary.codes["event_type"] == ranked_names(log, "event_type")
    assert vocabulary.codes["country"] == ranked_names(log, "country")


def test_the_order_of_the_rows_in_the_log_changes_no_byte(store: Database, tmp_path: Path) -> None:
    log = random_log(1)
    put(store, log)
    first, words = built(store, tmp_path / "a")
    store.connection.execute("DELETE FROM events")
    put(store, [log[at] for at in np.random.default_rng(0).permutation(len(log))])
    second, again = built(store, tmp_path / "b")
    for column in COLUMNS:
        assert first[column].tobytes() == second[column].tobytes(), column
    assert (words.items, words.codes) == (again.items, again.codes)
    assert (tmp_path / "a" / "users.parquet").read_bytes() == (tmp_path / "b" / "users.parquet").read_bytes()


def test_the_cut_is_strict_and_counts_only_users_with_enough_events_before_it(store: Database, tmp_path: Path) -> None:
    moment = START + timedelta(hours=1)
    rows = [("a", -2), ("a", -1), ("a", 0), ("b", -1), ("b", 5), ("c", 0), ("d", -9), ("d", -8)]
    put(store, [{"user_id": u, "ts": moment + timedelta(seconds=s), "item_id": f"{u}{s}"} for u, s in rows])
    arrays, vocabulary = built(store, tmp_path, moment, min_events=2)
    assert pl.read_parquet(tmp_path / "users.parquet")["user_id"].to_list() == ["a", "d"]
    assert np.diff(arrays.offsets).tolist() == [2, 2]
    assert arrays.as_of == int((moment - datetime(1970, 1, 1)).total_seconds())
    assert "a0" not in vocabulary.items
    assert "b5" not in vocabulary.items


def test_no_event_before_the_cut_gives_no_user(store: Database, tmp_path: Path) -> None:
    put(store, random_log(0))
    arrays, _ = built(store, tmp_path, START - timedelta(days=1))
    assert arrays.users == 0
    assert len(arrays["time"]) == 0


def test_an_empty_log_is_a_state_error(store: Database, tmp_path: Path) -> None:
    with pytest.raises(StateError):
        built(store, tmp_path)


def test_a_fraction_of_a_second_counts_before_the_cut_and_keeps_its_order(store: Database, tmp_path: Path) -> None:
    times = [0.6, 0.1, 59.9999995]
    put(store, [{"user_id": "a", "ts": START + timedelta(seconds=s), "item_id": f"i{s}"} for s in times])
    arrays, vocabulary = built(store, tmp_path)
    assert [vocabulary.items[item] for item in arrays["item"]] == ["i0.1", "i0.6", "i59.9999995"]
    assert (np.asarray(arrays["time"]) <= arrays.as_of).all()


def test_a_field_with_more_values_than_a_code_holds_keeps_the_most_common(store: Database, tmp_path: Path) -> None:
    store.connection.execute(
        """INSERT INTO events (user_id, ts, event_type, source, file_id)
           SELECT 'u' || (i % 50), TIMESTAMP '2024-01-01' + to_seconds(i), 'view',
                  CASE WHEN i % 2 = 0 THEN 'common' ELSE 'https://x/' || i END, 1
           FROM range(80_000) t(i)"""
    )
    arrays, vocabulary = built(store, tmp_path)
    assert vocabulary.codes["source"][0] == "common"
    assert len(vocabulary.codes["source"]) == 1_000
    assert int((np.asarray(arrays["source"]) == 1).sum()) == 40_000


def test_attributes_of_items_and_users_are_numbered_by_what_they_explain(store: Database, tmp_path: Path) -> None:
    put(store, [{"user_id": u, "ts": START, "item_id": i} for u, i in [("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")]])
    store.connection.execute(
        """INSERT INTO item_attributes VALUES
           ('x', 'brand', 'A'), ('y', 'brand', 'A'), ('z', 'brand', 'B'), ('z', 'size', 'L'), ('y', 'size', 'L'),
           ('never', 'brand', 'B'), ('never', 'size', 'XL')"""
    )
    store.connection.execute("INSERT INTO user_attributes VALUES ('b', 'plan', 'pro'), ('stranger', 'plan', 'free')")
    arrays, vocabulary = built(store, tmp_path)
    # a value of one item alone says no more than the item; "A" has three events, "L" two
    assert vocabulary.attributes == [("brand", "A"), ("size", "L")]
    offsets, codes = vocabulary.item_attributes
    of = {i: codes[offsets[row] : offsets[row + 1]].tolist() for row, i in enumerate(vocabulary.items)}
    assert of == {"x": [0], "y": [0, 1], "z": [1]}
    assert vocabulary.profile == [("plan", "pro")]
    assert arrays.profile[0].tolist() == [0, 0, 1]


@pytest.fixture(autouse=True)
def few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs here are too small for values that 25 users share."""
    monkeypatch.setattr(id_encoding, "MIN_USERS_PER_VALUE", 1)


@pytest.fixture
def arrays(store: Database, tmp_path: Path) -> Sequences:
    put(store, random_log(5))
    store.connection.execute(
        """INSERT INTO user_attributes VALUES ('u1', 'plan', 'pro'), ('u2', 'plan', 'free'), ('u2', 'sex', 'f'),
           ('Zoë', 'plan', 'pro')"""
    )
    return built(store, tmp_path)[0]


def users_of(arrays: Sequences) -> list[tuple[bytes, ...]]:
    """Everything known of each user, as bytes."""
    offsets, codes = arrays.profile
    return [
        (
            *(arrays[name][arrays.offsets[row] : arrays.offsets[row + 1]].tobytes() for name in COLUMNS),
            codes[offsets[row] : offsets[row + 1]].tobytes(),
        )
        for row in range(arrays.users)
    ]


def test_blocks_hold_the_users_unchanged(arrays: Sequences) -> None:
    whole = users_of(arrays)
    assert any(user[-1] for user in whole), "the profile is not empty"
    for first in range(arrays.users + 1):
        for last in range(first, arrays.users + 1):
            block = arrays.block(first, last)
            assert block.offsets[0] == 0
            assert users_of(block) == whole[first:last]


def test_taken_users_come_in_the_order_asked_for_and_may_repeat(arrays: Sequences) -> None:
    whole = users_of(arrays)
    for rows in ([3, 0, 11], [5, 5, 5], list(range(arrays.users))[::-1], []):
        taken = arrays.take(np.array(rows, np.int64))
        assert users_of(taken) == [whole[row] for row in rows]
        assert taken.as_of == arrays.as_of


def test_before_keeps_the_users_and_only_their_earlier_events(arrays: Sequences) -> None:
    times = np.unique(np.asarray(arrays["time"]))
    for moment in (times[0], times[len(times) // 2], times[-1], times[-1] + 1):
        earlier = arrays.before(int(moment))
        assert earlier.users == arrays.users
        assert earlier.as_of == moment
        for row in range(arrays.users):
            mine = slice(arrays.offsets[row], arrays.offsets[row + 1])
            kept = np.asarray(arrays["time"][mine]) < moment
            theirs = slice(earlier.offsets[row], earlier.offsets[row + 1])
            for column in COLUMNS:
                assert arrays[column][mine][kept].tobytes() == earlier[column][theirs].tobytes()

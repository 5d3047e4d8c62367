"""What is known of people: attributes, and the last value of context columns before a moment."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lookalike.data.database import Cut, Database, open_file
from lookalike.data.user_values import common_values, user_fields, users_with_values, values_of_users
from planted_log import START, insert_events

LATE = Cut(START + timedelta(days=99))


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    with open_file(tmp_path / "log.duckdb") as opened:
        yield opened


def with_events(store: Database, rows: list[tuple[str, int, str | None]]) -> None:
    """User, day, country."""
    days = [START + timedelta(days=day) for _, day, _ in rows]
    insert_events(
        store,
        pl.DataFrame({"user_id": [row[0] for row in rows], "ts": days, "country": [row[2] for row in rows]}),
    )


def with_attributes(store: Database, rows: list[tuple[str, str, str]]) -> None:
    store.connection.executemany("INSERT INTO user_attributes VALUES (?, ?, ?)", rows)


def found(store: Database, *terms: tuple[str, str], before: datetime = LATE.as_of) -> list[str]:
    return sorted(users_with_values(store, terms, Cut(before))["user_id"].to_list())


def test_the_last_value_that_is_known_before_the_cut_counts(store: Database) -> None:
    with_events(store, [("a", 1, "DE"), ("a", 5, "FR"), ("a", 9, None), ("b", 2, "FR"), ("b", 7, "DE"), ("c", 3, None)])
    assert found(store, ("country", "FR")) == ["a"]
    assert found(store, ("country", "DE")) == ["b"]
    assert found(store, ("country", "DE"), before=START + timedelta(days=5)) == ["a"]
    assert found(store, ("country", "FR"), ("country", "DE")) == ["a", "b"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_events_at_the_same_time_the_largest_value_counts(store: Database, order: tuple[int, int]) -> None:
    events = [("a", 1, "DE"), ("a", 1, "FR")]
    with_events(store, [events[place] for place in order])
    assert found(store, ("country", "FR")) == ["a"]
    assert found(store, ("country", "DE")) == []


def test_an_attribute_is_meant_where_a_column_has_its_name(store: Database) -> None:
    with_events(store, [("a", 1, "FR"), ("b", 1, "DE")])
    with_attributes(store, [("b", "country", "FR"), ("b", "plan", "gold"), ("b", "plan", "free")])
    assert found(store, ("country", "FR")) == ["b"]
    assert user_fields(store) == ("country", "plan", "device", "source")


def test_everybody_is_named_once(store: Database) -> None:
    with_events(store, [("a", 1, "FR")])
    with_attributes(store, [("a", "plan", "gold"), ("a", "plan", "free"), ("b", "plan", "free")])
    assert found(store, ("plan", "gold"), ("plan", "free")) == ["a", "b"]
    assert found(store, ("plan", "gold"), ("country", "FR")) == ["a"]


def test_what_somebody_did_last_is_not_what_they_are(store: Database) -> None:
    with_events(store, [("a", 1, "FR")])
    assert "event_type" not in user_fields(store)
    assert found(store, ("event_type", "view")) == []


def test_common_values_are_those_of_enough_people(store: Database) -> None:
    with_events(store, [("a", 1, "FR"), ("b", 1, "FR"), ("c", 1, "DE")])
    with_attributes(store, [("a", "plan", "x"), ("b", "plan", "y"), ("c", "plan", "y")])
    assert common_values(store, "country", LATE, 1) == ["FR", "DE"]
    assert common_values(store, "country", LATE, 2) == ["FR"]
    assert common_values(store, "plan", LATE, 2) == ["y"]


def test_values_are_never_read_as_sql(store: Database) -> None:
    with_events(store, [("a", 1, "FR")])
    hostile = "' OR 1=1 --"
    assert found(store, ("country", hostile), (hostile, "x"), ('"; DROP TABLE events; --', "x")) == []
    assert store.rows("SELECT count(*) FROM events") == [(1,)]


def values(store: Database, field: str, users: list[str], before: datetime = LATE.as_of) -> dict[int, str]:
    asked = pl.DataFrame({"user_id": users, "place": range(len(users))})
    return dict(values_of_users(store, field, asked, Cut(before)).select("place", "value").rows())


def test_only_the_users_that_were_asked_for_have_values_and_those_without_have_none(store: Database) -> None:
    with_events(store, [("a", 1, "DE"), ("a", 5, "FR"), ("b", 2, "GB"), ("c", 3, None)])
    with_attributes(store, [("b", "plan", "pro"), ("z", "plan", "free")])
    assert values(store, "country", ["c", "a", "nobody"]) == {1: "FR"}
    assert values(store, "country", ["a", "b"], START + timedelta(days=5)) == {0: "DE", 1: "GB"}
    assert values(store, "plan", ["a", "b"]) == {1: "pro"}


def test_an_attribute_with_the_name_of_a_context_column_is_the_one_that_is_meant(store: Database) -> None:
    with_events(store, [("a", 1, "DE"), ("b", 1, "DE")])
    with_attributes(store, [("a", "country", "AT")])
    assert values(store, "country", ["a", "b"]) == {0: "AT"}

"""What users did and what they share, against loops over the log."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.data import behaviour
from lookalike.data.database import Cut, Database
from planted_log import insert_events

START = datetime(2024, 1, 1)  # a Monday
MARCH_CUT = Cut(datetime(2024, 3, 10))


def test_each_user_is_counted_once(march_log: Database) -> None:
    users = pl.DataFrame({"user_id": ["ann", "bob", "cy"], "audience": [1, 0, 1], "base": [1, 1, 0]})
    counts = behaviour.behaviour_counts(march_log, users.cast({"audience": pl.Int8, "base": pl.Int8}), MARCH_CUT)
    event_types = {label: (a, b) for title, label, a, b in counts.iter_rows() if title == "Event types"}
    assert event_types == {"view": (2, 2), "purchase": (0, 1)}
    items = {label: (a, b) for title, label, a, b in counts.iter_rows() if title == "Items"}
    assert items == {"a": (1, 2), "b": (1, 2), "c": (1, 1)}


@pytest.fixture
def random_rows(database: Database) -> list[dict[str, Any]]:
    """Rows that the database holds, besides two items with attributes."""
    rng = np.random.default_rng(2)
    rows = [
        {
            "user_id": f"u{rng.integers(0, 8)}",
            "ts": START + timedelta(hours=int(rng.integers(0, 24 * 12))),
            "event_type": str(rng.choice(["view", "buy"])),
            "item_id": None if rng.random() < 0.2 else f"i{rng.integers(0, 5)}",
            "country": None if rng.random() < 0.3 else str(rng.choice(["DE", "FR"])),
        }
        for _ in range(80)
    ]
    insert_events(database, pl.DataFrame(rows))
    database.connection.execute("INSERT INTO items VALUES ('i0', 'Big <b>Ball', NULL), ('i1', NULL, 3.5)")
    database.connection.execute("INSERT INTO item_attributes VALUES ('i0', 'brand', 'b0'), ('i1', 'brand', 'b0')")
    return rows


def test_counts_are_of_the_given_users_before_the_cut(database: Database, random_rows: list[dict[str, Any]]) -> None:
    audience, base, cut = {"u1", "u2", "u5"}, {"u2", "u3", "u4", "u6"}, START + timedelta(days=9)
    everybody = sorted(audience | base)
    users = pl.DataFrame(
        {
            "user_id": everybody,
            "audience": [int(user in audience) for user in everybody],
            "base": [int(user in base) for user in everybody],
        }
    )
    counts = behaviour.behaviour_counts(database, users, Cut(cut))
    expected: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in random_rows:
        user = row["user_id"]
        if row["ts"] >= cut or user not in everybody:
            continue
        expected["Event types", row["event_type"]].add(user)
        expected["Hours of the day (UTC)", f"{row['ts'].hour:02d}:00"].add(user)
        expected["Weekdays", row["ts"].strftime("%a")].add(user)
        if row["country"]:
            expected["Country", row["country"]].add(user)
        if row["item_id"]:
            expected["Items", "Big <b>Ball (i0)" if row["item_id"] == "i0" else row["item_id"]].add(user)
            if row["item_id"] in ("i0", "i1"):
                expected["Item brand", "b0"].add(user)
    assert {(title, label): (a, b) for title, label, a, b in counts.iter_rows()} == {
        key: (len(users & audience), len(users & base)) for key, users in expected.items()
    }
    assert database.rows("SELECT count(*) FROM events") == [(len(random_rows),)]


def test_traits_are_counted_by_cluster_up_to_each_users_moment(
    database: Database, random_rows: list[dict[str, Any]]
) -> None:
    days = {"u1": 3, "u2": 8, "u3": 12}
    clusters = {"u1": 0, "u2": 0, "u3": 1}
    seed = pl.DataFrame(
        {
            "user_id": list(days),
            "cluster": list(clusters.values()),
            "until": [START + timedelta(days=day) for day in days.values()],
        }
    )
    base, cut = pl.DataFrame({"user_id": ["u2", "u5", "u6"]}), START + timedelta(days=7)
    traits = behaviour.traits_by_cluster(database, seed, base, Cut(cut))
    inside: dict[tuple[int, str, str], set[str]] = defaultdict(set)
    everybody: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in random_rows:
        user, item = row["user_id"], row["item_id"]
        if item is None:
            continue
        for trait in [("", item), *([("brand", "b0")] if item in ("i0", "i1") else [])]:
            if user in days and row["ts"] < START + timedelta(days=days[user]):
                inside[clusters[user], *trait].add(user)
            if user in ("u2", "u5", "u6") and row["ts"] < cut:
                everybody[trait].add(user)
    expected = {key: (len(users), len(everybody[key[1:]])) for key, users in inside.items()}
    found = traits.select("cluster", "attribute", "value", "inside", "everybody").rows()
    assert {row[:3]: row[3:] for row in found} == expected
    labels = dict(traits.select("value", "label").iter_rows())
    assert (labels["i0"], labels["i1"], labels["b0"]) == ("item Big <b>Ball", "item i1", "brand b0")


def test_prospects_share_the_heaviest_traits_of_their_cluster(march_log: Database) -> None:
    for item in "abc":
        march_log.rows("INSERT INTO item_attributes VALUES (?, 'brand', 'x')", item)
    prospects = pl.DataFrame({"user_id": ["ann", "bob", "cy"], "cluster": [0, 1, 0]})
    traits = pl.DataFrame(
        [
            *((0, "", item, f"item {item.upper()}", float(weight)) for weight, item in enumerate("abc", 1)),
            (0, "brand", "x", "brand x", 9.0),
            (1, "brand", "x", "brand x", 9.0),
        ],
        ["cluster", "attribute", "value", "label", "weight"],
        orient="row",
    )
    shared = behaviour.shared_traits(march_log, prospects, traits, MARCH_CUT, 2)
    assert dict(shared.iter_rows()) == {"ann": "item C; item B", "bob": "brand x"}

"""What an audience does more than the base: counts against a loop over the log, ratios against the formula."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.data import behaviour
from lookalike.data.database import Cut, Database
from lookalike.expansion import over_index
from lookalike.expansion.over_index import GroupSizes
from planted_log import insert_events

START = datetime(2024, 1, 1)  # a Monday
COUNTS = {"title": pl.String, "label": pl.String, "audience_count": pl.Int64, "base_count": pl.Int64}


def counts_of(*rows: tuple[str, str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COUNTS, orient="row")


def test_a_ratio_is_that_of_the_rates_with_katz_interval() -> None:
    ((group),) = over_index.over_index_groups(counts_of(("Items", "x", 60, 50)), GroupSizes(100, 200), 25)
    (row,) = group["rows"]
    spread = np.sqrt(1 / 60 - 1 / 100 + 1 / 50 - 1 / 200)
    assert (row["audience_rate"], row["base_rate"], row["ratio"]) == pytest.approx((0.6, 0.25, 2.4))
    assert (row["ratio_low"], row["ratio_high"]) == pytest.approx(
        (2.4 * np.exp(-1.959964 * spread), 2.4 * np.exp(1.959964 * spread))
    )


def test_small_cells_are_counted_and_not_shown_and_the_surest_come_first() -> None:
    counts = counts_of(
        ("Items", "few", 24, 500),
        ("Items", "rare", 90, 24),
        ("Items", "sure", 900, 500),
        ("Items", "steep", 30, 25),
        ("Items", "less", 100, 500),
        ("Hours", "03:00", 25, 25),
    )
    items, hours = over_index.over_index_groups(counts, GroupSizes(1_000, 2_000), 25)
    assert (items["title"], items["hidden"]) == ("Items", 2)
    assert [row["label"] for row in items["rows"]] == ["sure", "steep"]
    assert [row["label"] for row in hours["rows"]] == ["03:00"]


def test_what_everybody_does_has_a_ratio_of_one_and_says_nothing() -> None:
    (group,) = over_index.over_index_groups(counts_of(("Event types", "view", 100, 300)), GroupSizes(100, 300), 25)
    assert group["rows"] == []


def test_only_the_first_rows_of_a_group_are_shown() -> None:
    counts = counts_of(*(("Items", f"i{n}", 50 + n, 40) for n in range(999)))
    (group,) = over_index.over_index_groups(counts, GroupSizes(2_000, 2_000), 25)
    assert len(group["rows"]) == over_index.MAX_ROWS
    assert group["rows"][0]["label"] == "i998"


def test_the_interval_covers_the_true_ratio() -> None:
    rng = np.random.default_rng(0)
    looked, inside, runs = GroupSizes(500, 2_000), 0, 1_000
    for _ in range(runs):
        a, b = int(rng.binomial(500, 0.3)), int(rng.binomial(2_000, 0.15))
        (group,) = over_index.over_index_groups(counts_of(("Items", "x", a, b)), looked, 1)
        (row,) = group["rows"]
        inside += row["ratio_low"] <= 2 <= row["ratio_high"]
    assert inside / runs == pytest.approx(0.95, abs=0.025)


def test_the_counts_are_of_people_and_only_of_those_looked_at_before_the_cut(
    store_with_log: tuple[Database, Any],
) -> None:
    opened, rows = store_with_log
    audience, base, cut = {"u1", "u2", "u5"}, {"u2", "u3", "u4", "u6"}, START + timedelta(days=9)
    everybody = sorted(audience | base)
    looked_at = pl.DataFrame(
        {
            "user_id": everybody,
            "audience": [int(u in audience) for u in everybody],
            "base": [int(u in base) for u in everybody],
        }
    )
    found = behaviour.behaviour_counts(opened, looked_at, Cut(cut))
    expected: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["ts"] >= cut or row["user_id"] not in everybody:
            continue
        who = row["user_id"]
        expected["Event types", row["event_type"]].add(who)
        expected["Hours of the day (UTC)", f"{row['ts'].hour:02d}:00"].add(who)
        expected["Weekdays", row["ts"].strftime("%a")].add(who)
        if row["country"]:
            expected["Country", row["country"]].add(who)
        if row["item_id"]:
            expected["Items", "Big <b>Ball (i0)" if row["item_id"] == "i0" else row["item_id"]].add(who)
            if row["item_id"] in ("i0", "i1"):
                expected["Item brand", "b0"].add(who)
    got = {(title, label): (a, b) for title, label, a, b in found.iter_rows()}
    assert got == {key: (len(users & audience), len(users & base)) for key, users in expected.items()}
    assert opened.rows("SELECT count(*) FROM events") == [(len(rows),)]


@pytest.fixture
def store_with_log(store: Database) -> tuple[Database, Any]:
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
    insert_events(store, pl.DataFrame(rows))
    store.connection.execute("INSERT INTO items VALUES ('i0', 'Big <b>Ball', NULL), ('i1', NULL, 3.5)")
    store.connection.execute("INSERT INTO item_attributes VALUES ('i0', 'brand', 'b0'), ('i1', 'brand', 'b0')")
    return store, rows

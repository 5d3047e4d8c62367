"""What an audience does more than the base: ratios against the formula."""

import numpy as np
import polars as pl
import pytest

from lookalike.expansion import over_index
from lookalike.expansion.over_index import GroupSizes

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

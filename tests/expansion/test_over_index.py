"""What an audience does more and less than the base: ratios against their formula, and no small cell is shown."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookalike.expansion.over_index import MAX_ROWS, MAX_UNDER_ROWS, Z95, GroupSizes, false_discovery_rates, over_index
from lookalike.expansion.result import OverIndexGroup

COUNTS = {"title": pl.String, "label": pl.String, "audience_count": pl.Int64, "base_count": pl.Int64}
Count = tuple[str, str, int, int]


def groups_of(counts: list[Count], sizes: GroupSizes, min_cell: int = 25) -> tuple[OverIndexGroup, ...]:
    """The groups of counts (title, label, users of the audience, users of the base)."""
    return over_index(pl.DataFrame(counts, schema=COUNTS, orient="row"), sizes, min_cell).groups


def test_a_ratio_is_that_of_the_rates_with_the_interval_of_katz() -> None:
    (group,) = groups_of([("Items", "x", 60, 50)], GroupSizes(100, 200))
    (row,) = group.rows
    spread = np.sqrt(1 / 60 - 1 / 100 + 1 / 50 - 1 / 200)
    assert (row.audience_rate, row.base_rate, row.ratio) == pytest.approx((0.6, 0.25, 2.4))
    assert (row.ratio_low, row.ratio_high) == pytest.approx(
        (2.4 * np.exp(-1.959964 * spread), 2.4 * np.exp(1.959964 * spread))
    )


def test_small_cells_are_counted_and_not_shown_and_the_most_reliable_rows_come_first() -> None:
    counts = [
        ("Items", "few", 24, 500),
        ("Items", "rare", 90, 24),
        ("Items", "reliable", 900, 500),
        ("Items", "steep", 30, 25),
        ("Items", "less", 100, 500),
        ("Hours", "03:00", 25, 25),
    ]
    items, hours = groups_of(counts, GroupSizes(1_000, 2_000))
    assert (items.title, items.hidden) == ("Items", 2)
    assert [row.label for row in items.rows] == ["reliable", "steep"]
    assert [row.label for row in items.less] == ["less"]
    assert [row.label for row in hours.rows] == ["03:00"]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 400)), max_size=40), st.integers(1, 60))
def test_no_row_has_a_count_below_min_cell(counts: list[tuple[int, int]], min_cell: int) -> None:
    rows = [("Items", f"i{n}", audience, base) for n, (audience, base) in enumerate(counts)]
    for group in groups_of(rows, GroupSizes(200, 400), min_cell):
        for row in (*group.rows, *group.less):
            assert min(row.audience_count, row.base_count) >= min_cell
        small = sum(min(audience, base) < min_cell for audience, base in counts)
        assert group.hidden == small
        assert len(group.rows) + len(group.less) <= len(counts) - small


def test_a_trait_of_everybody_has_a_ratio_of_one_and_is_not_shown() -> None:
    (group,) = groups_of([("Event types", "view", 100, 300)], GroupSizes(100, 300))
    assert (group.rows, group.less, group.hidden) == ((), (), 0)


def test_only_the_first_rows_of_a_group_are_kept() -> None:
    more = [("Items", f"i{n:03}", 50 + n, 40) for n in range(999)]
    (group,) = groups_of(more, GroupSizes(2_000, 2_000))
    assert len(group.rows) == MAX_ROWS
    assert group.rows[0].label == "i998"
    less = [("Items", f"i{n:03}", 40, 200 + n) for n in range(200)]
    (group,) = groups_of(less, GroupSizes(2_000, 2_000))
    assert len(group.less) == MAX_UNDER_ROWS
    assert group.less[0].label == "i199"


def test_rows_are_less_frequent_only_if_their_false_discovery_rate_is_low() -> None:
    noise = [("Items", f"n{n}", 100, 101) for n in range(60)]
    (alone,) = groups_of([("Items", "x", 70, 100)], GroupSizes(1_000, 1_000))
    (among,) = groups_of([("Items", "x", 70, 100), *noise], GroupSizes(1_000, 1_000))
    assert [row.label for row in alone.less] == ["x"]
    assert among.less == ()


def test_the_false_discovery_rate_is_that_of_benjamini_and_hochberg_over_all_groups() -> None:
    counts = [("Items", "a", 60, 30), ("Items", "b", 50, 40), ("Hours", "c", 55, 30)]
    groups = groups_of(counts, GroupSizes(1_000, 1_000))
    rates = {row.label: row.q for group in groups for row in group.rows}
    p_values = []
    for _, _, a, b in counts:
        spread = np.sqrt(1 / a - 1 / 1_000 + 1 / b - 1 / 1_000)
        p_values.append(2 * stats.norm.sf(np.log(a / b) / spread))
    assert [rates[label] for label in "abc"] == pytest.approx(stats.false_discovery_control(p_values))
    assert pytest.approx(stats.norm.ppf(0.975), abs=1e-6) == Z95


def test_the_sizes_and_the_smallest_cell_are_in_the_record() -> None:
    counts = pl.DataFrame([("Items", "x", 60, 50)], schema=COUNTS, orient="row")
    record = over_index(counts, GroupSizes(100, 200), 25)
    assert (record.audience_users, record.base_users, record.min_cell) == (100, 200, 25)
    assert over_index(counts.clear(), GroupSizes(100, 200), 25).groups == ()


def test_the_interval_covers_the_true_ratio() -> None:
    rng = np.random.default_rng(0)
    covered, runs = 0, 1_000
    for _ in range(runs):
        audience, base = int(rng.binomial(500, 0.3)), int(rng.binomial(2_000, 0.15))
        (group,) = groups_of([("Items", "x", audience, base)], GroupSizes(500, 2_000), 1)
        (row,) = group.rows
        covered += row.ratio_low <= 2 <= row.ratio_high
    assert covered / runs == pytest.approx(0.95, abs=0.025)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_false_discovery_rates_are_those_of_scipy(p_values: list[float]) -> None:
    rates = false_discovery_rates(np.array(p_values, float))
    assert rates == pytest.approx(stats.false_discovery_control(p_values) if p_values else [])

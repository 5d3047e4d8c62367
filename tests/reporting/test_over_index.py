"""What the audience does more than the base: which rows are shown, in what order, and the bars."""

import pytest

from example_evaluation import ITEMS, OVER_INDEX, replaced, trait
from lookalike.reporting.formatting import NBSP
from lookalike.reporting.over_index import (
    LESS_PER_GROUP,
    ROWS_PER_GROUP,
    TraitGroup,
    along,
    clear_rows,
    trait_groups,
)


def groups_by_title() -> dict[str, TraitGroup]:
    return {group.title.text: group for group in trait_groups(OVER_INDEX)}


def test_the_most_reliable_rows_come_first_and_the_others_are_counted() -> None:
    items = groups_by_title()["Items"]
    labels = [row.label.text for row in items.rows]
    assert labels[:3] == ["Rabbit night light", "Set of 3 cake tins pantry design", "Lunch bag red retrospot"]
    assert "White hanging heart t-light holder" not in labels
    assert len(labels) == ROWS_PER_GROUP == 12
    assert items.note == (
        f"4 weaker ones not shown. 1 not clearly above the base. 2,841 hidden: fewer than 25{NBSP}people."
    )


def test_a_row_needs_a_clear_interval_and_a_small_false_discovery_rate() -> None:
    unclear = ITEMS[0].model_copy(update={"ratio_low": 1.0})
    by_chance = ITEMS[1].model_copy(update={"q": 0.051})
    assert clear_rows(OVER_INDEX.groups[0].model_copy(update={"rows": (unclear, by_chance, ITEMS[2])})) == [ITEMS[2]]


def test_a_group_without_a_clear_row_says_so() -> None:
    group = groups_by_title()["Event types"]
    assert group.rows == []
    assert group.note == "Nothing here is clearly more frequent than in the base."


def test_what_is_less_frequent_is_one_sentence() -> None:
    assert groups_by_title()["Category"].less == "Less than the base: Stationery (0.59×)."
    assert groups_by_title()["Items"].less == ""
    many = replaced(OVER_INDEX, "groups.1.less", tuple(trait(f"thing {n}", 30, 1_000) for n in range(9)))
    assert trait_groups(many)[1].less.count("thing") == LESS_PER_GROUP


def test_a_row_has_counts_shares_and_a_band() -> None:
    (germany,) = groups_by_title()["Countries"].rows
    assert (germany.audience, germany.audience_share, germany.base, germany.base_share) == ("26", "15.5%", "88", "2.5%")
    assert (germany.ratio, germany.band) == ("6.3×", "4.2–9.5")


def test_bars_of_all_groups_share_one_log_scale() -> None:
    rows = [row for group in groups_by_title().values() for row in group.rows]
    longest = max(rows, key=lambda row: row.high)
    assert (longest.label.text, longest.high, longest.open_ended) == ("Germany", 100, False)
    assert all(0 <= row.low <= row.bar <= row.high <= 100 for row in rows)


def test_a_very_wide_interval_is_cut() -> None:
    wide = OVER_INDEX.groups[0].rows[0].model_copy(update={"ratio": 3.0, "ratio_low": 1.1, "ratio_high": 1e12})
    alone = OVER_INDEX.model_copy(update={"groups": (OVER_INDEX.groups[0].model_copy(update={"rows": (wide,)}),)})
    (row,) = trait_groups(alone)[0].rows
    assert (row.open_ended, row.high) == (True, 100)
    assert row.bar == pytest.approx(along(3, 6))


@pytest.mark.parametrize(
    ("value", "top", "position"),
    [(0.5, 10, 0), (1, 10, 0), (10**0.5, 10, 50), (10, 10, 100), (99, 10, 100), (2, 1, 100)],
)
def test_positions_on_the_scale(value: float, top: float, position: float) -> None:
    assert along(value, top) == position


def test_without_a_list_there_are_no_groups() -> None:
    assert trait_groups(None) == []

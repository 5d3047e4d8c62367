"""People in slices: bands of events and tenure, known values, and the floor that joins small slices with others."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from expansion_examples import examples_of
from lookalike.data.arrays import Rows
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion.examples import Examples
from lookalike.expansion.people_cuts import Cut, Floor, KnownValues, by_events, by_tenure, by_value

LAYOUT = BlockLayout({"sequence": 0, "content": 0, "aggregates": 2}, ("log_events", "log_tenure_days"))
FLOOR = Floor(25, drawn=25, per_seed=0)


def people(values: list[tuple[float, int, int]], column: int = 0) -> Examples:
    """So many seeds and so many others of each plain value of a column, in half precision as it is stored."""
    seeds = np.repeat([value for value, _, _ in values], [count for _, count, _ in values])
    others = np.repeat([value for value, _, _ in values], [count for _, _, count in values])
    columns = np.zeros((len(seeds) + len(others), 2))
    columns[:, column] = np.log1p(np.concatenate([seeds, others])).astype(np.float16)
    return examples_of(columns, np.arange(len(seeds)))


def counts(cut: Cut, examples: Examples) -> dict[str | None, tuple[int, int]]:
    """Seeds and others of each slice."""
    others = cut.of_background[examples.seed_index < 0]
    return {
        label: (int((cut.of_seed == number).sum()), int((others == number).sum()))
        for number, label in enumerate(cut.labels)
    }


def known(seeds: dict[str, int], others: dict[str, int], unknown: tuple[int, int] = (0, 0)) -> tuple[KnownValues, Rows]:
    """So many seeds and others with each value, and without one; nobody of the background is a seed."""
    names = sorted({*seeds, *others})
    codes = [
        np.append(np.repeat(np.arange(len(names)), [of.get(name, 0) for name in names]), np.full(none, -1))
        for of, none in zip((seeds, others), unknown, strict=True)
    ]
    return KnownValues("country", names, *codes), np.full(len(codes[1]), -1)


def cut_by_value(
    seeds: dict[str, int], others: dict[str, int], unknown: tuple[int, int] = (0, 0)
) -> dict[str | None, tuple[int, int]]:
    values, seed_index = known(seeds, others, unknown)
    cut = by_value(values, seed_index, FLOOR)
    return {
        label: (int((cut.of_seed == number).sum()), int((cut.of_background == number).sum()))
        for number, label in enumerate(cut.labels)
    }


# --- events ----------------------------------------------------------------------------------------------------------


def test_slices_of_events_begin_at_1_2_5_and_20() -> None:
    values = [(1, 25, 40), (2, 15, 30), (4, 10, 30), (5, 20, 30), (19, 20, 30), (20, 15, 30), (3_000, 15, 30)]
    examples = people([(value, seeds, others) for value, seeds, others in values])
    assert counts(by_events(examples, LAYOUT, FLOOR), examples) == {
        "1": (25, 40), "2-4": (25, 60), "5-19": (40, 60), "20+": (30, 60),
    }  # fmt: skip


def test_people_without_events_are_a_slice_if_there_are_enough() -> None:
    examples = people([(0, 25, 25), (1, 25, 25), (50, 30, 30)])
    assert list(counts(by_events(examples, LAYOUT, FLOOR), examples)) == ["0", "1-19", "20+"]
    few = people([(0, 24, 25), (1, 25, 25), (50, 30, 30)])
    assert list(counts(by_events(few, LAYOUT, FLOOR), few)) == ["0-19", "20+"]


@pytest.mark.parametrize(("seeds", "labels"), [(24, ["1-4", "5+"]), (25, ["1", "2-4", "5+"])])
def test_a_slice_of_24_seeds_is_joined_with_its_smaller_neighbour(seeds: int, labels: list[str]) -> None:
    examples = people([(1, seeds, 100), (3, 40, 100), (9, 60, 100)])
    assert list(counts(by_events(examples, LAYOUT, FLOOR), examples)) == labels


def test_a_slice_of_24_people_is_joined_too() -> None:
    """People who were drawn count, whoever else they stand for."""
    examples = people([(1, 30, 24), (3, 40, 100)])
    assert list(counts(by_events(examples, LAYOUT, FLOOR), examples)) == ["1+"]


@pytest.mark.parametrize(
    ("seeds", "others", "cut"), [(30, 199, False), (30, 200, True), (60, 299, False), (60, 300, True)]
)
def test_a_slice_needs_people_enough_to_be_ranked_among(seeds: int, others: int, cut: bool) -> None:
    examples = people([(1, seeds, others), (3, 40, 900)])
    assert list(counts(by_events(examples, LAYOUT, Floor(25)), examples)) == (["1", "2+"] if cut else ["1+"])


def test_people_without_events_have_no_tenure() -> None:
    events, tenure = np.repeat([0, 9, 9], 60), np.repeat([4_000.0, 10, 200], 60)
    columns = np.log1p(np.column_stack([events, tenure])).astype(np.float16)
    examples = examples_of(columns, np.flatnonzero(np.arange(180) % 2))
    cut = by_tenure(examples, LAYOUT, FLOOR)
    assert counts(cut, examples) == {"less than a month": (30, 30), "a month or more": (30, 30)} or len(cut.labels) == 2
    assert (cut.of_seed == -1).sum() == 30


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 4, 5, 19, 20, 90]), st.integers(0, 60), st.integers(0, 60)),
        min_size=1,
        max_size=8,
    )
)
def test_no_slice_is_below_the_floor_unless_everybody_is_one_slice(values: list[tuple[float, int, int]]) -> None:
    examples = people([*values, (3, 5, 5)])
    for cut in (by_events(examples, LAYOUT, FLOOR), by_tenure(examples, LAYOUT, FLOOR)):
        found = counts(cut, examples)
        assert len(found) == 1 or min(min(each) for each in found.values()) >= 25
        none = int((cut.of_seed == -1).sum())
        assert sum(seeds for seeds, _ in found.values()) + none == examples.seeds, "everybody is in one slice"
        assert none == 0 or (cut.by == "tenure" and none >= 25)


# --- tenure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (10, ["less than a day", "a day to a week", "a week or more"]),
        (90, ["less than a day", "a day to a week", "a week to a month", "a month or more"]),
        (200, ["less than a month", "a month to 3 months", "3 months to 6 months", "6 months or more"]),
        (1_000, ["less than 6 months", "6 months to a year", "a year to 2 years", "2 years or more"]),
    ],
)
def test_bounds_of_tenure_suit_the_span_of_the_log(span: int, labels: list[str]) -> None:
    examples = people(
        [(day, 30, 30) for day in (0.5, 2, 8, 40, 120, 190, 400, 900) if day < span] + [(span, 30, 30)], 1
    )
    assert list(counts(by_tenure(examples, LAYOUT, FLOOR), examples)) == labels


def test_where_everybody_came_at_once_there_is_one_slice() -> None:
    examples = people([(0, 50, 50)], 1)
    assert counts(by_tenure(examples, LAYOUT, FLOOR), examples) == {"any": (50, 50)}


# --- known values ----------------------------------------------------------------------------------------------------


def test_the_six_values_that_most_seeds_have_are_slices_and_the_others_one() -> None:
    seeds = {f"c{number}": 30 + number for number in range(9)}
    found = cut_by_value(seeds, dict.fromkeys(seeds, 40))
    assert list(found) == ["c8", "c7", "c6", "c5", "c4", "c3", None]
    assert found["c8"] == (38, 40)
    assert found[None] == (30 + 31 + 32, 120)


@pytest.mark.parametrize(("seeds", "labels"), [(24, ["DE", None]), (25, ["DE", "FR", None])])
def test_a_value_of_24_seeds_is_among_the_others(seeds: int, labels: list[str | None]) -> None:
    assert list(cut_by_value({"DE": 60, "FR": seeds}, {"DE": 90, "FR": 90}, unknown=(30, 30))) == labels


def test_if_the_others_are_too_few_the_smallest_value_goes_to_them() -> None:
    """Otherwise how many they are could be had by subtraction."""
    assert cut_by_value({"DE": 60, "FR": 30, "GB": 3}, {"DE": 90, "FR": 90, "GB": 90}) == {
        "DE": (60, 90), None: (33, 180),
    }  # fmt: skip
    assert list(cut_by_value({"DE": 60, "FR": 30}, {"DE": 90, "FR": 90}, unknown=(1, 40))) == ["DE", None]


def test_people_of_whom_nothing_is_known_are_among_the_others() -> None:
    assert cut_by_value({"DE": 60}, {"DE": 90}, unknown=(40, 70)) == {"DE": (60, 90), None: (40, 70)}


def test_if_all_seeds_have_the_same_value_the_others_are_no_slice() -> None:
    assert cut_by_value({"DE": 60}, {"DE": 90, "FR": 50}) == {"DE": (60, 90)}
    assert cut_by_value({"DE": 60}, {"DE": 90, "FR": 24}) == {None: (60, 114)}, "how many they are could be had"


def test_a_value_that_only_a_few_have_is_nobodys_slice() -> None:
    assert cut_by_value({"DE": 24}, {"DE": 24}) == {None: (24, 24)}
    assert pl.Series(list(cut_by_value({}, {"DE": 30}))).null_count() == 1

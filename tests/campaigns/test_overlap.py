"""How many people the lists of several audiences share, against counting by hand."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.campaigns.overlap import ListCount, PairOverlap, list_overlap


def frames(lists: dict[str, list[str]]) -> dict[str, pl.DataFrame]:
    return {name: pl.DataFrame({"user_id": ids}, schema={"user_id": pl.String}) for name, ids in lists.items()}


def test_sizes_pairs_and_people_by_the_number_of_their_lists() -> None:
    result = list_overlap(frames({"a": ["u1", "u2", "u3"], "b": ["u2", "u3"], "c": ["u3", "u9"]}))
    assert result.sizes == {"a": 3, "b": 2, "c": 2}
    assert result.pairs == (
        PairOverlap(first="a", second="b", both=2),
        PairOverlap(first="a", second="c", both=1),
        PairOverlap(first="b", second="c", both=1),
    )
    assert result.by_lists == (
        ListCount(lists=1, people=2),
        ListCount(lists=2, people=1),
        ListCount(lists=3, people=1),
    )


@pytest.mark.parametrize("second", [["u1", "u2"], ["u7"], []], ids=["the same", "none", "empty"])
def test_two_lists_share_all_none_or_nothing(second: list[str]) -> None:
    result = list_overlap(frames({"a": ["u1", "u2"], "b": second}))
    both = len({"u1", "u2"} & set(second))
    assert result.pairs == (PairOverlap(first="a", second="b", both=both),)
    assert [count.people for count in result.by_lists] == [2 + len(second) - 2 * both, both]


@given(st.lists(st.sets(st.integers(0, 12)), min_size=2, max_size=5))
def test_any_lists_are_counted_as_sets(lists: list[set[int]]) -> None:
    named = {f"l{n}": [f"u{user}" for user in users] for n, users in enumerate(lists)}
    result = list_overlap(frames(named))
    for pair in result.pairs:
        assert pair.both == len(set(named[pair.first]) & set(named[pair.second]))
    assert len(result.pairs) == len(lists) * (len(lists) - 1) // 2
    times = [sum(user in users for users in lists) for user in range(13)]
    for count in result.by_lists:
        assert count.people == times.count(count.lists)
    assert sum(count.lists * count.people for count in result.by_lists) == sum(result.sizes.values())

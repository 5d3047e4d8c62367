"""How many people the lists of several audiences share."""

import polars as pl
from pydantic import Field

from lookalike.workspace.records import Record


class PairOverlap(Record):
    """Two audiences and the people on both lists."""

    first: str = Field(description="one audience")
    second: str = Field(description="the other")
    both: int = Field(description="people on both lists")


class ListCount(Record):
    """How many people are on exactly so many lists."""

    lists: int = Field(description="number of lists")
    people: int = Field(description="on exactly so many lists")


class OverlapResult(Record):
    """The sizes of the lists, the overlap of each pair, and the people by the number of lists they are on."""

    sizes: dict[str, int] = Field(description="people on each list")
    pairs: tuple[PairOverlap, ...] = Field(description="of every two lists")
    by_lists: tuple[ListCount, ...] = Field(description="how many people are on one list, on two, and so on")


def list_overlap(lists: dict[str, pl.DataFrame]) -> OverlapResult:
    """The overlap of two or more lists, by name: frames with a column `user_id`."""
    names = list(lists)
    pairs = [
        PairOverlap(first=first, second=second, both=len(lists[first].join(lists[second], on="user_id", how="semi")))
        for position, first in enumerate(names)
        for second in names[position + 1 :]
    ]
    list_counts = pl.concat(list(lists.values())).group_by("user_id").len()["len"]
    by_lists = [ListCount(lists=count, people=int((list_counts == count).sum())) for count in range(1, len(names) + 1)]
    return OverlapResult(
        sizes={name: len(ids) for name, ids in lists.items()}, pairs=tuple(pairs), by_lists=tuple(by_lists)
    )

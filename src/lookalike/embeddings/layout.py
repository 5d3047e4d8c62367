"""The order of blocks and named columns in the vectors of users."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lookalike.data.arrays import Rows

BLOCKS = ("sequence", "content", "aggregates")
COUNTED = "counted"


@dataclass(frozen=True)
class BlockLayout:
    """Where each block and each named column is among all W columns, which are the blocks side by side."""

    widths: dict[str, int]  # of each block
    aggregates: tuple[str, ...]  # names of the aggregate columns

    @property
    def width(self) -> int:
        """W, the number of all columns."""
        return sum(self.widths.values())

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """The first column of each block, and the one after its last."""
        ends = np.cumsum([self.widths[block] for block in BLOCKS])
        return {block: (int(end) - self.widths[block], int(end)) for block, end in zip(BLOCKS, ends, strict=True)}

    @property
    def aggregates_start(self) -> int:
        """The first aggregate column."""
        return self.spans["aggregates"][0]

    def columns(self, *blocks: str) -> Rows:
        """The columns of some blocks, for indexing [N, W].

        The pseudo-block `counted` is the part of the aggregates that counts how often a user met something.
        """
        return np.concatenate([self._columns_of(block) for block in blocks])

    def _columns_of(self, block: str) -> Rows:
        if block != COUNTED:
            return np.arange(*self.spans[block])
        counted = [position for position, name in enumerate(self.aggregates) if "=" in name]
        return self.aggregates_start + np.array(counted, np.int64)

    def columns_named(self, name: str) -> Rows:
        """All columns of the aggregates of a name: a field of events and one of users may share it."""
        places = [place for place, each in enumerate(self.aggregates) if each == name]
        return self.aggregates_start + np.array(places, np.int64)

    def column(self, name: str) -> int:
        """The column of a named aggregate. Raises ValueError if there is none."""
        return self.aggregates_start + self.aggregates.index(name)

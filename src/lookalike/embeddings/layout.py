"""The columns of a representation: its blocks side by side, and the names of the aggregates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lookalike.data.arrays import Rows

BLOCKS = ("sequence", "content", "aggregates")


@dataclass(frozen=True)
class BlockLayout:
    """Where the columns of each block are."""

    widths: dict[str, int]
    aggregates: tuple[str, ...]  # names of the columns of that block

    @property
    def width(self) -> int:
        return sum(self.widths.values())

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """First and last column of each block."""
        ends = np.cumsum([self.widths[block] for block in BLOCKS])
        return {block: (int(end) - self.widths[block], int(end)) for block, end in zip(BLOCKS, ends, strict=True)}

    @property
    def aggregates_start(self) -> int:
        return self.spans["aggregates"][0]

    @cached_property
    def _counted(self) -> Rows:
        return self.aggregates_start + np.array([i for i, name in enumerate(self.aggregates) if "=" in name], np.int64)

    def columns(self, *blocks: str) -> Rows:
        """The columns of some blocks. `counted` is the part of the aggregates that counts what a user has met."""
        return np.concatenate(
            [self._counted if block == "counted" else np.arange(*self.spans[block]) for block in blocks]
        )

    def column(self, name: str) -> int:
        """A named column of the aggregates."""
        return self.aggregates_start + self.aggregates.index(name)

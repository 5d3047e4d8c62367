"""Events as flat memory-mapped arrays: one array per column, with each user's events in time order.

    offsets [N + 1]     the events of user row i are at offsets[i] : offsets[i + 1]
    time, item, … [E]   one entry per event

There is no Python object per event or user; a block of users is a slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Csr, Rows
from lookalike.data.column_files import ColumnRef

SECONDS_PER_DAY = 86_400
BASKET_GAP = 1_800  # seconds without an event that end a visit
EVENTS_PER_SPAN = 4_000_000  # events that one span of users holds, so that memory does not grow with the log
COMMON_ITEMS = 1 << 19  # the most common items are represented individually, rarer ones by attributes and a hash


@dataclass(frozen=True)
class Vocabulary:
    """What the integers in the arrays mean. Holds no user id."""

    items: list[str]  # by item row
    codes: dict[str, list[str]]  # the values of each coded field; the first has code 1
    attributes: list[tuple[str, str]]  # (attribute, value) of items by attribute code
    item_attributes: Csr  # by item row, the attribute codes
    profile: list[tuple[str, str]]  # (attribute, value) of users by profile code

    @property
    def common(self) -> int:
        """How many of the items are represented individually."""
        return min(len(self.items), COMMON_ITEMS)


@dataclass(frozen=True)
class Sequences:
    """The arrays of all users of one cut."""

    as_of: int  # seconds since 1970
    offsets: Rows  # [N + 1]
    columns: dict[str, NDArray[Any]]  # each [E]
    profile: Csr  # by user row, the profile codes

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles memory-mapped columns as references to their files, which are opened again elsewhere."""
        columns = {name: ColumnRef.of(array) for name, array in self.columns.items()}
        return _with_opened_columns, (self.as_of, self.offsets, columns, self.profile)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    @property
    def fields(self) -> list[str]:
        """The coded fields, in the order of the columns."""
        return [name for name, array in self.columns.items() if array.dtype == np.int16]

    @cached_property
    def owner(self) -> Rows:
        """The user row of each event, [E]."""
        return np.repeat(np.arange(self.users), np.diff(self.offsets))

    def profile_of(self, rows: Rows) -> tuple[Rows, NDArray[np.int32]]:
        """The profile codes of some users, one user after the other, and where each user's codes begin, [n]."""
        offsets, codes = self.profile
        return csr_offsets(offsets, rows)[:-1], np.asarray(codes[csr_positions(offsets, rows)])

    def block(self, first: int, last: int) -> "Sequences":
        """The users first : last as arrays of their own, with offsets from 0."""
        begin, end = self.offsets[first], self.offsets[last]
        profile_offsets, codes = self.profile
        low, high = profile_offsets[first], profile_offsets[last]
        return Sequences(
            self.as_of,
            self.offsets[first : last + 1] - begin,
            {name: np.asarray(array[begin:end]) for name, array in self.columns.items()},
            (profile_offsets[first : last + 1] - low, codes[low:high]),
        )

    def take(self, rows: Rows) -> "Sequences":
        """Some users, in the order of `rows`, as arrays of their own."""
        profile_offsets, codes = self.profile
        events, attributes = csr_positions(self.offsets, rows), csr_positions(profile_offsets, rows)
        return Sequences(
            self.as_of,
            csr_offsets(self.offsets, rows),
            {name: np.asarray(array[events]) for name, array in self.columns.items()},
            (csr_offsets(profile_offsets, rows), codes[attributes]),
        )

    def spans(self) -> Iterator[tuple[int, int]]:
        """All users as consecutive spans first : last of at most EVENTS_PER_SPAN events; a busier user is alone in one."""
        first = 0
        while first < self.users:
            reached = int(np.searchsorted(self.offsets, self.offsets[first] + EVENTS_PER_SPAN, side="right")) - 1
            yield first, (last := max(reached, first + 1))
            first = last


def _with_opened_columns(as_of: int, offsets: Rows, columns: dict[str, ColumnRef], profile: Csr) -> Sequences:
    return Sequences(as_of, offsets, {name: column.open() for name, column in columns.items()}, profile)


def csr_positions(offsets: Rows, rows: Rows) -> Rows:
    """The positions of the entries of some rows of a CSR array, row after row."""
    counts = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    within_row = np.arange(ends[-1] if len(ends) else 0)
    positions: Rows = within_row + np.repeat(offsets[rows] - ends + counts, counts)
    return positions


def csr_offsets(offsets: Rows, rows: Rows) -> Rows:
    """The offsets of a CSR array that has these rows only."""
    return np.concatenate([[0], np.cumsum(offsets[rows + 1] - offsets[rows])])

"""The events of all users as flat arrays, mapped into memory: ordered by user row, then by time.

    offsets [N + 1]      the events of user row i are offsets[i] : offsets[i + 1]
    time, item, …  [E]   one entry per event

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
EVENTS_PER_SPAN = 4_000_000  # events read at a time where all are read, so that memory does not grow with the log
COMMON_ITEMS = 1 << 19  # items, the most common first, with parameters of their own; rarer ones are their attributes


@dataclass(frozen=True)
class Vocabulary:
    """What the numbers in the arrays mean. Holds no user id."""

    items: list[str]  # by item row
    codes: dict[str, list[str]]  # the values of each coded field, that of code 1 first
    attributes: list[tuple[str, str]]  # (attribute, value) of items by attribute code
    item_attributes: Csr  # attribute codes of each item
    profile: list[tuple[str, str]]  # (attribute, value) of users by profile code

    @property
    def common(self) -> int:
        """How many items, the most common first, have parameters of their own."""
        return min(len(self.items), COMMON_ITEMS)


@dataclass(frozen=True)
class Sequences:
    """The arrays of all users of one cut."""

    as_of: int  # seconds since 1970
    offsets: Rows
    columns: dict[str, NDArray[Any]]
    profile: Csr  # profile codes of each user

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles file names in place of mapped columns, so that another process of a cluster opens them itself."""
        columns = {name: ColumnRef.of(array) for name, array in self.columns.items()}
        return _open_columns, (self.as_of, self.offsets, columns, self.profile)

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

    def profile_of(self, rows: Rows) -> Csr:
        """Where the profile codes of each of some users start, [n], and the codes of all of them."""
        offsets, codes = self.profile
        return csr_offsets(offsets, rows)[:-1], np.asarray(codes[csr_positions(offsets, rows)])

    def block(self, first: int, last: int) -> "Sequences":
        """The users first : last, copied, with offsets from 0."""
        begin, end = self.offsets[first], self.offsets[last]
        profile_offsets, codes = self.profile
        profile_begin, profile_end = profile_offsets[first], profile_offsets[last]
        return Sequences(
            self.as_of,
            self.offsets[first : last + 1] - begin,
            {name: np.asarray(array[begin:end]) for name, array in self.columns.items()},
            (profile_offsets[first : last + 1] - profile_begin, codes[profile_begin:profile_end]),
        )

    def take(self, rows: Rows) -> "Sequences":
        """Some users in the order of `rows`, copied; a row may be repeated."""
        profile_offsets, codes = self.profile
        events, profile = csr_positions(self.offsets, rows), csr_positions(profile_offsets, rows)
        return Sequences(
            self.as_of,
            csr_offsets(self.offsets, rows),
            {name: np.asarray(array[events]) for name, array in self.columns.items()},
            (csr_offsets(profile_offsets, rows), codes[profile]),
        )

    def with_events(self) -> "Sequences":
        """Only the users who have events, in the same order. The columns are the same arrays, not copies."""
        rows = np.flatnonzero(np.diff(self.offsets))
        if len(rows) == self.users:
            return self
        profile_offsets, codes = self.profile
        profile = csr_offsets(profile_offsets, rows), codes[csr_positions(profile_offsets, rows)]
        return Sequences(self.as_of, csr_offsets(self.offsets, rows), self.columns, profile)

    def spans(self) -> Iterator[tuple[int, int]]:
        """All user rows as spans first : last with at most EVENTS_PER_SPAN events; a user with more has a span alone."""
        first = 0
        while first < self.users:
            reached = int(np.searchsorted(self.offsets, self.offsets[first] + EVENTS_PER_SPAN, side="right")) - 1
            yield first, (last := max(reached, first + 1))
            first = last


def _open_columns(as_of: int, offsets: Rows, columns: dict[str, ColumnRef], profile: Csr) -> Sequences:
    return Sequences(as_of, offsets, {name: column.open() for name, column in columns.items()}, profile)


def csr_positions(offsets: Rows, rows: Rows) -> Rows:
    """Where the entries of some rows of a CSR are, row after row."""
    counts = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0)
    positions: Rows = within + np.repeat(offsets[rows] - ends + counts, counts)
    return positions


def csr_offsets(offsets: Rows, rows: Rows) -> Rows:
    """The offsets of a CSR that holds only some rows, [n + 1]."""
    return np.concatenate([[0], np.cumsum(offsets[rows + 1] - offsets[rows])])

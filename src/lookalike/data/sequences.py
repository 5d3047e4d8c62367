"""Events as flat memory-mapped arrays: every user's events in time order, one column after the other.

    offsets [N + 1]      the events of user row i stand at offsets[i] : offsets[i + 1]
    time, item, …  [E]   one entry an event

No Python object exists per event or user; a block of users is a slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.workspace.files import reserve_space

SECONDS_PER_DAY = 86_400


BASKET_GAP = 1_800  # seconds without an event that end a visit


EVENTS_PER_SPAN = 4_000_000  # read at once where all of them are: what is held in memory does not grow with the log


COMMON_ITEMS = 1 << 19  # items, the most common first, that are known one by one; rarer ones by attributes and a hash


NO_ITEM = -1


@dataclass(frozen=True)
class Vocabulary:
    """What the numbers in the arrays mean. Holds no user id."""

    items: list[str]  # by item row
    codes: dict[str, list[str]]  # of each coded field and declared column, code 1 first
    attributes: list[tuple[str, str]]  # (attribute, value) by attribute code
    item_attributes: tuple[NDArray[np.int64], NDArray[np.int32]]  # CSR: offsets [V + 1], attribute codes
    profile: list[tuple[str, str]]  # (attribute, value) of users by profile code

    @property
    def common(self) -> int:
        """How many of the items are common enough for a place of their own in what grows with the catalogue."""
        return min(len(self.items), COMMON_ITEMS)


@dataclass(frozen=True)
class Sequences:
    """The arrays of all users of one cut. `profile` is the users' attributes in the same CSR form."""

    as_of: int  # seconds since 1970
    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]
    profile: tuple[NDArray[np.int64], NDArray[np.int32]]

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process of a cluster, the columns are opened there again, not sent."""
        columns = {name: ColumnRef.of(array) for name, array in self.columns.items()}
        return _reopened, (self.as_of, self.offsets, columns, self.profile)

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    @property
    def fields(self) -> list[str]:
        """The coded fields, in the order of the columns."""
        return [name for name, array in self.columns.items() if array.dtype == np.int16]

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Which user row each event belongs to, [E]."""
        return np.repeat(np.arange(self.users), np.diff(self.offsets))

    def profile_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Where each row's attributes begin among the codes of all of them, and the codes."""
        offsets, codes = self.profile
        return csr_offsets(offsets, rows)[:-1], np.asarray(codes[csr_positions(offsets, rows)])

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

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

    def take(self, rows: NDArray[np.int64]) -> "Sequences":
        """Some users, in the order of `rows`, as arrays of their own."""
        profile_offsets, codes = self.profile
        events, attributes = csr_positions(self.offsets, rows), csr_positions(profile_offsets, rows)
        return Sequences(
            self.as_of,
            csr_offsets(self.offsets, rows),
            {name: np.asarray(array[events]) for name, array in self.columns.items()},
            (csr_offsets(profile_offsets, rows), codes[attributes]),
        )

    def before_each(self, moments: NDArray[np.int64]) -> "Sequences":
        """The same users, each with only the events before a moment of their own [N], copied into memory."""
        keep = np.asarray(self["time"]) < moments[self.owner]
        counts = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
        kept = np.flatnonzero(keep)
        columns = {name: array[kept] for name, array in self.columns.items()}
        return Sequences(self.as_of, counts[self.offsets], columns, self.profile)

    def before(self, moment: int, folder: Path | None = None) -> "Sequences":
        """The same users with only their events before a moment, copied into memory, or into files of a folder."""
        counts = self.earlier(moment)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        columns = {
            name: _new_column(folder, name, array.dtype, int(offsets[-1])) for name, array in self.columns.items()
        }
        for first, last in self.spans():
            begin, end = offsets[first], offsets[last]
            kept = np.arange(begin, end) + np.repeat(self.offsets[first:last] - offsets[first:last], counts[first:last])
            for name, array in self.columns.items():
                columns[name][begin:end] = array[kept]
        return Sequences(moment, offsets, columns, self.profile)

    def earlier(self, moment: int) -> NDArray[np.int64]:
        """How many of each user's events are before a moment, [N]."""
        counts = np.zeros(self.users, np.int64)
        for first, last in self.spans():
            ends = self.offsets[first : last + 1]
            before = np.cumsum(np.append(0, self["time"][ends[0] : ends[-1]] < moment))
            counts[first:last] = np.diff(before[ends - ends[0]])
        return counts

    def popularity(self, items: int, since: int | None = None) -> NDArray[np.int64]:
        """How many events each item has, [items]; with `since` only those from that moment on."""
        counts = np.zeros(items, np.int64)
        for first, last in self.spans():
            part = slice(self.offsets[first], self.offsets[last])
            item = np.asarray(self["item"][part])
            counted = item >= 0 if since is None else (item >= 0) & (np.asarray(self["time"][part]) >= since)
            counts += np.bincount(item[counted], minlength=items)[:items]
        return counts

    def moment(self, place: int) -> int:
        """The time of the event that stands at a place once all are in the order of time. Reads them twice."""
        days: NDArray[np.int64] = np.zeros(1, np.int64)  # events of each day since 1970
        for first, last in self.spans():
            found = np.bincount(self._days(first, last))
            days, found = (np.pad(one, (0, max(len(days), len(found)) - len(one))) for one in (days, found))
            days = days + found
        day = int(np.searchsorted(np.cumsum(days), place, side="right"))
        of_day = [self._times(first, last)[self._days(first, last) == day] for first, last in self.spans()]
        within = place - int(days[:day].sum())
        return int(np.partition(np.concatenate(of_day), within)[within])

    def _times(self, first: int, last: int) -> NDArray[np.int64]:
        return np.asarray(self["time"][self.offsets[first] : self.offsets[last]])

    def _days(self, first: int, last: int) -> NDArray[np.int64]:
        return self._times(first, last) // SECONDS_PER_DAY

    def spans(self) -> Iterator[tuple[int, int]]:
        """All user rows, first : last, as many at a time as have EVENTS_AT_ONCE events; a busier user stands alone."""
        first = 0
        while first < self.users:
            reached = int(np.searchsorted(self.offsets, self.offsets[first] + EVENTS_PER_SPAN, side="right")) - 1
            yield first, (last := max(reached, first + 1))
            first = last


@dataclass(frozen=True)
class ColumnRef:
    """Where a column of the arrays is: a file, or here."""

    kind: np.dtype[Any]
    length: int
    file: str | None = None
    array: NDArray[Any] | None = None

    @classmethod
    def of(cls, array: NDArray[Any]) -> "ColumnRef":
        if isinstance(array, np.memmap) and array.filename and _starts_at_file_start(array):
            return cls(array.dtype, len(array), file=str(array.filename))
        return cls(array.dtype, len(array), array=np.asarray(array))

    def opened(self) -> NDArray[Any]:
        if self.file is None:
            assert self.array is not None
            return self.array
        whole = np.memmap(self.file, self.kind, "r")
        return whole[: self.length]


def _starts_at_file_start(array: "np.memmap[Any, Any]") -> bool:
    """Whether the array begins where its file does; a slice still names the file."""
    mapped = getattr(array, "_mmap", None)
    return mapped is not None and np.frombuffer(mapped, np.uint8).ctypes.data == array.ctypes.data


def _reopened(
    as_of: int,
    offsets: NDArray[np.int64],
    columns: dict[str, ColumnRef],
    profile: tuple[NDArray[np.int64], NDArray[np.int32]],
) -> Sequences:
    return Sequences(as_of, offsets, {name: column.opened() for name, column in columns.items()}, profile)


def _new_column(folder: Path | None, name: str, kind: np.dtype[Any], length: int) -> NDArray[Any]:
    """Where a column will stand: in a file of a folder, or in memory."""
    if folder is None:
        return np.empty(length, kind)
    file = folder / f"{name}.bin"
    whole = np.memmap(file, kind, "w+", shape=(max(1, length),))
    reserve_space(file)
    return whole[:length]


def csr_positions(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the entries of some rows of a CSR stand, row after row."""
    counts = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0)
    positions: NDArray[np.int64] = within + np.repeat(offsets[rows] - ends + counts, counts)
    return positions


def csr_offsets(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(offsets[rows + 1] - offsets[rows])])

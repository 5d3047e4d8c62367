"""Events as flat memory-mapped arrays: every user's events in time order, one column after the other.

    offsets [N + 1]      the events of user row i stand at offsets[i] : offsets[i + 1]
    time, item, …  [E]   one entry an event

No Python object exists per event or user; a block of users is a slice.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lookalike import store as queries
from lookalike.store import Cut, Store
from lookalike.workspace import reserve

SECONDS_PER_DAY = 86_400
NO_ITEM = -1
MAX_ATTRIBUTES = 50_000  # values of item attributes that are known by name; rarer ones are left out
MAX_PROFILE = 64  # values of user attributes
CODE = np.dtype(np.int16)  # 0 is missing
COLUMNS: dict[str, np.dtype[Any]] = {  # of a log without declared columns
    "time": np.dtype(np.int64),  # seconds since 1970, UTC
    "item": np.dtype(np.int32),
    "value": np.dtype(np.float32),  # NaN where the log names none
    "quantity": np.dtype(np.float32),
    "event_type": CODE,
    "country": CODE,
    "device": CODE,
    "source": CODE,
}


@dataclass(frozen=True)
class Vocabulary:
    """What the numbers in the arrays mean. Holds no user id."""

    items: list[str]  # by item row
    codes: dict[str, list[str]]  # of each coded field and declared column, code 1 first
    attributes: list[tuple[str, str]]  # (attribute, value) by attribute code
    item_attributes: tuple[NDArray[np.int64], NDArray[np.int32]]  # CSR: offsets [V + 1], attribute codes
    profile: list[tuple[str, str]]  # (attribute, value) of users by profile code


@dataclass(frozen=True)
class Sequences:
    """The arrays of all users of one cut. `profile` is the users' attributes in the same CSR form."""

    as_of: int  # seconds since 1970
    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]
    profile: tuple[NDArray[np.int64], NDArray[np.int32]]

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

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
        events, attributes = _positions(self.offsets, rows), _positions(profile_offsets, rows)
        return Sequences(
            self.as_of,
            _ends(self.offsets, rows),
            {name: np.asarray(array[events]) for name, array in self.columns.items()},
            (_ends(profile_offsets, rows), codes[attributes]),
        )

    def before(self, moment: int) -> "Sequences":
        """The same users with only their events before a moment, copied into memory."""
        keep = np.asarray(self["time"]) < moment
        counts = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
        offsets = counts[self.offsets]
        kept = np.flatnonzero(keep)
        return Sequences(moment, offsets, {name: array[kept] for name, array in self.columns.items()}, self.profile)


def build(store: Store, cut: Cut, folder: Path) -> tuple[Sequences, Vocabulary]:
    """Streams the events before the cut into `folder` and opens them. Memory is bounded by one batch of rows.

    Also writes `users.parquet` there: `row`, `user_id`, `tie`, `events`.
    """
    queries.prepare(store, cut)
    counts = _write_users(store, folder / "users.parquet")
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    fields = queries.prepared_fields(store)
    kinds = {name: kind for name, kind in COLUMNS.items() if name not in queries.CODED_FIELDS}
    kinds |= dict.fromkeys(fields.values(), CODE)
    columns = {
        name: np.memmap(folder / f"{name}.bin", kind, "w+", shape=(max(1, int(offsets[-1])),))
        for name, kind in kinds.items()
    }
    for name in columns:
        reserve(folder / f"{name}.bin")
    position = 0
    for batch in queries.event_stream(store, cut):
        for name, kind in kinds.items():
            values = batch.column(name)
            filled = values.fill_null(np.nan) if kind.kind == "f" else values
            columns[name][position : position + len(batch)] = filled.to_numpy(zero_copy_only=False)
        position += len(batch)
    assert position == offsets[-1], "every counted event is streamed once"
    vocabulary, profile = _vocabulary(store, len(counts))
    names = {column: name for name, column in fields.items()}  # of a declared column, which may be no name of a file
    flat = {names.get(column, column): array[: int(offsets[-1])] for column, array in columns.items()}
    return Sequences(_seconds(cut.as_of), offsets, flat, profile), vocabulary


def _vocabulary(store: Store, users: int) -> tuple[Vocabulary, tuple[NDArray[np.int64], NDArray[np.int32]]]:
    items = queries.item_list(store)
    attributes, item_pairs = queries.item_attribute_codes(store, MAX_ATTRIBUTES)
    profile, user_pairs = queries.user_attribute_codes(store, MAX_PROFILE)
    vocabulary = Vocabulary(
        items=items,
        codes={name: queries.code_values(store, column) for name, column in queries.prepared_fields(store).items()},
        attributes=attributes,
        item_attributes=_grouped(item_pairs["row"].to_numpy(), item_pairs["code"].to_numpy(), len(items)),
        profile=profile,
    )
    return vocabulary, _grouped(user_pairs["row"].to_numpy(), user_pairs["code"].to_numpy(), users)


def _positions(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the entries of some rows of a CSR stand, row after row."""
    counts = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0)
    positions: NDArray[np.int64] = within + np.repeat(offsets[rows] - ends + counts, counts)
    return positions


def _ends(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(offsets[rows + 1] - offsets[rows])])


def _seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded up: no event that counts is after it."""
    return math.ceil(moment.replace(tzinfo=UTC).timestamp())


def _grouped(
    rows: NDArray[np.integer], codes: NDArray[np.integer], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(row, code) pairs sorted by row as CSR offsets and codes."""
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int64)
    return offsets, codes.astype(np.int32)


def _write_users(store: Store, path: Path) -> NDArray[np.int64]:
    """Writes who the rows are; gives how many events each has."""
    counts = []
    reader = queries.user_rows(store)
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            counts.append(batch.column("events").to_numpy(zero_copy_only=False))
    return np.concatenate(counts) if counts else np.zeros(0, np.int64)

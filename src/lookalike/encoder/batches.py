"""From the flat arrays to padded batches: which stretch of which user, what stands at each position, what comes later."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data import sequence_queries
from lookalike.data.arrays import Rows
from lookalike.data.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, PADDING, SequenceBatch

WINDOWS = (90, 180, 365, 730)


MIN_COVERAGE = 0.95


@dataclass(frozen=True)
class Segments:
    """Parts of users' histories: event positions start : start + length, each within one user."""

    start: Rows
    length: Rows
    user: Rows

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, chosen: Rows) -> "Segments":
        return Segments(self.start[chosen], self.length[chosen], self.user[chosen])


def choose_window(sequences: Sequences, asked: int | None) -> int | None:
    """Days a sequence reaches back. Not asked for: the shortest usual window that leaves few users without events."""
    if asked is not None:
        return asked
    ends = sequences.offsets[1:][np.diff(sequences.offsets) > 0] - 1
    age = (sequences.as_of - np.asarray(sequences["time"])[ends]) / SECONDS_PER_DAY
    fitting = [days for days in WINDOWS if np.mean(age <= days) >= MIN_COVERAGE] if len(ends) else []
    return fitting[0] if fitting else None


def window_starts(sequences: Sequences, days: int | None) -> Rows:
    """Where each user's window begins, [N]: at the user's first event within it, or at the end when there is none."""
    if days is None:
        return sequences.offsets[:-1].copy()
    starts: Rows = sequences.offsets[:-1] + sequence_queries.counts_before(
        sequences, sequences.as_of - days * SECONDS_PER_DAY
    )
    return starts


def latest_segments(sequences: Sequences, starts: Rows, length: int) -> Segments:
    """Each user's last events in the window, one stretch a user; of length 0 where there is none."""
    ends = sequences.offsets[1:]
    start = np.maximum(starts, ends - length)
    return Segments(start, ends - start, np.arange(len(ends)))


def split_histories(sequences: Sequences, starts: Rows, length: int, rng: np.random.Generator) -> Segments:
    """All events in the window, in stretches of at most `length`; where a long history is cut is drawn anew each time."""
    ends = sequences.offsets[1:]
    total = ends - starts
    phase = np.where(total > length, rng.integers(1, length + 1, len(total)), length)
    pieces = np.where(total > 0, 1 + np.maximum(0, -((phase - total) // length)), 0)
    owner = np.repeat(np.arange(len(total)), pieces)
    which = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = starts[owner] + np.where(which == 0, 0, phase[owner] + (which - 1) * length)
    end = np.minimum(starts[owner] + phase[owner] + which * length, ends[owner])
    return Segments(start, end - start, owner)


def copy_segments(sequences: Sequences, stretches: Segments, horizon: int, gap: Rows) -> tuple[Sequences, Segments]:
    """Stretches copied into memory, each as the history of a user of its own, and with what may be foretold from it: the
    next `horizon` events more than `gap` [N] seconds after its last one."""
    ends = stretches.start + stretches.length
    last_of_user = sequences.offsets[stretches.user + 1]
    after = _first_after(np.asarray(sequences["time"]), ends, last_of_user, gap[stretches.user])
    counts = np.minimum(after + horizon, last_of_user) - stretches.start
    offsets = np.concatenate([[0], np.cumsum(counts)])
    events = np.arange(offsets[-1]) + np.repeat(stretches.start - offsets[:-1], counts)
    starts, codes = sequences.profile_of(stretches.user)
    some = Sequences(
        sequences.as_of,
        offsets,
        {name: np.asarray(array[events]) for name, array in sequences.columns.items()},
        (np.append(starts, len(codes)), codes),
    )
    return some, Segments(offsets[:-1], stretches.length, np.arange(len(stretches)))


def _first_after(time: NDArray[np.int64], ends: Rows, limits: Rows, gap: Rows) -> Rows:
    """For stretches that end before `ends` the first event of the user more than `gap` after their last; `limits` if none.

    By halving, for all at once: a search in the whole log would hold it in memory.
    """
    if not len(ends):
        return ends
    low, high, border = ends, limits, time[ends - 1] + gap
    while (open_ := low < high).any():
        middle = np.where(open_, (low + high) // 2, low)
        later = time[np.minimum(middle, len(time) - 1)] > border
        low, high = np.where(open_ & ~later, middle + 1, low), np.where(open_ & later, middle, high)
    return low


def random_crops(stretches: Segments, rng: np.random.Generator) -> Segments:
    """A random part of each stretch, of at least half its length."""
    length = np.ceil(stretches.length * rng.uniform(0.5, 1.0, len(stretches))).astype(np.int64)
    start = stretches.start + (rng.random(len(stretches)) * (stretches.length - length + 1)).astype(np.int64)
    return Segments(start, length, stretches.user)


@dataclass(frozen=True)
class FutureEvents:
    """For each event, where the user's strictly later events begin and end, both [E]; equal when there is none.

    Events of one moment (a basket) have no order, so none of them is foretold from another.
    """

    begin: Rows
    end: Rows


def future_events(sequences: Sequences, horizon: int, gap: NDArray[np.int64] | None = None) -> FutureEvents:
    """The next `horizon` events after each one; with `gap` [N], seconds, only those more than that much later."""
    time, owner = np.asarray(sequences["time"]), sequences.owner
    user_end = sequences.offsets[1:][owner]
    if gap is None:
        moment_starts = np.ones(len(time), bool)
        moment_starts[1:] = time[1:] != time[:-1]
        moment_starts[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = True
        bounds = np.append(np.flatnonzero(moment_starts), len(time))
        begin = bounds[np.cumsum(moment_starts)]
    else:  # one number orders all events by user and time, so one search finds every place
        first = int(time.min()) if len(time) else 0
        stride = (int(time.max()) - first if len(time) else 0) + int(gap.max(initial=0)) + 2
        key = owner * stride + (time - first)
        begin = np.searchsorted(key, key + gap[owner], side="right")
    begin = np.minimum(begin, user_end)
    return FutureEvents(begin, np.minimum(begin + horizon, user_end))


def batches_by_length(stretches: Segments, events: int, rng: np.random.Generator | None = None) -> Iterator[Rows]:
    """Indices of stretches of like length, a batch at a time, so that little is padding.

    Shuffled when given `rng`, which leaves out empty stretches: they teach nothing.
    """
    keys = stretches.length.astype(np.float64)
    if rng is not None:
        keys = keys * rng.uniform(0.9, 1.1, len(keys))
    order = np.argsort(keys, kind="stable")
    if rng is not None:
        order = order[stretches.length[order] > 0]
    widths = np.maximum(stretches.length[order], 1)
    bounds, first = [0], 0
    while first < len(order):  # one turn a batch, not a user: sorted, so a batch is as wide as its last stretch
        last = first + max(
            1, int(events // max(1, widths[min(len(order) - 1, first + events // max(1, widths[first]))]))
        )
        bounds.append(first := min(last, len(order)))
    batches = list(range(len(bounds) - 1))
    if rng is not None:
        rng.shuffle(batches)
    for batch in batches:
        yield order[bounds[batch] : bounds[batch + 1]]


def collate(sequences: Sequences, stretches: Segments, device: torch.device) -> tuple[SequenceBatch, Rows]:
    """The stretches as one padded batch, and the event position behind every place of it, [B, T] (-1 for padding)."""
    places = np.arange(max(1, int(stretches.length.max())))
    real = places < stretches.length[:, None]
    position = np.where(real, stretches.start[:, None] + places, 0)
    if len(sequences["time"]):
        item = np.asarray(sequences["item"][position]).astype(np.int64)
        context = _context(sequences, position)
    else:  # nobody has done anything yet
        item = np.full(position.shape, -1)
        context = np.zeros((*position.shape, len(EVENT_FEATURES) + len(sequences.fields)), np.int64)
    item = np.where(real, np.where(item >= 0, item + FIRST_ITEM, NO_ITEM), PADDING)
    profile_starts, profile = sequences.profile_of(stretches.user)

    def on_device(values: NDArray[np.integer]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(device)

    batch = SequenceBatch(
        item=on_device(item),
        context=on_device(context * real[..., None]),
        profile=on_device(profile),
        profile_starts=on_device(profile_starts),
    )
    return batch, np.where(real, position, -1)


def _context(sequences: Sequences, position: Rows) -> Rows:
    """The value of each of MOMENTS and of each coded field at some events, [B, T, F]."""
    time = np.asarray(sequences["time"][position])
    gap = np.maximum(np.diff(time, axis=1, prepend=time[:, :1]), 0)
    visit = gap > BASKET_GAP
    visit[:, 0] = True
    columns = [
        _log_bucket(gap, EVENT_FEATURES["gap"]),
        _log_bucket(np.maximum(time - time[:, :1], 0), EVENT_FEATURES["elapsed"]),
        time % SECONDS_PER_DAY // 3_600,
        (time // SECONDS_PER_DAY + 3) % 7,
        visit,
        _money_bucket(np.asarray(sequences["value"][position])),
        *(np.asarray(sequences[name][position]) for name in sequences.fields),
    ]
    return np.stack(columns, -1).astype(np.int64)


def _log_bucket(seconds: NDArray[np.integer], buckets: int) -> Rows:
    """Doubling steps: the last is of 97 days and more."""
    found: Rows = np.clip(np.log2(1 + seconds), 0, buckets - 1).astype(np.int64)
    return found


def _money_bucket(value: NDArray[np.floating]) -> Rows:
    """0 where no value is named, 1 for a refund, then doubling steps."""
    steps = 2 + np.clip(np.log2(1 + np.maximum(np.nan_to_num(value), 0)), 0, EVENT_FEATURES["value"] - 3).astype(
        np.int64
    )
    buckets: Rows = np.where(np.isnan(value), 0, np.where(value < 0, 1, steps))
    return buckets

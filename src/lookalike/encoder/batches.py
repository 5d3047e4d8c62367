"""From flat event arrays to padded batches: segments of histories, the events that follow them, and model inputs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data import sequence_queries
from lookalike.data.arrays import Flags, Matrix, Rows, Seconds
from lookalike.data.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, PADDING, SequenceBatch

WINDOW_DAYS = (90, 180, 365, 730)
MIN_COVERAGE = 0.95  # share of the users who must have an event in the window
LENGTH_JITTER = 0.1  # training batches mix lengths that differ by up to this share either way


@dataclass(frozen=True)
class Segments:
    """Parts of users' histories: event positions start : start + length, each within one user."""

    start: Rows
    length: Rows
    user: Rows

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: Rows) -> "Segments":
        return Segments(self.start[rows], self.length[rows], self.user[rows])


def choose_window(sequences: Sequences, days: int | None) -> int | None:
    """How many days back sequences reach: `days` if given, else the shortest usual window that covers enough users.

    None means all of the history.
    """
    if days is not None:
        return days
    last_events = sequences.offsets[1:][np.diff(sequences.offsets) > 0] - 1
    if not len(last_events):
        return None
    age = (sequences.as_of - np.asarray(sequences["time"])[last_events]) / SECONDS_PER_DAY
    return next((window for window in WINDOW_DAYS if np.mean(age <= window) >= MIN_COVERAGE), None)


def window_starts(sequences: Sequences, days: int | None) -> Rows:
    """The position of each user's first event in the window, [N]; the end of the history if there is none."""
    if days is None:
        return sequences.offsets[:-1].copy()
    starts: Rows = sequences.offsets[:-1] + sequence_queries.counts_before(
        sequences, sequences.as_of - days * SECONDS_PER_DAY
    )
    return starts


def latest_segments(sequences: Sequences, starts: Rows, length: int) -> Segments:
    """Each user's last events in the window, at most `length`: one segment a user, which may be empty."""
    ends = sequences.offsets[1:]
    start = np.maximum(starts, ends - length)
    return Segments(start, ends - start, np.arange(len(ends)))


def split_histories(sequences: Sequences, starts: Rows, length: int, rng: np.random.Generator) -> Segments:
    """All events in the window as segments of at most `length`; the cuts in a long history are drawn at random."""
    ends = sequences.offsets[1:]
    total = ends - starts
    first_length = np.where(total > length, rng.integers(1, length + 1, len(total)), length)
    pieces = np.where(total > 0, 1 + np.maximum(0, -((first_length - total) // length)), 0)
    user = np.repeat(np.arange(len(total)), pieces)
    piece = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = starts[user] + np.where(piece == 0, 0, first_length[user] + (piece - 1) * length)
    end = np.minimum(starts[user] + first_length[user] + piece * length, ends[user])
    return Segments(start, end - start, user)


def random_crops(segments: Segments, rng: np.random.Generator) -> Segments:
    """A random part of each segment, at least half its length."""
    length = np.ceil(segments.length * rng.uniform(0.5, 1.0, len(segments))).astype(np.int64)
    start = segments.start + (rng.random(len(segments)) * (segments.length - length + 1)).astype(np.int64)
    return Segments(start, length, segments.user)


def copy_segments(sequences: Sequences, segments: Segments, horizon: int, gap: Seconds) -> tuple[Sequences, Segments]:
    """Segments copied into memory, each as the history of a user of its own, with the events it may have as targets.

    Those are the next `horizon` events more than `gap` [N] seconds after the segment's last event.
    """
    ends = segments.start + segments.length
    history_ends = sequences.offsets[segments.user + 1]
    first_target = _first_after(np.asarray(sequences["time"]), ends, history_ends, gap[segments.user])
    counts = np.minimum(first_target + horizon, history_ends) - segments.start
    offsets = np.concatenate([[0], np.cumsum(counts)])
    events = np.arange(offsets[-1]) + np.repeat(segments.start - offsets[:-1], counts)
    profile_starts, profile = sequences.profile_of(segments.user)
    copied = Sequences(
        sequences.as_of,
        offsets,
        {name: np.asarray(array[events]) for name, array in sequences.columns.items()},
        (np.append(profile_starts, len(profile)), profile),
    )
    return copied, Segments(offsets[:-1], segments.length, np.arange(len(segments)))


def _first_after(time: Seconds, ends: Rows, limits: Rows, gap: Seconds) -> Rows:
    """For each segment that ends at `ends`, the first event before `limits` more than `gap` after its last; else `limits`.

    Bisection for all segments at once: a search of the whole log would read it into memory.
    """
    if not len(ends):
        return ends
    low, high, border = ends, limits, time[ends - 1] + gap
    while (undecided := low < high).any():
        middle = np.where(undecided, (low + high) // 2, low)
        is_later = time[np.minimum(middle, len(time) - 1)] > border
        low, high = np.where(undecided & ~is_later, middle + 1, low), np.where(undecided & is_later, middle, high)
    return low


@dataclass(frozen=True)
class FutureEvents:
    """For each event, the positions begin : end of the user's strictly later events, both [E]; equal if there are none.

    Events at the same moment (a basket) have no order, so none of them is a target of another.
    """

    begin: Rows
    end: Rows


def future_events(sequences: Sequences, horizon: int, gap: Seconds | None = None) -> FutureEvents:
    """The next `horizon` events after each event; with `gap` [N], in seconds, only those more than that much later."""
    owner = sequences.owner
    user_end = sequences.offsets[1:][owner]
    begin = _next_moments(sequences) if gap is None else _first_past_gap(sequences, gap)
    begin = np.minimum(begin, user_end)
    return FutureEvents(begin, np.minimum(begin + horizon, user_end))


def _next_moments(sequences: Sequences) -> Rows:
    """The position of the first event after each event's moment, [E]; it may be another user's."""
    time = np.asarray(sequences["time"])
    starts_moment = np.ones(len(time), bool)
    starts_moment[1:] = time[1:] != time[:-1]
    starts_moment[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = True
    bounds = np.append(np.flatnonzero(starts_moment), len(time))
    return np.asarray(bounds[np.cumsum(starts_moment)])


def _first_past_gap(sequences: Sequences, gap: Seconds) -> Rows:
    """The position of the first event more than `gap` [N] after each event, [E]; it may be another user's."""
    time, owner = np.asarray(sequences["time"]), sequences.owner
    first = int(time.min()) if len(time) else 0
    stride = (int(time.max()) - first if len(time) else 0) + int(gap.max(initial=0)) + 2
    # one key orders all events by user and time, so that one search serves every event
    key = owner * stride + (time - first)
    return np.asarray(np.searchsorted(key, key + gap[owner], side="right"))


def batches_by_length(segments: Segments, events: int, rng: np.random.Generator | None = None) -> Iterator[Rows]:
    """Indices of segments of similar length, one batch at a time, so that there is little padding.

    With `rng`, for training, batches are shuffled and empty segments are excluded.
    """
    keys = segments.length.astype(np.float64)
    if rng is not None:
        keys = keys * rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, len(keys))
    order = np.argsort(keys, kind="stable")
    if rng is not None:
        order = order[segments.length[order] > 0]
    bounds = _batch_bounds(np.maximum(segments.length[order], 1), events)
    batches = list(range(len(bounds) - 1))
    if rng is not None:
        rng.shuffle(batches)
    for batch in batches:
        yield order[bounds[batch] : bounds[batch + 1]]


def _batch_bounds(widths: Rows, events: int) -> list[int]:
    """Where batches of about `events` positions begin and end, for segments of (roughly) ascending widths.

    A batch is as wide as its last segment, so its size is computed from the width where it would end.
    """
    bounds = [0]
    while (first := bounds[-1]) < len(widths):
        expected_last = min(len(widths) - 1, first + events // int(widths[first]))
        size = max(1, events // int(widths[expected_last]))
        bounds.append(min(first + size, len(widths)))
    return bounds


def collate(sequences: Sequences, segments: Segments, device: torch.device) -> tuple[SequenceBatch, Rows]:
    """The segments as one padded batch, and the event at each of its positions, [B, T] (-1 for padding)."""
    positions = np.arange(max(1, int(segments.length.max())))
    is_real = positions < segments.length[:, None]  # [B, T]
    event = np.where(is_real, segments.start[:, None] + positions, 0)
    if len(sequences["time"]):
        item = np.asarray(sequences["item"][event]).astype(np.int64)
        context = _event_context(sequences, event)
    else:  # a log without events, whose users are embedded by their profile
        item = np.full(event.shape, -1)
        context = np.zeros((*event.shape, len(EVENT_FEATURES) + len(sequences.fields)), np.int64)
    item = np.where(is_real, np.where(item >= 0, item + FIRST_ITEM, NO_ITEM), PADDING)
    profile_starts, profile = sequences.profile_of(segments.user)

    def on_device(values: NDArray[np.integer]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(device)

    batch = SequenceBatch(
        item=on_device(item),
        context=on_device(context * is_real[..., None]),
        profile=on_device(profile),
        profile_starts=on_device(profile_starts),
    )
    return batch, np.where(is_real, event, -1)


def _event_context(sequences: Sequences, event: Rows) -> Rows:
    """The value of each of EVENT_FEATURES and of each coded field at the events, [B, T, F]."""
    time = np.asarray(sequences["time"][event])
    gap = np.maximum(np.diff(time, axis=1, prepend=time[:, :1]), 0)
    columns = [
        _log_bucket(gap, EVENT_FEATURES["gap"]),
        _log_bucket(np.maximum(time - time[:, :1], 0), EVENT_FEATURES["elapsed"]),
        time % SECONDS_PER_DAY // 3_600,
        (time // SECONDS_PER_DAY + 3) % 7,
        _starts_visit(gap),
        _value_bucket(np.asarray(sequences["value"][event])),
        *(np.asarray(sequences[name][event]) for name in sequences.fields),
    ]
    return np.stack(columns, -1).astype(np.int64)


def _starts_visit(gap: Seconds) -> Flags:
    """Whether each event begins a visit, [B, T]; the first of a segment always does."""
    starts: Flags = gap > BASKET_GAP
    starts[:, 0] = True
    return starts


def _log_bucket(seconds: Seconds, buckets: int) -> Rows:
    """Buckets that double in width; with 24 the last one holds 97 days and more."""
    bucket: Rows = np.clip(np.log2(1 + seconds), 0, buckets - 1).astype(np.int64)
    return bucket


def _value_bucket(value: Matrix) -> Rows:
    """0 for a missing value, 1 for a refund, then buckets that double in width."""
    steps = np.clip(np.log2(1 + np.maximum(np.nan_to_num(value), 0)), 0, EVENT_FEATURES["value"] - 3)
    bucket: Rows = np.where(np.isnan(value), 0, np.where(value < 0, 1, 2 + steps.astype(np.int64)))
    return bucket

"""Figures about all events of a log, and copies that end at a moment. Events are read span by span to bound memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Rows, Seconds
from lookalike.data.column_files import new_column
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences


def popularity(sequences: Sequences, items: int, since: int | None = None) -> NDArray[np.int64]:
    """The number of events of each item, [items]; with `since` (seconds) only of events from that moment on."""
    counts = np.zeros(items, np.int64)
    for first, last in sequences.spans():
        span = slice(sequences.offsets[first], sequences.offsets[last])
        item = np.asarray(sequences["item"][span])
        counted = item >= 0 if since is None else (item >= 0) & (np.asarray(sequences["time"][span]) >= since)
        counts += np.bincount(item[counted], minlength=items)[:items]
    return counts


def nth_event_time(sequences: Sequences, n: int) -> int:
    """The time of event `n` (from 0) when all events of the log are sorted by time. Reads the times twice."""
    per_day: NDArray[np.int64] = np.zeros(1, np.int64)  # events on each day since 1970
    for first, last in sequences.spans():
        in_span = np.bincount(_times(sequences, first, last) // SECONDS_PER_DAY)
        days = max(len(per_day), len(in_span))
        per_day = np.pad(per_day, (0, days - len(per_day))) + np.pad(in_span, (0, days - len(in_span)))
    day = int(np.searchsorted(np.cumsum(per_day), n, side="right"))
    times = [_times(sequences, first, last) for first, last in sequences.spans()]
    on_day = np.concatenate([part[part // SECONDS_PER_DAY == day] for part in times])
    within_day = n - int(per_day[:day].sum())
    return int(np.partition(on_day, within_day)[within_day])


def count_events_before(sequences: Sequences, moment: int) -> Rows:
    """How many of each user's events are before a moment, [N]."""
    counts = np.zeros(sequences.users, np.int64)
    for first, last in sequences.spans():
        ends = sequences.offsets[first : last + 1]
        before = np.cumsum(np.append(0, _times(sequences, first, last) < moment))
        counts[first:last] = np.diff(before[ends - ends[0]])
    return counts


def events_before(sequences: Sequences, moment: int, folder: Path | None = None) -> Sequences:
    """The same users with only their events before a moment, copied into memory or into files of a folder."""
    counts = count_events_before(sequences, moment)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    columns = {
        name: new_column(folder, name, array.dtype, int(offsets[-1])) for name, array in sequences.columns.items()
    }
    for first, last in sequences.spans():
        begin, end = offsets[first], offsets[last]
        shift = np.repeat(sequences.offsets[first:last] - offsets[first:last], counts[first:last])
        kept = np.arange(begin, end) + shift
        for name, array in sequences.columns.items():
            columns[name][begin:end] = array[kept]
    return Sequences(moment, offsets, columns, sequences.profile)


def events_before_each(sequences: Sequences, moments: Seconds) -> Sequences:
    """The same users, each with only the events before a moment of their own [N], copied into memory."""
    kept = np.asarray(sequences["time"]) < moments[sequences.owner]
    counts = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
    positions = np.flatnonzero(kept)
    columns = {name: array[positions] for name, array in sequences.columns.items()}
    return Sequences(sequences.as_of, counts[sequences.offsets], columns, sequences.profile)


def _times(sequences: Sequences, first: int, last: int) -> Seconds:
    return np.asarray(sequences["time"][sequences.offsets[first] : sequences.offsets[last]])

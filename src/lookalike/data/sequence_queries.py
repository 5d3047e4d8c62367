"""What is computed from all events of the sequences: popularity, and the events before a moment.

Events are read span by span, so that memory follows the result and not the log.
"""

from pathlib import Path

import numpy as np

from lookalike.data.arrays import Flags, Rows, Seconds
from lookalike.data.column_files import new_column
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences


def popularity(sequences: Sequences, items: int, since: int | None = None) -> Rows:
    """The number of events about each item, [items]; with `since` only events from that moment on count."""
    counts = np.zeros(items, np.int64)
    for first, last in sequences.spans():
        events = slice(sequences.offsets[first], sequences.offsets[last])
        item = np.asarray(sequences["item"][events])
        counted = item >= 0 if since is None else (item >= 0) & (np.asarray(sequences["time"][events]) >= since)
        counts += np.bincount(item[counted], minlength=items)[:items]
    return counts


def time_at(sequences: Sequences, position: int) -> int:
    """The time of the event at a position in the order of time. Reads all times twice."""
    per_day: Rows = np.zeros(1, np.int64)  # events on each day since 1970
    for first, last in sequences.spans():
        counts = np.bincount(_times(sequences, first, last) // SECONDS_PER_DAY)
        longest = max(len(per_day), len(counts))
        per_day = np.pad(per_day, (0, longest - len(per_day))) + np.pad(counts, (0, longest - len(counts)))
    day = int(np.searchsorted(np.cumsum(per_day), position, side="right"))
    spans = (_times(sequences, first, last) for first, last in sequences.spans())
    times = np.concatenate([times[times // SECONDS_PER_DAY == day] for times in spans])
    within_day = position - int(per_day[:day].sum())
    return int(np.partition(times, within_day)[within_day])


def _times(sequences: Sequences, first: int, last: int) -> Seconds:
    return np.asarray(sequences["time"][sequences.offsets[first] : sequences.offsets[last]])


def counts_before(sequences: Sequences, moment: int) -> Rows:
    """How many events each user has before a moment, [N]."""
    counts = np.zeros(sequences.users, np.int64)
    for first, last in sequences.spans():
        ends = sequences.offsets[first : last + 1]
        earlier = np.cumsum(np.append(0, sequences["time"][ends[0] : ends[-1]] < moment))
        counts[first:last] = np.diff(earlier[ends - ends[0]])
    return counts


def events_before(sequences: Sequences, moment: int, folder: Path | None = None) -> Sequences:
    """The same users with only their events before a moment, copied into memory or into files of a folder."""
    counts = counts_before(sequences, moment)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    # files are numbered: a column may have any name that a log's header has, such as a path
    columns = {
        name: new_column(folder, f"column-{number}", array.dtype, int(offsets[-1]))
        for number, (name, array) in enumerate(sequences.columns.items())
    }
    for first, last in sequences.spans():
        begin, end = offsets[first], offsets[last]
        shift = np.repeat(sequences.offsets[first:last] - offsets[first:last], counts[first:last])
        kept = np.arange(begin, end) + shift  # events are ordered by time: the first of each user are kept
        for name, array in sequences.columns.items():
            columns[name][begin:end] = array[kept]
    return Sequences(moment, offsets, columns, sequences.profile)


def events_before_each(sequences: Sequences, moments: Seconds) -> Sequences:
    """The same users, each with only the events before a moment of their own [N], copied into memory."""
    return only_events(sequences, np.asarray(sequences["time"]) < moments[sequences.owner])


def only_events(sequences: Sequences, kept: Flags) -> Sequences:
    """The same users with only some of their events [E], copied into memory."""
    counts = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
    positions = np.flatnonzero(kept)
    columns = {name: array[positions] for name, array in sequences.columns.items()}
    return Sequences(sequences.as_of, counts[sequences.offsets], columns, sequences.profile)

"""How long items live: whether a log is of news, whose items come and go in hours, or of a shop, whose items stay.

Events are read span by span or as a sample, so that memory follows the number of items and not the log.
"""

from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Rows, Seconds
from lookalike.data.sequences import Sequences

SAMPLED_EVENTS = 200_000  # enough for a share and a median


@dataclass(frozen=True)
class ItemLives:
    """The times of each item's first and last event, [V]; of an item without events the first is after the last."""

    first: Seconds
    last: Seconds

    @classmethod
    def of(cls, sequences: Sequences, items: int) -> "ItemLives":
        first, last = np.full(items, np.iinfo(np.int64).max), np.zeros(items, np.int64)
        for begin, end in sequences.spans():
            events = slice(sequences.offsets[begin], sequences.offsets[end])
            item, time = np.asarray(sequences["item"][events]), np.asarray(sequences["time"][events])
            counted = (item >= 0) & (item < items)
            np.minimum.at(first, item[counted], time[counted])
            np.maximum.at(last, item[counted], time[counted])
        return cls(first, last)

    def share_alive(self, moments: Seconds, weights: Floats) -> float:
        """The mean over the moments [n] of the share of the items, by weight [V], whose life the moment is in."""
        born, gone = np.argsort(self.first, kind="stable"), np.argsort(self.last, kind="stable")
        begun, ended = (np.concatenate([[0.0], np.cumsum(weights[order])]) for order in (born, gone))
        alive = (
            begun[np.searchsorted(self.first[born], moments, side="right")]
            - ended[np.searchsorted(self.last[gone], moments, side="left")]
        )
        return float(alive.mean() / weights.sum())


def median_age(sequences: Sequences, lives: ItemLives) -> int:
    """How long after its item's first event the median event is, in seconds; 0 without events of items."""
    events = _sample(sequences)
    item = np.asarray(sequences["item"])[events]
    events, item = events[item >= 0], item[item >= 0]
    return int(np.median(np.asarray(sequences["time"])[events] - lives.first[item])) if len(events) else 0


def items_come_and_go(sequences: Sequences, lives: ItemLives, counts: Rows, weights: Floats, limit: float) -> bool:
    """Whether less than `limit` of the items are alive at the time of a typical event, as a share of what chance gives.

    counts [V] are the items' events, weights [V] how much an item counts. The life of an item with few events is short
    by chance: n events that are spread evenly over the log cover (n - 1) / (n + 1) of it.
    """
    by_chance = float(((counts - 1) / (counts + 1)).clip(0) @ weights)
    moments = np.asarray(sequences["time"])[_sample(sequences)]
    return by_chance > 0 and lives.share_alive(moments, weights) * float(weights.sum()) < limit * by_chance


def _sample(sequences: Sequences) -> Rows:
    """Evenly spaced positions of events, ascending."""
    events = int(sequences.offsets[-1])
    return np.unique(np.linspace(0, events - 1, min(events, SAMPLED_EVENTS)).astype(np.int64))

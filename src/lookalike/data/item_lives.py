"""How long items live: whether a log is of news, whose items come and go in hours, or of a shop, whose items stay.

How long an item would live by chance follows from the people who met it, not from its events: several events of a visit say
nothing of it. Events are read span by span or as a sample, so that memory follows the number of items and not the log.
"""

from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Rows, Seconds
from lookalike.data.sequences import Sequences

SAMPLED_EVENTS = 200_000  # enough for a share and a median
COME_AND_GO = 0.25  # share of the items that are alive, as a part of what chance gives, below which they come and go
TOLD_BY = 0.25  # share of the items, by weight, that chance must keep alive for a short life to tell anything


@dataclass(frozen=True)
class ItemLives:
    """The times of each item's first and last event, and how many people met it, [V]. The first time of an item that nobody
    met is after the last."""

    first: Seconds
    last: Seconds
    people: Rows

    @classmethod
    def of(cls, sequences: Sequences, items: int) -> "ItemLives":
        first, last = np.full(items, np.iinfo(np.int64).max), np.zeros(items, np.int64)
        people = np.zeros(items, np.int64)
        for begin, end in sequences.spans():
            events = slice(sequences.offsets[begin], sequences.offsets[end])
            item, time = np.asarray(sequences["item"][events]), np.asarray(sequences["time"][events])
            user = np.repeat(np.arange(end - begin), np.diff(sequences.offsets[begin : end + 1]))
            counted = np.flatnonzero((item >= 0) & (item < items))
            np.minimum.at(first, item[counted], time[counted])
            np.maximum.at(last, item[counted], time[counted])
            pairs = np.sort(user[counted] * items + item[counted])
            met = pairs[np.diff(pairs, prepend=-1) > 0] % max(1, items)
            people += np.bincount(met, minlength=items)
        return cls(first, last, people)

    def share_alive(self, moments: Seconds, weights: Floats) -> float:
        """The mean over the moments [n] of the share of the items, by weight [V], whose life the moment is in."""
        born, gone = np.argsort(self.first, kind="stable"), np.argsort(self.last, kind="stable")
        begun, ended = (np.concatenate([[0.0], np.cumsum(weights[order])]) for order in (born, gone))
        alive = (
            begun[np.searchsorted(self.first[born], moments, side="right")]
            - ended[np.searchsorted(self.last[gone], moments, side="left")]
        )
        return float(alive.mean() / weights.sum())


def items_come_and_go(sequences: Sequences, lives: ItemLives) -> bool:
    """Whether few of the items are alive at the time of a typical event, compared with what chance gives.

    The life of an item that few people met is short by chance: n people who come evenly over the log cover
    (n - 1) / (n + 1) of it. Items count by the people who met them.
    """
    weights = lives.people.astype(np.float64)
    by_chance = float(((weights - 1) / (weights + 1)).clip(0) @ weights) / max(1.0, float(weights.sum()))
    if by_chance < TOLD_BY:  # hardly any item was met by several people
        return False
    moments = np.asarray(sequences["time"])[_sample(sequences)]
    return lives.share_alive(moments, weights) < COME_AND_GO * by_chance


def median_age(sequences: Sequences, lives: ItemLives) -> int:
    """How long after its item was first met the median event is, in seconds; 0 without events of items."""
    events = _sample(sequences)
    item = np.asarray(sequences["item"])[events]
    events, item = events[item >= 0], item[item >= 0]
    return int(np.median(np.asarray(sequences["time"])[events] - lives.first[item])) if len(events) else 0


def _sample(sequences: Sequences) -> Rows:
    """Evenly spaced positions of events, ascending."""
    events = int(sequences.offsets[-1])
    return np.unique(np.linspace(0, events - 1, min(events, SAMPLED_EVENTS)).astype(np.int64))

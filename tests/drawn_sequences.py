"""Arrays of events drawn at random, without a database."""

import numpy as np

from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences

CODES = {name: list("abcde") for name, kind in COLUMNS.items() if kind == np.int16}  # what the drawn codes may mean


def sequences_of(times: list[list[int]], as_of: int | None = None, seed: int = 0) -> Sequences:
    """Users with events at these times; everything else is drawn: items from -1 (none) to 8, codes from 0 to 4."""
    rng = np.random.default_rng(seed)
    counts = [len(user) for user in times]
    total = sum(counts)
    columns = {name: rng.integers(0, 5, total).astype(kind) for name, kind in COLUMNS.items()}
    columns["time"] = np.array([time for user in times for time in user], np.int64)
    columns["item"] = rng.integers(-1, 9, total).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    no_profile = (np.zeros(len(times) + 1, np.int64), np.zeros(0, np.int32))
    end = as_of if as_of is not None else int(columns["time"].max(initial=0)) + 1
    return Sequences(end, offsets, columns, no_profile)

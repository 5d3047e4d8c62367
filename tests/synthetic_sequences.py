"""Event arrays built from lists of times, without a database."""

import numpy as np

from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences, Vocabulary

CODES = {name: list("abcde") for name, kind in COLUMNS.items() if kind == np.int16}  # names of the drawn codes


def sequences_of(times: list[list[int]], as_of: int | None = None, seed: int = 0) -> Sequences:
    """Users with events at these times; all other columns are random."""
    rng = np.random.default_rng(seed)
    counts = [len(user) for user in times]
    total = sum(counts)
    columns = {name: rng.integers(0, 5, total).astype(kind) for name, kind in COLUMNS.items()}
    columns["time"] = np.array([t for user in times for t in user], np.int64)
    columns["item"] = rng.integers(-1, 9, total).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    no_profile = (np.zeros(len(times) + 1, np.int64), np.zeros(0, np.int32))
    end = as_of if as_of is not None else int(columns["time"].max(initial=0)) + 1
    return Sequences(end, offsets, columns, no_profile)


def plain_vocabulary(items: int) -> Vocabulary:
    """Items without attributes, and users without a profile."""
    no_attributes = (np.zeros(items + 1, np.int64), np.zeros(0, np.int32))
    return Vocabulary([f"i{n}" for n in range(items)], CODES, [], no_attributes, [])

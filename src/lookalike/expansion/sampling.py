"""Samples of users, drawn so that the same settings give the same users."""

import numpy as np

from lookalike.data.arrays import Rows, is_member
from lookalike.workspace.random_streams import Stream, generator


def draw_background(users: int, suppressed: Rows, max_users: int, random_seed: int) -> Rows:
    """A sample of the eligible users, ascending: everybody but the suppressed, seeds included."""
    eligible = users - len(suppressed)
    rng = generator(random_seed, Stream.BACKGROUND)
    if eligible <= 2 * max_users:  # few enough to list them all
        everybody = np.setdiff1d(np.arange(users), suppressed, assume_unique=True)
        return np.sort(rng.permutation(everybody)[:max_users])
    drawn = np.zeros(0, np.int64)
    while len(drawn) < max_users:  # rejection sampling: memory follows the sample, not the users
        batch = rng.integers(0, users, max_users)
        drawn = np.concatenate([drawn, batch[~is_member(batch, suppressed)]])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)]
    return np.sort(drawn[:max_users])


def draw_sample(rows: Rows, max_users: int, random_seed: int) -> Rows:
    """At most so many of the rows, ascending."""
    return np.sort(generator(random_seed, Stream.SAMPLE).permutation(rows)[:max_users])

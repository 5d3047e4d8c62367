"""Every use of chance has a stream of its own, so that adding a draw to one changes no other.

A stream is a NumPy generator seeded with the settings' random seed, the stream's number, and keys such as the fold.
Numbers are part of what makes results repeatable: never reuse or change one.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The number of each stream."""

    NEXT_ITEM_HOLDOUT = 1  # held-out users of a training
    EPOCH = 2  # segments, hidden hours and batches of one epoch, the same in every process
    HOLDOUT = 3  # folds of the seed and chance within a fold
    TRAINING_PROCESS = 3  # targets and negatives of one process; shares its number with HOLDOUT since the first version
    BACKGROUND = 4
    FINAL_FIT = 5  # the scorer fitted on the whole seed
    SAMPLE = 6  # large seeds and lists are sampled
    FEATURE_SAMPLE = 7  # users whom columns and directions are fitted on
    CROSS_FIT = 8  # groups of the cross-fitted scorer choice
    PERMUTATION_TEST = 9
    PSEUDO_AUDIENCE_SEED = 12  # seeds drawn from an audience of the log
    FUSION_EPISODES = 13
    PSEUDO_AUDIENCES = 14
    EVALUATION_USERS = 16
    CHURN = 18
    LEARNED_PRIOR = 20
    SUB_AUDIENCES = 21
    SEED_HALVES = 22
    BACKGROUND_MOMENTS = 23
    BACKTEST = 31
    FORECAST = 32
    PICKED_PART = 33
    AUDIENCE_PROBE = 40  # who is contrasted with the members of an audience, and which of them are given


def generator(random_seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """The generator of a stream; `keys` tell its parts from each other."""
    return np.random.default_rng([random_seed, int(stream), *keys])

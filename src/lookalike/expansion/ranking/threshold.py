"""Guesses the last score on a list from a sample of users, so that the prefilter can reject users from the start."""

import numpy as np

from lookalike.data.arrays import Rows, is_member
from lookalike.embeddings.representation import Representation
from lookalike.expansion.ranking import score_readers
from lookalike.expansion.ranking.score_readers import LinearReader, ScoreReader

SAMPLE_USERS = 16_384
SAMPLE_RUN = 128  # neighbouring users of the sample, who are read together
NO_GUESS = -np.inf


def guess_threshold(representation: Representation, reader: ScoreReader, size: int, excluded: Rows) -> float:
    """A score that, unless the sample is unusual, more than `size` users reach who are not excluded; or NO_GUESS."""
    users = representation.users
    if not isinstance(reader, LinearReader) or reader.prefilter is None or users < 4 * SAMPLE_USERS:
        return NO_GUESS
    rows = _sample_rows(users)
    rows = rows[~is_member(rows, excluded)]
    listed = len(rows) * size / max(1, users - len(excluded))  # expected in the sample
    place = int(1.05 * listed + 5 * listed**0.5) + 10
    if place > 2 * len(rows) // 3:  # a prefilter that nearly all users pass costs more than it saves
        return NO_GUESS
    blocks = representation.raw(rows, tuple(reader.spans))
    buffer = np.empty(score_readers.WIDEN_USERS * len(reader.columns))
    with np.errstate(invalid="ignore", over="ignore"):  # the pass over all users finds values that are not finite
        scores = reader.all_scores(blocks, buffer)
    return float(np.partition(scores, len(scores) - place)[len(scores) - place])


def _sample_rows(users: int) -> Rows:
    """Evenly spaced runs of user rows."""
    starts = np.linspace(0, users - SAMPLE_RUN, SAMPLE_USERS // SAMPLE_RUN).astype(np.int64)
    return (starts[:, None] + np.arange(SAMPLE_RUN)).ravel()

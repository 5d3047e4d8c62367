"""Which of a representation's columns a score reads."""

from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage, Score


@dataclass(frozen=True)
class Selected:
    """A score that is given some of the columns only."""

    columns: Rows
    score: Score

    def __call__(self, block: Matrix) -> Floats:
        return self.score(block[:, self.columns])


def columns_read(score: Score, width: int) -> Rows:
    """The columns, ascending, that a score reads of all `width`; all of them when its type does not tell."""
    if isinstance(score, Selected):
        return np.unique(score.columns)
    if isinstance(score, Balanced):
        return np.union1d(columns_read(score.score, width), score.columns)
    if isinstance(score, RankAverage):
        return np.unique(np.concatenate([columns_read(member, width) for member in score.members]))
    return np.arange(width)

"""Linear scorers fitted on many parts of one sample at once, as a hold-out needs them.

The folds of a hold-out share nearly all of their rows. One product of all rows with the weights of all parts reads them once,
so that forty fits take little longer than two. Rows are in single precision: what is held out is measured, not listed.
How columns are scaled is taken from the whole background, held-out rows included; it does not tell who is a seed.
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.embeddings.linear import Standardised
from lookalike.expansion.scorers.training_sample import TrainingSample

TILE_ROWS = 4_096  # that are converted to doubles at once
DECIMALS = 9  # of a score: a product may round equal rows differently by their place, and equal users must stay equal


@dataclass(frozen=True)
class Parts:
    """Parts of a sample that a scorer is fitted on, such as all folds but one."""

    seed: Flags  # [Q, M]: which seeds each part has
    background: Flags  # [Q, P]: which background rows

    @property
    def telling(self) -> int:
        """How many of the first parts leave each seed out once, as the folds of one repeat do, or all parts."""
        left_out = (~self.seed).cumsum(axis=0).min(axis=1) > 0  # [Q]
        return int(left_out.argmax()) + 1 if left_out.any() else len(self.seed)


@dataclass(frozen=True)
class LinearSample:
    """A sample as linear scorers read it: some columns, standardised."""

    columns: Rows  # [W], of all
    scale: Standardised
    seed: Matrix  # [M, W]
    background: Matrix  # [P, W]
    negatives: Matrix  # [K, W]
    weight: Floats  # [M]

    @classmethod
    def of(cls, sample: TrainingSample, columns: Rows) -> "LinearSample":
        scale = Standardised.of(sample.background[:, columns])

        def standardised(rows: Matrix) -> Matrix:
            return cast(Matrix, scale(rows[:, columns]).astype(np.float32))

        return cls(
            columns=columns,
            scale=scale,
            seed=standardised(sample.seed),
            background=standardised(sample.background),
            negatives=standardised(sample.negatives),
            weight=sample.weight,
        )

    def only(self, columns: Rows) -> "LinearSample":
        """With those of its columns that are among these, of all."""
        kept = np.isin(self.columns, columns)
        return replace(
            self,
            columns=self.columns[kept],
            scale=Standardised(self.scale.mean[kept], self.scale.factor[kept]),
            seed=self.seed[:, kept],
            background=self.background[:, kept],
            negatives=self.negatives[:, kept],
        )


@dataclass(frozen=True)
class PartScores:
    """The scores by the weights of all parts."""

    columns: Rows  # [W], of all
    weights: Floats  # [W, Q], of raw columns
    offset: Floats  # [Q]

    @classmethod
    def of(cls, sample: LinearSample, weights: Floats) -> "PartScores":
        """Given the weights [Q, W] of standardised columns."""
        raw = weights * sample.scale.factor
        return cls(sample.columns, raw.T, -raw @ sample.scale.mean)

    def __call__(self, rows: Matrix) -> Floats:
        """Of rows with all columns, [n, Q]."""
        scores = np.empty((len(rows), len(self.offset)))
        for first in range(0, len(rows), TILE_ROWS):
            tile = rows[first : first + TILE_ROWS, self.columns].astype(np.float64)
            scores[first : first + TILE_ROWS] = tile @ self.weights + self.offset
        return cast(Floats, scores.round(DECIMALS))

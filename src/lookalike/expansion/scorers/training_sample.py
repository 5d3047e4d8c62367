"""TODO"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Matrix

Rng = np.random.Generator


@dataclass(frozen=True)
class TrainingSample:
    """What a scorer learns from, each a sample of users with the same columns."""

    seed: Matrix  # [M, W]
    background: Matrix  # [P, W]: of everybody eligible, seeds among them
    weight: Floats  # [M]: how much each seed counts, 1 on average
    against: Matrix  # [K, W]: people of whom fewer are wanted; often none
    group: NDArray[np.int64] | None = None  # [M]: the sub-audience of each seed, where their shares are to be kept
    seed_of: NDArray[np.int64] | None = None  # [P]: the place in `seed` of a background row that is one, else -1

    @property
    def mean(self) -> Floats:
        """Of the seed, [W], by weight."""
        middle: Floats = self.weight @ self.seed.astype(np.float64) / self.weight.sum()
        return middle

    @property
    def others(self) -> NDArray[np.bool_]:
        """Who of the background is no seed, [P]; everybody where that is not known."""
        return np.ones(len(self.background), bool) if self.seed_of is None else self.seed_of < 0

    def part(self, seeds: NDArray[np.bool_], rows: NDArray[np.bool_] | None = None) -> "TrainingSample":
        """With some of the seeds alone, who leave the background too, and of that with some rows alone."""
        stays = np.ones(len(self.background), bool) if rows is None else rows.copy()
        seed_of = None
        if self.seed_of is not None:
            stays &= self.others | seeds[self.seed_of]
            place = np.append(np.where(seeds, np.cumsum(seeds) - 1, -1), -1)  # the last is of those who are none
            seed_of = place[self.seed_of[stays]]
        group = None if self.group is None else self.group[seeds]
        background = self.background[stays]
        return TrainingSample(self.seed[seeds], background, self.weight[seeds], self.against, group, seed_of)

    def __getitem__(self, columns: NDArray[np.int64]) -> "TrainingSample":
        parts = (self.seed[:, columns], self.background[:, columns], self.weight, self.against[:, columns])
        return TrainingSample(*parts, self.group, self.seed_of)


NEGATIVE_WEIGHT = 0.5  # how much of the likeness to those of whom fewer are wanted is taken off (Rocchio 1971)


MIN_FIT_ROWS = 5_000  # background rows a fit reads, or ten a seed where that is more


def fit_rows(taught: TrainingSample, rng: Rng) -> NDArray[np.int64]:
    return rng.permutation(len(taught.background))[: max(MIN_FIT_ROWS, 10 * len(taught.seed))]

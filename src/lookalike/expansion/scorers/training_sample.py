"""What a scorer is fitted on: samples of users with the same columns."""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Flags, Floats, Matrix, Rows

Rng = np.random.Generator

NEGATIVE_WEIGHT = 0.5  # share of the similarity to the negatives that is subtracted (Rocchio 1971)
MIN_FIT_ROWS = 5_000  # background rows that a fit reads; ten per seed where that is more


@dataclass(frozen=True)
class TrainingSample:
    """Seed, background and negative examples."""

    seed: Matrix  # [M, W]
    background: Matrix  # [P, W]: a sample of eligible users, which may include seeds
    weight: Floats  # [M]: how much each seed counts, 1 on average
    negatives: Matrix  # [K, W]: users whose like should rank lower; often none
    sub_audience: Rows | None = None  # [M]: of each seed, when the list is to keep the seed's shares
    seed_index: Rows | None = None  # [P]: the place in `seed` of a background row that is a seed, else -1
    is_recognised: bool = False  # the seeds have done it: how well some of them are found tells little of who will

    @property
    def mean(self) -> Floats:
        """Weighted mean of the seed, [W]."""
        mean: Floats = self.weight @ self.seed.astype(np.float64) / self.weight.sum()
        return mean

    @property
    def others(self) -> Flags:
        """Which background rows are not seeds, [P]; all of them when `seed_index` is not given."""
        return np.ones(len(self.background), bool) if self.seed_index is None else self.seed_index < 0

    def part(self, seeds: Flags, rows: Flags | None = None) -> "TrainingSample":
        """Only these seeds [M] and these background rows [P]; the dropped seeds leave the background too."""
        kept = np.ones(len(self.background), bool) if rows is None else rows.copy()
        seed_index = None
        if self.seed_index is not None:
            kept &= self.others | seeds[self.seed_index]
            new_place = np.append(np.where(seeds, np.cumsum(seeds) - 1, -1), -1)  # index -1, not a seed, stays -1
            seed_index = new_place[self.seed_index[kept]]
        sub_audience = None if self.sub_audience is None else self.sub_audience[seeds]
        background = self.background[kept]
        return replace(
            self,
            seed=self.seed[seeds],
            background=background,
            weight=self.weight[seeds],
            sub_audience=sub_audience,
            seed_index=seed_index,
        )

    def __getitem__(self, columns: Rows) -> "TrainingSample":
        """The sample with some of its columns."""
        return replace(
            self,
            seed=self.seed[:, columns],
            background=self.background[:, columns],
            negatives=self.negatives[:, columns],
        )


def fit_rows(sample: TrainingSample, rng: Rng) -> Rows:
    """A random sample of background rows to fit on."""
    return draw_fit_rows(len(sample.background), len(sample.seed), rng)


def draw_fit_rows(background: int, seeds: int, rng: Rng, share: float = 1.0) -> Rows:
    """So many background rows that this share of them is enough for a fit."""
    return rng.permutation(background)[: round(max(MIN_FIT_ROWS, 10 * seeds) / share)]

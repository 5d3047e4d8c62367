"""What scorers are fitted and measured on: the vectors of the seed and of a background."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lookalike.data.arrays import Floats, Matrix, Rows, is_member, union
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import EffectiveSample
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.scorers import SEQUENCE_AND_AGGREGATES, FeatureSpace
from lookalike.expansion.scorers.part_fits import LinearSample
from lookalike.expansion.scorers.training_sample import TrainingSample
from lookalike.expansion.seed import Seed

WINSORISED = 0.05  # share of the values at each end that count as the next one
MIN_WEIGHT = 0.01  # of the mean: a customer worth nothing so far still shows who the customers are


@dataclass(frozen=True)
class Examples:
    """The seed, its negatives and a sample of the eligible users, some of them seeds."""

    seed: Matrix  # [M, W]
    weight: Floats  # [M]: how much each seed counts, 1 on average
    negatives: Matrix  # [K, W]: users whose like should rank lower
    background: Matrix  # [P, W]
    seed_index: Rows  # [P]: the place in `seed` of a background user who is a seed, else -1
    candidates: int  # eligible users who are neither seeds nor suppressed
    space: FeatureSpace
    activity_column: int  # the log count of events
    rows: Rows  # [M]: the seeds' user rows
    listed_elsewhere: int = 0  # candidates who must not be listed because they are on another list
    sub_audience: Rows | None = None  # [M]: of each seed, if the list is to keep their shares
    teachers: Matrix | None = None  # [T, W]: further users whose like is looked for, besides the seeds
    teacher_weight: float = 1.0  # of a teacher beside a seed
    as_now: Matrix | None = None  # [M, W]: the seeds as they are, if `seed` is not that
    background_rows: Rows | None = None  # [P]: the user rows of the background, where they are known

    @property
    def training_sample(self) -> TrainingSample:
        return TrainingSample(
            self.seed, self.background, self.weight, self.negatives, self.sub_audience, self.seed_index
        )

    @cached_property
    def linear_sample(self) -> LinearSample:
        """The training sample as linear scorers read it."""
        return LinearSample.of(self.training_sample, self.space.columns(SEQUENCE_AND_AGGREGATES))

    @property
    def readings(self) -> tuple[TrainingSample, ...]:
        """What the scorer of the list is fitted on: the seed, or for seeds without their deeds two samples.

        The first has the teachers too, everybody without their deeds; the second the seed as it is. Neither way of reading
        is the better one on every log, and both together lose little to the better one (docs/log.md). A balanced list
        follows the seed's shares alone.
        """
        own = replace(self.training_sample, is_recognised=self.teachers is not None)
        if self.teachers is None or self.as_now is None or self.sub_audience is not None:
            return (own,)
        taught = replace(
            own,
            seed=np.vstack([self.seed, self.teachers]),
            weight=np.concatenate([self.weight, np.full(len(self.teachers), self.teacher_weight)]),
        )
        return taught, replace(own, seed=self.as_now)

    @property
    def is_picked(self) -> bool:
        """Whether the seed is a picked part of those who have done it."""
        return self.teacher_weight < 1

    @property
    def seeds(self) -> int:
        return len(self.seed)

    @property
    def teaching(self) -> int:
        """How many people show what is looked for: the seeds, and the teachers if there are any."""
        return self.seeds + (0 if self.teachers is None else len(self.teachers))

    @property
    def others(self) -> Matrix:
        """The background users who are no seeds."""
        return self.background[self.seed_index < 0]

    def only(self, kept: Rows) -> "Examples":
        """With some of the seeds; the others leave the background too."""
        index = np.full(self.seeds, -1)
        index[kept] = np.arange(len(kept))
        stays = (self.seed_index < 0) | (index[self.seed_index] >= 0)
        return replace(
            self,
            seed=self.seed[kept],
            weight=self.weight[kept],
            rows=self.rows[kept],
            sub_audience=None if self.sub_audience is None else self.sub_audience[kept],
            background=self.background[stays],
            seed_index=np.where(self.seed_index < 0, -1, index[self.seed_index])[stays],
            background_rows=None if self.background_rows is None else self.background_rows[stays],
        )

    def without_background(self) -> "Examples":
        """Without the background's columns, which only fits need."""
        return replace(self, background=self.background[:0], seed_index=self.seed_index[:0], background_rows=None)

    def effective_sample(self, folds: int) -> EffectiveSample:
        """Of figures held out on so many folds."""
        drawn = int((self.seed_index < 0).sum())
        pool = drawn / (1 - drawn / self.candidates) if drawn < self.candidates else np.inf
        return EffectiveSample(pool, min(folds, self.seeds))


def build_examples(context: ExpansionContext, seed: Seed) -> Examples:
    """The examples of a seed, or of a sample of a large one, as its users are now."""
    representation, settings = context.representation, context.settings
    background = draw_background(representation.users, seed.suppressed, settings.background, settings.random_seed)
    sampled = draw_sample(seed.rows, settings.background, settings.random_seed)
    # seeds outside the sample are no candidates either
    background = background[is_member(background, sampled) | ~is_member(background, seed.rows)]
    if seed.doers is not None:  # whoever has done it is no stranger, also where they may be listed
        background = background[is_member(background, sampled) | ~is_member(background, seed.doers.rows)]
    not_candidates = union(seed.rows, seed.suppressed)
    negatives = draw_sample(seed.negatives, settings.background, settings.random_seed)
    return Examples(
        seed=representation.gather(sampled),
        weight=seed_weights(seed, sampled),
        negatives=representation.gather(negatives),
        background=representation.gather(background),
        seed_index=np.where(is_member(background, sampled), np.searchsorted(sampled, background), -1),
        candidates=representation.users - len(not_candidates),
        space=feature_space(context, seed.dropped_columns),
        activity_column=representation.layout.column("log_events"),
        rows=sampled,
        listed_elsewhere=len(np.setdiff1d(seed.listed_elsewhere, not_candidates)),
        background_rows=background,
    )


def feature_space(context: ExpansionContext, dropped: tuple[str, ...]) -> FeatureSpace:
    """The stored columns as scorers see them, without the dropped ones."""
    layout = context.representation.layout
    space = FeatureSpace(lambda blocks: layout.columns(*blocks), context.prior)
    return space.without(np.concatenate([layout.columns_named(name) for name in dropped])) if dropped else space


def seed_weights(seed: Seed, rows: Rows) -> Floats:
    """The weights of some seeds (ascending rows) by their values, 1 on average.

    Values are winsorised at both ends: one customer worth a hundred others would otherwise be the audience.
    """
    if seed.value is None:
        return np.ones(len(rows))
    value = seed.value[np.searchsorted(seed.rows, rows)]
    low, high = np.quantile(value, [WINSORISED, 1 - WINSORISED])
    if low == high:
        return np.ones(len(value))
    clipped = np.clip(value, low, high)
    clipped = np.maximum(clipped, MIN_WEIGHT * clipped.mean())
    weights: Floats = clipped / clipped.mean()
    return weights


def effective_sample_size(weight: Floats) -> float:
    """How many seeds of equal weight carry as much information (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())

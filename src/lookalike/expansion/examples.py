"""TODO"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Matrix, Rows, is_member
from lookalike.embeddings.representation import Representation
from lookalike.expansion.curves import EffectiveSample
from lookalike.expansion.scorers import FeatureSpace
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample
from lookalike.expansion.seed import SeedPeople
from lookalike.workspace.settings import ExpandSettings


@dataclass(frozen=True)
class Examples:
    """What is known before ranking. Rows of `background` are eligible users, some of them seeds."""

    seed: Matrix  # [M, W]
    weight: Floats  # [M]: how much each seed counts, 1 on average
    against: Matrix  # [K, W]: people of whom fewer are wanted
    background: Matrix  # [P, W]
    seed_of: NDArray[np.int64]  # [P]: the place in `seed` of a background row that is one, else -1
    candidates: int  # all who are neither seed nor suppressed
    space: FeatureSpace
    activity: int  # the column that holds the log count of events
    taken: int = 0  # candidates who are not to be listed, because they are on another list
    group: NDArray[np.int64] | None = None  # [M]: the sub-audience of each seed, where the list is to keep their shares
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [M]: who the seeds are

    @property
    def taught(self) -> TrainingSample:
        return TrainingSample(self.seed, self.background, self.weight, self.against, self.group, self.seed_of)

    @property
    def seeds(self) -> int:
        return len(self.seed)

    def only(self, kept: NDArray[np.int64]) -> "Examples":
        """With some of the seeds alone; the others stay no part of the background."""
        place = np.full(self.seeds, -1)
        place[kept] = np.arange(len(kept))
        stays = (self.seed_of < 0) | (place[self.seed_of] >= 0)
        seed_of = np.where(self.seed_of < 0, -1, place[self.seed_of])[stays]
        group = None if self.group is None else self.group[kept]
        rows = self.rows[kept] if len(self.rows) else self.rows
        some = replace(self, seed=self.seed[kept], weight=self.weight[kept], group=group, rows=rows)
        return replace(some, background=self.background[stays], seed_of=seed_of)

    def doubt(self, folds: int) -> "EffectiveSample":
        """Of figures held out on so many folds."""
        drawn = int((self.seed_of < 0).sum())
        pool = drawn / (1 - drawn / self.candidates) if drawn < self.candidates else np.inf
        return EffectiveSample(pool, min(folds, self.seeds))


def draw_background(users: int, suppressed: Rows, most: int, seed: int) -> Rows:
    """A sample of the eligible users, ascending: everybody but the suppressed, the seed's users among them."""
    eligible = users - len(suppressed)
    rng = np.random.default_rng([seed, 4])
    if eligible <= 2 * most:  # few enough to write them all down
        everybody = np.setdiff1d(np.arange(users), suppressed, assume_unique=True)
        return np.sort(rng.permutation(everybody)[:most])
    drawn = np.zeros(0, np.int64)
    while len(drawn) < most:  # rejection: memory follows the sample, not the users
        more = rng.integers(0, users, most)
        drawn = np.concatenate([drawn, more[~is_member(more, suppressed)]])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)]
    return np.sort(drawn[:most])


def draw_sample(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of the rows, ascending."""
    return np.sort(np.random.default_rng([seed, 6]).permutation(rows)[:most])


def build_examples(
    representation: Representation, people: SeedPeople, settings: ExpandSettings, prior: Prior | None = None
) -> Examples:
    """The vectors of the seed, or of a sample of a large one, and of a background."""
    seed, suppressed = people.seed, people.suppressed
    background = draw_background(representation.users, suppressed, settings.background, settings.random_seed)
    taught = draw_sample(seed, settings.background, settings.random_seed)
    # seeds that the sample passed over are no candidates either
    background = background[is_member(background, taught) | ~is_member(background, seed)]
    listed = np.union1d(seed, suppressed)
    value = people.value if people.value is not None else np.ones(len(seed))
    return Examples(
        seed=representation.gather(taught),
        weight=seed_weights(value[np.searchsorted(seed, taught)]),
        against=representation.gather(draw_sample(people.against, settings.background, settings.random_seed)),
        background=representation.gather(background),
        seed_of=np.where(is_member(background, taught), np.searchsorted(taught, background), -1),
        candidates=representation.users - len(listed),
        taken=len(np.setdiff1d(people.taken, listed)),
        space=_feature_space(representation, people.dropped, prior),
        activity=representation.layout.column("log_events"),
        rows=taught,
    )


def _feature_space(representation: Representation, dropped: tuple[str, ...], prior: Prior | None) -> FeatureSpace:
    whole = FeatureSpace(lambda blocks: representation.layout.columns(*blocks), prior)
    return whole.without(np.array([representation.layout.column(name) for name in dropped])) if dropped else whole


def seed_weights(value: Floats) -> Floats:
    """Values as weights of mean 1; the largest and smallest twentieth count as the one next to them (winsorised).

    One customer worth a hundred others would else be the audience.
    """
    low, high = np.quantile(value, [0.05, 0.95])
    if low == high:
        return np.ones(len(value))
    held = np.clip(value, low, high)
    kept: Floats = held / held.mean()
    return kept


def effective_sample_size(weight: Floats) -> float:
    """How many seeds of equal weight tell as much (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())

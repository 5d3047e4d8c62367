"""The user embedding: what was learnt, what was counted and how active somebody is, side by side in one unit vector.

    taste      the two towers' vector, less most of its mean over the users
    bag        the first columns of the content block, less most of their mean
    activity   the columns of the aggregates that say how much and how lately, standardised, plus an offset
    constant   a small figure, the same for everybody but for the length that taste had

Taste and bag each have unit length before they are weighted. Without their means two people are not alike because both
are people; what is left of a mean, and the offsets of activity, are what every audience has in common (people who buy,
buy often), which a seed of 25 could not say by itself. All this is tuned on audiences drawn from the log
(`pseudo_audiences`), by the loss of `losses.prototypes`: these are the episodes of a campaign. How much a part counts
between users and items is free of that, since an item's part can be scaled back; it is chosen by held-out
recommendation. The constant lets items have a bias: the users' mean taste, and how popular they have been of late.
"""

from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lookalike.data import sequence_queries
from lookalike.data.arrays import Matrix, Rows
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS
from lookalike.encoder import losses, next_item_metrics
from lookalike.encoder.pseudo_audiences import SEEDS, PseudoAudience

BAG_WIDTH = 64  # columns of the content block that are read


CONSTANT = 0.05  # large enough for float16, small enough not to count among users


SHORTEST = 0.2  # a taste nearer to the mean than this is not made longer than it is


CLIP_DEVIATIONS = 3.0  # standard deviations


# Near what three public logs gave; audiences move it as far as they know better.
PRIOR = {"taste": 0.7, "bag": 1.2, "activity": 0.12}


PRIOR_STRENGTH = 0.002


STEPS, EPISODES, RATE = 100, 16, 0.05


BACKGROUND = 4_000


BAG_SHARES = (0.1, 0.25, 0.5)


POPULARITY_SHARES = (0.25, 1.0, 3.0, 8.0)


POPULARITY_DAYS = (1, 7, 30, None)


MAX_JUDGES = 1_500  # users the item side is chosen by


MIN_GAIN = 1.03  # times the NDCG without it; less is chance


SPREAD_USERS = 100  # of them, by which the spread of scores is told


@dataclass(frozen=True)
class RawParts:
    """The raw parts of some users: taste [n, D], content [n, C], activity [n, A]."""

    taste: Matrix
    content: Matrix
    activity: Matrix

    def __getitem__(self, rows: Any) -> "RawParts":
        return RawParts(self.taste[rows], self.content[rows], self.activity[rows])


@dataclass(frozen=True)
class Centring:
    """Where the users' parts lie: means, and the deviation of activity. Taken anew for each full embedding."""

    taste: NDArray[np.float32]
    bag: NDArray[np.float32]
    activity: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, parts: RawParts) -> "Centring":
        several = RawParts(*(part if len(part) else np.zeros((1, part.shape[1])) for part in astuple(parts)))
        spread = np.maximum(several.activity.std(0), 1e-6)
        means = (part.mean(0) for part in (several.taste, several.content[:, :BAG_WIDTH], several.activity))
        return cls(*(np.asarray(values, np.float32) for values in (*means, spread)))


@dataclass(frozen=True)
class FusionWeights:
    """How much each part counts: among users, and between users and items."""

    taste: float
    bag: float
    activity: list[float]
    taste_mean: float = 0.0  # the share of the mean that is left in
    bag_mean: float = 0.0
    offset: list[float] = field(default_factory=lambda: [0.0] * len(ACTIVITY_COLUMNS))  # in standard deviations
    item_bag: float = 0.0  # beside the taste's 1, both in units of their scores' deviation
    item_popularity: float = 0.0
    popularity_days: int | None = None

    @classmethod
    def prior(cls) -> "FusionWeights":
        return cls(PRIOR["taste"], PRIOR["bag"], [PRIOR["activity"]] * len(ACTIVITY_COLUMNS))


@dataclass(frozen=True)
class Fusion:
    """From raw parts to the embedding, and from item vectors to the same space."""

    place: Centring
    weights: FusionWeights

    @property
    def width(self) -> int:
        return len(self.place.taste) + len(self.place.bag) + len(self.place.activity) + 1

    def users(self, parts: RawParts) -> NDArray[np.float32]:
        """Unit vectors [n, W]."""
        with torch.inference_mode():
            return _fused(part_tensors(parts, self.place), _Tuning.of(self.weights)).numpy()

    def items(self, taste: Matrix, bag: Matrix, popularity: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Item vectors [V, W] whose dot product with `users` orders items by affinity.

        taste [V, D] in the towers' space, bag [V, C] their rows of the content's directions, popularity [V] log counts.
        """
        weights = self.weights
        bias = (1 - weights.taste_mean) * (taste @ self.place.taste) + weights.item_popularity * popularity
        parts = [
            taste / weights.taste,
            weights.item_bag * bag[:, :BAG_WIDTH] / weights.bag,
            np.zeros((len(taste), len(self.place.activity)), np.float32),
            bias[:, None] / CONSTANT,
        ]
        return np.hstack(parts).astype(np.float32)


@dataclass(frozen=True)
class PartTensors:
    """The parts of some users less their means, those means, and standardised activity."""

    taste: Tensor
    taste_mean: Tensor
    bag: Tensor
    bag_mean: Tensor
    activity: Tensor

    def __getitem__(self, rows: Any) -> "PartTensors":
        return replace(self, taste=self.taste[rows], bag=self.bag[rows], activity=self.activity[rows])


def part_tensors(parts: RawParts, place: Centring) -> PartTensors:
    activity = np.clip((parts.activity - place.activity) / place.spread, -CLIP_DEVIATIONS, CLIP_DEVIATIONS)
    arrays = (parts.taste - place.taste, place.taste, parts.content[:, :BAG_WIDTH] - place.bag, place.bag, activity)
    return PartTensors(*(torch.from_numpy(np.asarray(array, np.float32)) for array in arrays))


@dataclass(frozen=True)
class _Tuning:
    """What is tuned, as tensors: logs of the weights (taste, bag, activity), shares of the means left in, offsets."""

    logs: Tensor
    means: Tensor
    offset: Tensor

    @classmethod
    def of(cls, weights: FusionWeights) -> "_Tuning":
        logs = torch.tensor([weights.taste, weights.bag, *weights.activity]).log()
        return cls(logs, torch.tensor([weights.taste_mean, weights.bag_mean]), torch.tensor(weights.offset))

    def weights(self) -> FusionWeights:
        logs, means = self.logs.detach().exp().tolist(), self.means.detach().clamp(0, 1).tolist()
        return FusionWeights(logs[0], logs[1], logs[2:], means[0], means[1], self.offset.detach().tolist())


def _fused(parts: PartTensors, tuning: _Tuning) -> Tensor:
    """Unit vectors [n, W]."""
    weights, means = tuning.logs.exp(), tuning.means.clamp(0, 1)
    taste = parts.taste + means[0] * parts.taste_mean
    length = taste.norm(dim=1, keepdim=True).clamp(min=SHORTEST)
    bag = parts.bag + means[1] * parts.bag_mean
    sides = [
        weights[0] * taste / length,
        weights[1] * bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-12),
        weights[2:] * (parts.activity + tuning.offset),
        CONSTANT / length,  # taste was divided by its length: what items add to it shrinks alike, and no order changes
    ]
    return F.normalize(torch.cat(sides, 1), dim=1)


def tune_weights(
    parts: RawParts, place: Centring, audiences: list[PseudoAudience], users: Rows, seed: int
) -> FusionWeights:
    """The user side's weights by episodes over audiences among `users` (ascending rows, those of `parts`).

    Maximum a posteriori: with no audience it is the prior.
    """
    rng = np.random.default_rng([seed, 13])
    pieces, prior = part_tensors(parts, place), _Tuning.of(FusionWeights.prior())
    tuning = _Tuning(*(value.clone().requires_grad_() for value in (prior.logs, prior.means, prior.offset)))
    log_scale = torch.tensor(1.5, requires_grad=True)
    optimiser = torch.optim.Adam([tuning.logs, tuning.means, tuning.offset, log_scale], lr=RATE)
    for _ in range(STEPS if audiences else 0):
        chosen = [audiences[number] for number in rng.permutation(len(audiences))[:EPISODES]]
        episode, sides = _episode(chosen, users, rng)
        vectors = _fused(pieces[torch.from_numpy(episode)], tuning)
        loss = losses.prototypical_loss(vectors, sides[0], sides[1], sides[2], log_scale.exp())
        away = (tuning.logs - prior.logs).square().sum() + tuning.means.square().sum() + tuning.offset.square().sum()
        optimiser.zero_grad()
        (loss + PRIOR_STRENGTH * away).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return tuning.weights()


def _episode(
    audiences: list[PseudoAudience], users: Rows, rng: np.random.Generator
) -> tuple[Rows, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Places in `users` of a background and of some members of each audience; who is seed, rest and left out, [n, G]."""
    taken = [rng.permutation(audience.members) for audience in audiences]
    seeds = [one[: min(int(rng.choice(SEEDS)), len(one) // 2)] for one in taken]
    rests = [one[len(part) :][: BACKGROUND // EPISODES] for one, part in zip(taken, seeds, strict=True)]
    background = rng.permutation(users)[:BACKGROUND]
    everybody = np.unique(np.concatenate([background, *seeds, *rests]))
    drawn = np.isin(everybody, background)
    sides = tuple(np.stack([np.isin(everybody, one) for one in part], 1) for part in (seeds, rests))
    members = np.stack([np.isin(everybody, np.union1d(one.members, one.met)) for one in audiences], 1)
    # those who came in as members of another audience are no fair background
    left_out = (members | ~drawn[:, None]) & ~sides[0] & ~sides[1]
    return np.searchsorted(users, everybody), (
        torch.from_numpy(sides[0]),
        torch.from_numpy(sides[1]),
        torch.from_numpy(left_out),
    )


@dataclass(frozen=True)
class ItemParts:
    """What items are made of: vectors [V, D] of the towers, their rows [V, C] of the content's directions, and the log
    from which they are counted. `scale` turns dot products of the towers into logits."""

    taste: NDArray[np.float32]
    bag: NDArray[np.float32]
    known: Sequences
    scale: float

    def vectors(self, fusion: Fusion) -> NDArray[np.float32]:
        """In the space of the fused users, [V, W]."""
        popularity = log_popularity(self.known, len(self.taste), fusion.weights.popularity_days)
        return fusion.items(self.taste, self.bag, popularity / self.scale)


def tune_item_weights(
    fusion: Fusion, items: ItemParts, parts: RawParts, judges: next_item_metrics.HeldOutUsers
) -> FusionWeights:
    """The weights completed with the item side's: the best held-out NDCG of the judges, one part after the other.

    `parts` are the judges', in their order.
    """
    if not len(judges.users):
        return fusion.weights
    rows = replace(judges, users=np.arange(len(judges.users)))
    users = fusion.users(parts)
    unit = _unit(fusion, items, users[:SPREAD_USERS])

    def worth(weights: FusionWeights) -> float:
        vectors = items.vectors(Fusion(fusion.place, weights))
        return next_item_metrics.measure(rows, lambda part: users[part] @ vectors.T)["ndcg@20"]

    def improved(weights: FusionWeights, tried: list[FusionWeights]) -> FusionWeights:
        worths = [worth(one) for one in tried]
        better = max(worths) > MIN_GAIN * worth(weights)
        return tried[int(np.argmax(worths))] if better else weights

    weights = improved(fusion.weights, [replace(fusion.weights, item_bag=share * unit) for share in BAG_SHARES])
    late = [(share, days) for share in POPULARITY_SHARES for days in POPULARITY_DAYS]
    return improved(weights, [replace(weights, item_popularity=share, popularity_days=days) for share, days in late])


def _unit(fusion: Fusion, items: ItemParts, users: NDArray[np.float32]) -> float:
    """How much wider taste spreads the items than the bag does."""
    alone = [items.vectors(Fusion(fusion.place, replace(fusion.weights, item_bag=share))) for share in (0.0, 1.0)]
    taste, both = (users @ vectors.T for vectors in alone)
    return float(taste.std() / max(float((both - taste).std()), 1e-9))


def log_popularity(known: Sequences, items: int, days: int | None) -> NDArray[np.float64]:
    """Log of how many events each item had, all of them or those of the last `days`, [V], with a mean of 0."""
    since = None if days is None else known.as_of - days * SECONDS_PER_DAY
    logs = np.log(sequence_queries.popularity(known, items, since) + 0.5)
    return np.asarray(logs - logs.mean() if items else logs)

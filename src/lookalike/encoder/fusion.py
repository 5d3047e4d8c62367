"""The user embedding: the parts of a user's vector, weighted and joined into one unit vector.

    taste      the user tower's vector, minus most of its mean over the users
    bag        the first columns of the content block, minus most of their mean
    activity   the columns of the aggregates that say how much and how recently, standardised, plus an offset
    constant   a small number, the same for every user except for the length of their taste

Taste and bag are scaled to unit length before they are weighted. Without subtracting the means, users would be similar
merely because they are all users. What is left of a mean, and the offsets of activity, stand for what all audiences
have in common (buyers buy often), which a seed of 25 cannot show by itself. `fusion_tuning` chooses all of this.

How much a part counts between users and items is independent of how much it counts among users, since an item's part
can be scaled back. The constant lets items have a bias: the users' mean taste, and the item's recent popularity.
"""

from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lookalike.data import sequence_queries
from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.encoder.run_files import FusionWeights

BAG_WIDTH = 64  # columns of the content block in the vector
CONSTANT = 0.05  # large enough for float16, too small to matter among users
MIN_TASTE_LENGTH = 0.2  # a centred taste shorter than this is not scaled up to unit length
CLIP_DEVIATIONS = 3.0  # standardised activity is clipped here


@dataclass(frozen=True)
class RawParts:
    """The parts of some users before fusion: taste [n, D], content [n, C], activity [n, A]."""

    taste: Matrix
    content: Matrix
    activity: Matrix

    def __getitem__(self, rows: Rows | slice) -> "RawParts":
        return RawParts(self.taste[rows], self.content[rows], self.activity[rows])


@dataclass(frozen=True)
class Centring:
    """The means of the users' parts, and the standard deviation of activity. Fitted again for each full embedding."""

    taste: NDArray[np.float32]
    bag: NDArray[np.float32]
    activity: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, parts: RawParts) -> "Centring":
        """The centring of these users; zeros without users."""
        filled = RawParts(*(part if len(part) else np.zeros((1, part.shape[1])) for part in astuple(parts)))
        spread = np.maximum(filled.activity.std(0), 1e-6)
        means = (part.mean(0) for part in (filled.taste, filled.content[:, :BAG_WIDTH], filled.activity))
        return cls(*(np.asarray(values, np.float32) for values in (*means, spread)))


@dataclass(frozen=True)
class Fusion:
    """Turns raw parts into user vectors, and item vectors into vectors of the same space."""

    centring: Centring
    weights: FusionWeights

    @property
    def width(self) -> int:
        return len(self.centring.taste) + len(self.centring.bag) + len(self.centring.activity) + 1

    def users(self, parts: RawParts) -> NDArray[np.float32]:
        """Unit vectors [n, W]."""
        with torch.inference_mode():
            return fuse(part_tensors(parts, self.centring), FusionTensors.of(self.weights)).numpy()

    def centred_taste(self, parts: RawParts) -> Matrix:
        """Taste [n, D] without as much of its mean as is left out of the vectors."""
        return parts.taste - (1 - self.weights.taste_mean) * self.centring.taste

    def items(self, taste: Matrix, bag: Matrix, popularity: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Item vectors [V, W], whose dot product with `users` orders items by affinity.

        taste [V, D] are the item tower's vectors, bag [V, C] the items' rows of the content directions, popularity [V]
        log counts.
        """
        weights = self.weights
        bias = (1 - weights.taste_mean) * (taste @ self.centring.taste) + weights.item_popularity * popularity
        parts = [
            taste / weights.taste,
            weights.item_bag * bag[:, :BAG_WIDTH] / weights.bag,
            np.zeros((len(taste), len(self.centring.activity)), np.float32),
            bias[:, None] / CONSTANT,
        ]
        return np.hstack(parts).astype(np.float32)


@dataclass(frozen=True)
class PartTensors:
    """Centred taste and bag of some users, the means, and standardised activity."""

    taste: Tensor
    taste_mean: Tensor
    bag: Tensor
    bag_mean: Tensor
    activity: Tensor

    def __getitem__(self, rows: Tensor) -> "PartTensors":
        return replace(self, taste=self.taste[rows], bag=self.bag[rows], activity=self.activity[rows])


def part_tensors(parts: RawParts, centring: Centring) -> PartTensors:
    activity = np.clip((parts.activity - centring.activity) / centring.spread, -CLIP_DEVIATIONS, CLIP_DEVIATIONS)
    bag = parts.content[:, :BAG_WIDTH] - centring.bag
    arrays = (parts.taste - centring.taste, centring.taste, bag, centring.bag, activity)
    return PartTensors(*(torch.from_numpy(np.asarray(array, np.float32)) for array in arrays))


@dataclass(frozen=True)
class FusionTensors:
    """The user side of the weights as tensors."""

    log_weights: Tensor  # of taste, bag and each activity column
    kept_means: Tensor  # shares of the mean taste and the mean bag that are left in
    offset: Tensor  # of each activity column

    @classmethod
    def of(cls, weights: FusionWeights) -> "FusionTensors":
        log_weights = torch.tensor([weights.taste, weights.bag, *weights.activity]).log()
        return cls(log_weights, torch.tensor([weights.taste_mean, weights.bag_mean]), torch.tensor(weights.offset))

    def to_weights(self) -> FusionWeights:
        taste, bag, *activity = self.log_weights.detach().exp().tolist()
        taste_mean, bag_mean = self.kept_means.detach().clamp(0, 1).tolist()
        return FusionWeights(
            taste=taste,
            bag=bag,
            activity=tuple(activity),
            taste_mean=taste_mean,
            bag_mean=bag_mean,
            offset=tuple(self.offset.detach().tolist()),
        )


def fuse(parts: PartTensors, tensors: FusionTensors) -> Tensor:
    """Unit vectors [n, W]."""
    weights, kept = tensors.log_weights.exp(), tensors.kept_means.clamp(0, 1)
    taste = parts.taste + kept[0] * parts.taste_mean
    length = taste.norm(dim=1, keepdim=True).clamp(min=MIN_TASTE_LENGTH)
    bag = parts.bag + kept[1] * parts.bag_mean
    columns = [
        weights[0] * taste / length,
        weights[1] * bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-12),
        weights[2:] * (parts.activity + tensors.offset),
        CONSTANT / length,  # divided like taste, so that an item's taste and bias shrink alike and keep their order
    ]
    return F.normalize(torch.cat(columns, 1), dim=1)


@dataclass(frozen=True)
class ItemParts:
    """What item vectors are made of. `scale` turns dot products of the towers into logits."""

    taste: NDArray[np.float32]  # [V, D] of the item tower
    bag: NDArray[np.float32]  # [V, C] rows of the content directions
    history: Sequences  # where popularity is counted
    scale: float
    _popularity: dict[float | None, Floats] = field(default_factory=dict)  # by days; each reads the whole history

    def vectors(self, fusion: Fusion) -> NDArray[np.float32]:
        """Item vectors [V, W] in the space of the fused users."""
        days = fusion.weights.popularity_days
        if days not in self._popularity:
            self._popularity[days] = log_popularity(self.history, len(self.taste), days)
        return fusion.items(self.taste, self.bag, self._popularity[days] / self.scale)


def log_popularity(history: Sequences, items: int, days: float | None) -> Floats:
    """Log of each item's number of events, [V], with a mean of 0; with `days` only of the last ones."""
    since = None if days is None else history.as_of - round(days * SECONDS_PER_DAY)
    logs = np.log(sequence_queries.popularity(history, items, since) + 0.5)
    return np.asarray(logs - logs.mean() if items else logs)

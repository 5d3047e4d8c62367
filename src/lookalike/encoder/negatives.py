"""Negative sampling: which items a training step contrasts its targets with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lookalike.data.arrays import Rows

POPULARITY_POWER = 0.75  # as in word2vec, arXiv:1310.4546


@dataclass(frozen=True)
class NegativeSampling:
    """A distribution over items. `chance` [V] is each item's probability in one draw."""

    chance: Tensor
    negatives: int

    @classmethod
    def from_counts(cls, counts: Rows, negatives: int, device: torch.device) -> "NegativeSampling":
        """Chances by a power of the items' event counts [V]; an item without events is never drawn.

        If no item has an event, all are equally likely.
        """
        if not counts.any():
            counts = np.ones_like(counts)
        chance = counts**POPULARITY_POWER
        return cls(torch.from_numpy(chance / chance.sum()).float().to(device), negatives)

    @cached_property
    def log_q(self) -> Tensor:
        """The log of how often each item is expected among the negatives, [V]."""
        return torch.log(self.chance * self.negatives)

    @cached_property
    def _cumulative(self) -> Tensor:
        return torch.cumsum(self.chance.cpu().double(), 0)  # not every device has double precision

    def draw(self) -> Tensor:
        """Item rows, [negatives], with replacement. By bisection, so that a step does not read the whole catalogue."""
        draws = torch.rand(self.negatives, dtype=torch.float64) * self._cumulative[-1]
        rows = torch.searchsorted(self._cumulative, draws, right=True)
        return rows.clamp(max=len(self.chance) - 1).to(self.chance.device)

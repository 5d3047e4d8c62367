"""Negative sampling: which items a training step contrasts its targets with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lookalike.data.arrays import Floats, Rows
from lookalike.data.item_lives import ItemLives

POPULARITY_POWER = 0.75  # as in word2vec, arXiv:1310.4546


@dataclass(frozen=True)
class NegativeSampling:
    """A distribution over items. `chance` [V] is each item's probability in one draw.

    Where items come and go, as news does, `life` is the time of each item's first and of its last event, both [V]: a
    target is then contrasted only with items of its own time. Others would teach what time it was instead of what the
    user likes.
    """

    chance: Tensor
    negatives: int
    life: tuple[Tensor, Tensor] | None = None

    @classmethod
    def from_counts(
        cls, counts: Rows, negatives: int, device: torch.device, lives: ItemLives | None = None
    ) -> "NegativeSampling":
        """Chances by a power of the items' event counts [V]; an item without events is never drawn. With the items' lives
        where they come and go.

        If no item has an event, all are equally likely.
        """
        if not counts.any():
            counts = np.ones_like(counts)
        chance = counts**POPULARITY_POWER
        life = None
        if lives is not None:
            life = torch.from_numpy(lives.first).to(device), torch.from_numpy(lives.last).to(device)
        return cls(torch.from_numpy(chance / chance.sum()).float().to(device), negatives, life)

    @cached_property
    def log_q(self) -> Tensor:
        """The log of how often each item is expected among the negatives, [V]."""
        return torch.log(self.chance * self.negatives)

    @cached_property
    def _cumulative(self) -> Floats:
        return np.cumsum(self.chance.cpu().double().numpy())

    def of_another_time(self, rows: Tensor, moments: Tensor) -> Tensor:
        """Which item rows [K] were not alive at the moments [n], [n, K]; only where items come and go."""
        assert self.life is not None, "items that stay are alive all the time"
        first, last = (times[rows] for times in self.life)
        return (moments.unsqueeze(1) < first) | (moments.unsqueeze(1) > last)

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Item rows, [negatives], with replacement. By bisection, so that a step does not read the whole catalogue."""
        draws = rng.random(self.negatives) * self._cumulative[-1]
        rows = np.searchsorted(self._cumulative, draws, side="right")
        return torch.from_numpy(np.minimum(rows, len(self.chance) - 1)).to(self.chance.device)

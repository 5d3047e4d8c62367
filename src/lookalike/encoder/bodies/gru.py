"""One gated recurrent layer (Cho et al. 2014, arXiv:1406.1078), causal by nature."""

from typing import cast

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layer = nn.GRU(dim, dim, batch_first=True)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.layer(self.norm(hidden))[0])  # [B, T, D]

    def at(self, hidden: Tensor, place: Tensor) -> Tensor:
        return self(hidden)[torch.arange(len(place), device=place.device), place]  # type: ignore[no-any-return]


def gru(dim: int, length: int) -> Recurrent:
    return Recurrent(dim)

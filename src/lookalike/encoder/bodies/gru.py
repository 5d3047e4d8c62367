"""One gated recurrent layer (Cho et al. 2014, arXiv:1406.1078), which is causal by construction."""

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

    def at_position(self, hidden: Tensor, position: Tensor) -> Tensor:
        rows = torch.arange(len(position), device=position.device)
        return cast(Tensor, self(hidden)[rows, position])  # [B, D]


def gru(dim: int, length: int) -> Recurrent:
    return Recurrent(dim)

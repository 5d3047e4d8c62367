"""One gated recurrent layer (Cho et al. 2014, arXiv:1406.1078), causal by nature."""

from typing import cast

from torch import Tensor, nn


class Recurrent(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layer = nn.GRU(dim, dim, batch_first=True)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.layer(self.norm(hidden))[0])  # [B, T, D]


def gru(dim: int, length: int) -> nn.Module:
    return Recurrent(dim)

"""Two pre-norm blocks of causal attention (Vaswani et al. 2017, arXiv:1706.03762; layout as SASRec, arXiv:1808.09781)."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lookalike.encoder.bodies.dropout import Dropout

LAYERS = 2
HEADS = 4
DROPOUT = 0.1


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), Dropout(DROPOUT)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        query, key, value = self._heads(hidden)
        # padding is at the end, where no real position looks: the causal mask is enough
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._add_residuals(hidden, attended.transpose(1, 2).reshape(hidden.shape))

    def at_position(self, hidden: Tensor, position: Tensor) -> Tensor:
        """What `forward` gives at one position [B] of each sequence, [B, D], computed for that position only."""
        batch, length, dim = hidden.shape
        rows = torch.arange(batch, device=position.device)
        normed, heads = self.before_attention(hidden), (HEADS, dim // HEADS)
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query = F.linear(normed[rows, position], weight[:dim], bias[:dim]).view(batch, 1, *heads)
        key, value = F.linear(normed, weight[dim:], bias[dim:]).view(batch, length, 2, *heads).unbind(2)
        logits = (query * key).sum(-1) * heads[1] ** -0.5  # [B, T, H]
        is_later = torch.arange(length, device=position.device) > position[:, None]  # [B, T]
        chance = logits.masked_fill_(is_later.unsqueeze(-1), -torch.inf).softmax(1)
        attended = (chance.unsqueeze(-1) * value).sum(1).flatten(1)  # [B, D]
        return self._add_residuals(hidden[rows, position], attended)

    def _heads(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value, each [B, H, T, D / H]."""
        batch, length, dim = hidden.shape
        heads = self.query_key_value(self.before_attention(hidden)).view(batch, length, 3, HEADS, dim // HEADS)
        return cast(tuple[Tensor, ...], heads.permute(2, 0, 3, 1, 4).unbind())

    def _add_residuals(self, hidden: Tensor, attended: Tensor) -> Tensor:
        hidden = hidden + self.project(attended)
        return cast(Tensor, hidden + self.feed_forward(hidden))


class Transformer(nn.Module):
    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(length, dim) * 0.1 * dim**-0.5)
        self.dropout = Dropout(DROPOUT)
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.blocks(self._add_positions(hidden))))

    def at_position(self, hidden: Tensor, position: Tensor) -> Tensor:
        *lower, last = self.blocks
        hidden = self._add_positions(hidden)
        for block in lower:
            hidden = block(hidden)
        return cast(Tensor, self.norm(cast(Block, last).at_position(hidden, position)))

    def _add_positions(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.dropout(hidden + self.position[: hidden.shape[1]]))


def transformer(dim: int, length: int) -> Transformer:
    return Transformer(dim, length)

"""Two pre-norm blocks of causal attention (Vaswani et al. 2017, arXiv:1706.03762; layout as SASRec, arXiv:1808.09781)."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), nn.Dropout(DROPOUT)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        query, key, value = self._heads(hidden)
        # padding stands at the end, where no real position looks: the causal mask is all that is needed
        return self._after(hidden, F.scaled_dot_product_attention(query, key, value, is_causal=True))

    def at(self, hidden: Tensor, place: Tensor) -> Tensor:
        """What `forward` gives at one place [B] of each sequence, [B, D], for less work."""
        query, key, value = self._heads(hidden)
        batch, length, _ = hidden.shape
        seen = torch.arange(length, device=place.device) <= place[:, None]  # [B, T]
        rows = torch.arange(batch, device=place.device)
        query = query[rows, :, place].unsqueeze(2)  # [B, H, 1, D / H]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None])
        return self._after(hidden[rows, place].unsqueeze(1), mixed).squeeze(1)

    def _heads(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value, each [B, H, T, D / H]."""
        batch, length, dim = hidden.shape
        heads = self.query_key_value(self.before_attention(hidden)).view(batch, length, 3, HEADS, dim // HEADS)
        return cast(tuple[Tensor, ...], heads.permute(2, 0, 3, 1, 4).unbind())

    def _after(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + self.project(mixed.transpose(1, 2).reshape(hidden.shape))
        return cast(Tensor, hidden + self.feed_forward(hidden))


class Transformer(nn.Module):
    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(length, dim) * 0.1 * dim**-0.5)
        self.dropout = nn.Dropout(DROPOUT)
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.blocks(self._placed(hidden))))

    def at(self, hidden: Tensor, place: Tensor) -> Tensor:
        *first, last = self.blocks
        hidden = self._placed(hidden)
        for block in first:
            hidden = block(hidden)
        return cast(Tensor, self.norm(cast(Block, last).at(hidden, place)))

    def _placed(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.dropout(hidden + self.position[: hidden.shape[1]]))


def transformer(dim: int, length: int) -> Transformer:
    return Transformer(dim, length)

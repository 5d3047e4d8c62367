"""User encoders: a batch of sequences in, one unit vector a position out.

Two towers. The item tower adds up an id embedding and the mean embedding of the item's attributes. The user tower reads
the items of a sequence with what the event was and when, through a causal body (this registry), and adds a causal pool
of the items read so far, so that a short history has a sensible vector before the body has learnt anything.

To add a body: one file with a function `(dim, length) -> nn.Module` that maps [B, T, D] to [B, T, D] and lets no
position see a later one, and one line in `ENCODERS`. The contract tests then cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lookalike.encoders.gru import gru
from lookalike.encoders.mean import mean
from lookalike.encoders.transformer import transformer

ENCODERS: dict[str, Callable[[int, int], nn.Module]] = {"transformer": transformer, "gru": gru, "mean": mean}

PADDING = 0
NO_ITEM = 1  # an event about no item, or about one the vocabulary does not know
FIRST_ITEM = 2  # item row 0 stands here
GAP_BUCKETS = 24
HOURS = 24
WEEKDAYS = 7


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences padded at the end, all [B, T]: a real position has an item index of 1 or more."""

    item: Tensor
    event_type: Tensor
    gap: Tensor  # bucket of the log time since the event before
    hour: Tensor
    weekday: Tensor


@dataclass(frozen=True)
class Sizes:
    """What a model is built from; kept in the run's config."""

    encoder: str
    dim: int
    length: int
    items: int
    attributes: int
    event_types: int


class TwoTower(nn.Module):
    """Users and items in one space: their dot product orders items by predicted affinity."""

    item_offsets: Tensor
    item_codes: Tensor

    def __init__(self, sizes: Sizes, item_attributes: tuple[Tensor, Tensor]) -> None:
        """`item_attributes` is CSR: offsets [V + 1] and attribute codes."""
        super().__init__()
        self.sizes = sizes
        dim = sizes.dim
        self.item_id = nn.Embedding(sizes.items + FIRST_ITEM, dim, padding_idx=PADDING)
        self.attribute = nn.Embedding(max(1, sizes.attributes), dim)
        self.event_type = nn.Embedding(sizes.event_types + 1, dim)
        self.gap = nn.Embedding(GAP_BUCKETS, dim)
        self.hour = nn.Embedding(HOURS, dim)
        self.weekday = nn.Embedding(WEEKDAYS, dim)
        self.body = ENCODERS[sizes.encoder](dim, sizes.length)
        self.head = nn.Linear(dim, dim, bias=False)
        self.pool = nn.Linear(dim, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        # of no items at all one empty entry is kept: events about nothing read it
        offsets = item_attributes[0] if sizes.items else torch.zeros(2, dtype=torch.int64)
        self.register_buffer("item_offsets", offsets, persistent=False)
        self.register_buffer("item_codes", item_attributes[1], persistent=False)
        for table in (self.item_id, self.attribute):
            nn.init.normal_(table.weight, std=dim**-0.5)
        for table in (self.event_type, self.gap, self.hour, self.weekday):
            nn.init.normal_(table.weight, std=0.1 * dim**-0.5)
        nn.init.eye_(self.pool.weight)
        with torch.no_grad():
            self.item_id.weight[PADDING] = 0

    def items(self, index: Tensor) -> Tensor:
        """Item vectors [n, D] of item indices [n] (rows + FIRST_ITEM)."""
        row = (index - FIRST_ITEM).clamp(min=0)
        begin, end = self.item_offsets[row], self.item_offsets[row + 1]
        count = torch.where(index >= FIRST_ITEM, end - begin, 0)
        bags = torch.cumsum(count, 0) - count
        position = torch.arange(int(count.sum()), device=index.device)
        codes = self.item_codes[position + torch.repeat_interleave(begin - bags, count)]
        # an empty bag gives zeros: such an item is its id alone
        described = F.embedding_bag(codes, self.attribute.weight, bags, mode="mean")
        return cast(Tensor, self.item_id(index) + described)

    def users(self, batch: SequenceBatch, vectors: Tensor) -> Tensor:
        """Unit vectors [B, T, D]: position t has read events 0 … t. `vectors` are the batch's items, [B, T, D]."""
        context = self.event_type(batch.event_type) + self.gap(batch.gap)
        context = context + self.hour(batch.hour) + self.weekday(batch.weekday)
        hidden = self.body(vectors + context)  # [B, T, D]
        real = (batch.item != PADDING).unsqueeze(-1)
        known = (batch.item >= FIRST_ITEM).unsqueeze(-1)
        read = torch.cumsum(known, 1).clamp(min=1)
        # over the root of their number: between a mean, which forgets how much was read, and a sum
        pooled = torch.cumsum(vectors * known, 1) / read.sqrt()
        return F.normalize(self.head(hidden) + self.pool(pooled), dim=-1) * real

    def forward(self, batch: SequenceBatch) -> Tensor:
        unique, inverse = torch.unique(batch.item, return_inverse=True)
        return self.users(batch, self.items(unique)[inverse])

    @property
    def scale(self) -> Tensor:
        """What a dot product is multiplied by before the softmax; learnt."""
        return self.log_scale.clamp(max=4.6).exp()

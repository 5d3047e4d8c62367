"""The two-tower model: users and items as vectors in one space.

The item tower adds an id embedding and the mean embedding of the item's attributes. The user tower adds the embeddings
of an event's context to its item, and sums three parts: a causal body (see `ENCODERS`) over the events; a causal pool
of the items read so far, weighted by learned attention, which gives a short history a sensible vector before the body
has learned anything; and the user's profile attributes. Position 0 has read no event: it is the vector of a user
without events.

To add an encoder: write a module in `bodies/` with a function `(dim, length) -> Body`, and add a line to `ENCODERS`.
The contract tests then cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lookalike.data.sequences import COMMON_ITEMS, Vocabulary
from lookalike.encoder.bodies.dropout import drop
from lookalike.encoder.bodies.gru import gru
from lookalike.encoder.bodies.mean import mean
from lookalike.encoder.bodies.transformer import transformer


class Body(Protocol):
    """A module that maps [B, T, D] to [B, T, D] and lets no position see a later one."""

    def __call__(self, hidden: Tensor) -> Tensor: ...

    def at_position(self, hidden: Tensor, position: Tensor) -> Tensor:
        """The output at one position [B] of each sequence, [B, D]: all that embedding a user needs."""


@dataclass(frozen=True)
class EncoderKind:
    """A causal body, its default objective, and whether items start from the directions of the content block."""

    body: Callable[[int, int], Body]
    objective: str = "all_action"
    starts_from_content: bool = True


ENCODERS: dict[str, EncoderKind] = {
    "transformer": EncoderKind(transformer),
    "gru": EncoderKind(gru),
    "mean": EncoderKind(mean),
    "skipgram": EncoderKind(mean, "skipgram", starts_from_content=False),  # the baseline as it was published
}

# Item indices: two special ones, then the item rows.
PADDING = 0
NO_ITEM = 1  # an event without an item, or with an item that is not in the vocabulary
FIRST_ITEM = 2  # the index of item row 0

SHARED_ID_ROWS = 1 << 18  # id embeddings that items past the common ones share, by a hash of their row

# What every event has besides its item and its coded fields, and how many values each feature takes.
EVENT_FEATURES: Final = {"gap": 24, "elapsed": 24, "hour": 24, "weekday": 7, "visit": 2, "value": 17}


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences padded at the end: a real position has an item index of 1 or more."""

    item: Tensor  # [B, T]
    context: Tensor  # [B, T, F]: the value of each of EVENT_FEATURES, then of each coded field
    profile: Tensor  # attribute codes of all users, one user after the other
    profile_starts: Tensor  # [B]


@dataclass(frozen=True)
class ModelSizes:
    """What determines the shape of a model; stored in the run's config."""

    encoder: str
    dim: int
    length: int
    items: int
    attributes: int
    fields: dict[str, int]  # number of values of each coded field, without 0, which means missing
    profile: int


class TwoTower(nn.Module):
    """Users and items in one space: their dot product orders items by predicted affinity."""

    item_offsets: Tensor
    item_codes: Tensor
    id_row: Tensor
    context_starts: Tensor

    def __init__(self, sizes: ModelSizes, item_attributes: tuple[Tensor, Tensor], dropout: float = 0.0) -> None:
        """`item_attributes` is CSR: offsets [V + 1] and attribute codes.

        It may hold more items than `sizes` counts. Those were added after training: their vectors are those of their
        attributes alone.
        """
        super().__init__()
        self.sizes = sizes
        self.dropout = dropout
        dim, widths = sizes.dim, [*EVENT_FEATURES.values(), *(values + 1 for values in sizes.fields.values())]
        self.item_id = nn.Embedding(id_table_rows(sizes.items), dim, padding_idx=PADDING, sparse=True)
        self.attribute = nn.Embedding(max(1, sizes.attributes), dim, sparse=True)
        self.context = nn.EmbeddingBag(sum(widths), dim, mode="sum")
        self.profile = nn.EmbeddingBag(max(1, sizes.profile), dim, mode="mean")
        self.start = nn.Parameter(torch.zeros(dim))
        self.body = ENCODERS[sizes.encoder].body(dim, sizes.length)
        self.attend = nn.Linear(dim, 1)
        self.head = nn.Linear(dim, dim, bias=False)
        self.pool = nn.Linear(dim, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.item_count = max(0, len(item_attributes[0]) - 1)
        # without items one empty entry is kept, which events without an item read
        offsets = item_attributes[0] if self.item_count else torch.zeros(2, dtype=torch.int64)
        self.register_buffer("item_offsets", offsets, persistent=False)
        self.register_buffer("item_codes", item_attributes[1], persistent=False)
        self.register_buffer("id_row", id_table_index(sizes.items, len(offsets) - 1), persistent=False)
        starts = torch.tensor([0, *widths[:-1]]).cumsum(0)
        self.register_buffer("context_starts", starts, persistent=False)
        self._initialise_weights()

    def _initialise_weights(self) -> None:
        dim = self.sizes.dim
        for table in (self.item_id, self.attribute):
            nn.init.normal_(table.weight, std=dim**-0.5)
        nn.init.normal_(self.context.weight, std=0.1 * dim**-0.5)
        nn.init.normal_(self.profile.weight, std=0.1 * dim**-0.5)
        nn.init.eye_(self.pool.weight)
        nn.init.zeros_(self.attend.weight)
        nn.init.zeros_(self.attend.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # the pool dominates at first: it is meaningful without training
            self.item_id.weight[PADDING] = 0

    @property
    def embedding_tables(self) -> list[nn.Parameter]:
        """The parameters of which a step touches only a few rows."""
        return [cast(nn.Parameter, self.item_id.weight), cast(nn.Parameter, self.attribute.weight)]

    @property
    def scale(self) -> Tensor:
        """The learned factor that turns dot products into logits."""
        return self.log_scale.clamp(max=4.6).exp()

    def item_vectors(self, index: Tensor) -> Tensor:
        """Item vectors [n, D] of item indices [n] (item row + FIRST_ITEM)."""
        is_item = index >= FIRST_ITEM
        row = (index - FIRST_ITEM).clamp(min=0)
        id_row = torch.where(is_item, self.id_row[row], index)
        return cast(Tensor, self.item_id(id_row) + self._mean_attribute_vectors(row, is_item))

    def _mean_attribute_vectors(self, row: Tensor, is_item: Tensor) -> Tensor:
        """The mean embedding of each item's attributes, [n, D]; zeros for an item without attributes."""
        begin, end = self.item_offsets[row], self.item_offsets[row + 1]
        count = torch.where(is_item, end - begin, 0)
        bags = torch.cumsum(count, 0) - count
        position = torch.arange(int(count.sum()), device=row.device)
        codes = self.item_codes[position + torch.repeat_interleave(begin - bags, count)]
        return F.embedding_bag(codes, self.attribute.weight, bags, mode="mean", sparse=True)

    def user_vectors(self, batch: SequenceBatch, item_vectors: Tensor) -> Tensor:
        """Unit vectors [B, T + 1, D] of each user after 0 … T events. `item_vectors` are the batch's items, [B, T, D]."""
        if self.training:
            item_vectors = drop(item_vectors, self.dropout)
        events = item_vectors + self._context_vectors(batch)
        hidden = self.body(events)  # [B, T, D]
        weights = self._pool_weights(batch, events)
        # divided by the root of the squared weights: between a mean, which forgets how much was read, and a sum
        squares = torch.cumsum(weights.square(), 1)
        pooled = torch.cumsum(item_vectors * weights, 1) / squares.clamp(min=1e-4).sqrt()
        profile = self._profile_vectors(batch)
        read = profile.unsqueeze(1) + self.head(hidden) + self.pool(pooled)
        return F.normalize(torch.cat([profile.unsqueeze(1), read], 1), dim=-1)

    def latest_user_vectors(self, batch: SequenceBatch, length: Tensor) -> Tensor:
        """Unit vectors [B, D] of users after all their `length` [B] events: `user_vectors` at that position, for less work."""
        vectors = self._batch_item_vectors(batch)
        events = vectors + self._context_vectors(batch)
        weights = self._pool_weights(batch, events)  # 0 for padding, so a sum over all positions ends with the events
        pooled = (vectors * weights).sum(1) / weights.square().sum(1).clamp(min=1e-4).sqrt()
        profile = self._profile_vectors(batch)
        hidden = self.body.at_position(events, (length - 1).clamp(min=0))
        read = profile + self.head(hidden) + self.pool(pooled)
        return F.normalize(torch.where(length.unsqueeze(1) > 0, read, profile), dim=-1)

    def forward(self, batch: SequenceBatch) -> Tensor:
        return self.user_vectors(batch, self._batch_item_vectors(batch))

    def _batch_item_vectors(self, batch: SequenceBatch) -> Tensor:
        """The item vectors of a batch, [B, T, D]; each distinct item's is computed once."""
        unique, inverse = torch.unique(batch.item, return_inverse=True)
        return self.item_vectors(unique)[inverse]

    def _context_vectors(self, batch: SequenceBatch) -> Tensor:
        """The sum of the embeddings of each event's context, [B, T, D]."""
        flat = (batch.context + self.context_starts).flatten(0, 1)  # [B * T, F]
        return cast(Tensor, self.context(flat).unflatten(0, batch.item.shape))

    def _pool_weights(self, batch: SequenceBatch, events: Tensor) -> Tensor:
        """The attention weight of each event in the pool, [B, T, 1]; 0 for padding and events without an item."""
        has_item = (batch.item >= FIRST_ITEM).unsqueeze(-1)
        return cast(Tensor, self.attend(events).clamp(-4, 4).exp() * has_item)

    def _profile_vectors(self, batch: SequenceBatch) -> Tensor:
        """The vector of each user before any event, from profile attributes, [B, D]. Not of unit length."""
        if not self.sizes.profile:
            return self.start.expand(len(batch.item), -1)
        return cast(Tensor, self.start + self.profile(batch.profile, batch.profile_starts))


def id_table_rows(items: int) -> int:
    """The number of rows of the id table for a vocabulary of so many items."""
    return min(items, COMMON_ITEMS) + (SHARED_ID_ROWS if items > COMMON_ITEMS else 0) + FIRST_ITEM


def id_table_index(trained: int, items: int) -> Tensor:
    """The row of each item in the id table, [items]; PADDING, which is zero, for items past the `trained` ones."""
    row = torch.arange(items)
    shared = COMMON_ITEMS + FIRST_ITEM + (row * 2_654_435_761 >> 8) % SHARED_ID_ROWS  # Knuth's multiplicative hash
    id_row = torch.where(row < COMMON_ITEMS, row + FIRST_ITEM, shared)
    return torch.where(row < trained, id_row, PADDING)


def is_unshared(id_row: Tensor) -> Tensor:
    """True for rows of the id table that belong to a single item, False for those that rare items share."""
    return id_row < COMMON_ITEMS + FIRST_ITEM


def build_model(sizes: ModelSizes, vocabulary: Vocabulary, dropout: float = 0.0) -> TwoTower:
    """A model with random weights. `vocabulary` may hold more items than `sizes` counts."""
    offsets, codes = vocabulary.item_attributes
    return TwoTower(sizes, (torch.from_numpy(offsets), torch.from_numpy(codes.astype(np.int64))), dropout)

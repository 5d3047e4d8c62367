"""User encoders: a batch of sequences in, one unit vector a position out.

Two towers. The item tower adds up an id embedding and the mean embedding of the item's attributes. The user tower reads
the items of a sequence with what the event was and when, through a causal body (this registry), adds a causal pool of
the items read so far, weighted by learned attention, so that a short history has a sensible vector before the body has
learnt anything, and fuses what is known of the user besides events. Place 0 has read nothing: it is the vector of a
user without events.

To add a body: one file with a function `(dim, length) -> Body`, and one line in `ENCODERS`. The contract tests then
cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lookalike.data.sequences import COMMON_ITEMS, Vocabulary
from lookalike.encoder.bodies.gru import gru
from lookalike.encoder.bodies.mean import mean
from lookalike.encoder.bodies.transformer import transformer


class Body(Protocol):
    """A module that maps [B, T, D] to [B, T, D] and lets no position see a later one."""

    def __call__(self, hidden: Tensor) -> Tensor: ...

    def at(self, hidden: Tensor, place: Tensor) -> Tensor:
        """The same at one place [B] of each sequence alone, [B, D]: a stored vector needs no other."""


@dataclass(frozen=True)
class EncoderKind:
    """A causal body, the objective it is trained by where none is named, and whether items start from the content block."""

    body: Callable[[int, int], Body]
    objective: str = "all_action"
    starts_from_content: bool = True


ENCODERS: dict[str, EncoderKind] = {
    "transformer": EncoderKind(transformer),
    "gru": EncoderKind(gru),
    "mean": EncoderKind(mean),
    "skipgram": EncoderKind(mean, "skipgram", starts_from_content=False),  # the simple rival as it is known
}


PADDING = 0


NO_ITEM = 1  # an event about no item, or about one of which nothing is known


FIRST_ITEM = 2  # item row 0 stands here


SHARED_ID_ROWS = 1 << 18  # id embeddings that items past the common ones share, by a hash of their row


# What every event has besides its item and its coded fields, and how many values each takes.
EVENT_FEATURES: Final = {"gap": 24, "elapsed": 24, "hour": 24, "weekday": 7, "visit": 2, "value": 17}


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences padded at the end: a real position has an item index of 1 or more."""

    item: Tensor  # [B, T]
    context: Tensor  # [B, T, F]: the value of each of MOMENTS, then of each coded field
    profile: Tensor  # codes of all users' attributes, one user after the other
    profile_starts: Tensor  # [B]


@dataclass(frozen=True)
class ModelSizes:
    """What a model is built from; kept in the run's config."""

    encoder: str
    dim: int
    length: int
    items: int
    attributes: int
    fields: dict[str, int]  # values of each coded field; 0, which is missing, not counted
    profile: int


class TwoTower(nn.Module):
    """Users and items in one space: their dot product orders items by predicted affinity."""

    item_offsets: Tensor
    item_codes: Tensor
    id_row: Tensor
    context_starts: Tensor

    def __init__(self, sizes: ModelSizes, item_attributes: tuple[Tensor, Tensor], dropout: float = 0.0) -> None:
        """`item_attributes` is CSR: offsets [V + 1] and attribute codes. It may name more items than `sizes` counts:
        those were not there in training, and are their attributes alone."""
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
        self.rows = max(0, len(item_attributes[0]) - 1)  # items there are vectors for
        # of no items at all one empty entry is kept: events about nothing read it
        offsets = item_attributes[0] if self.rows else torch.zeros(2, dtype=torch.int64)
        self.register_buffer("item_offsets", offsets, persistent=False)
        self.register_buffer("item_codes", item_attributes[1], persistent=False)
        self.register_buffer("id_row", _id_table_index(sizes.items, len(offsets) - 1), persistent=False)
        starts = torch.tensor([0, *widths[:-1]]).cumsum(0)
        self.register_buffer("context_starts", starts, persistent=False)
        self._start_weights()

    def _start_weights(self) -> None:
        dim = self.sizes.dim
        for table in (self.item_id, self.attribute):
            nn.init.normal_(table.weight, std=dim**-0.5)
        nn.init.normal_(self.context.weight, std=0.1 * dim**-0.5)
        nn.init.normal_(self.profile.weight, std=0.1 * dim**-0.5)
        nn.init.eye_(self.pool.weight)
        nn.init.zeros_(self.attend.weight)
        nn.init.zeros_(self.attend.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # the pool speaks first: it needs no training to mean something
            self.item_id.weight[PADDING] = 0

    def tables(self) -> list[nn.Parameter]:
        """The parameters of which a step touches few rows."""
        return [cast(nn.Parameter, self.item_id.weight), cast(nn.Parameter, self.attribute.weight)]

    def items(self, index: Tensor) -> Tensor:
        """Item vectors [n, D] of item indices [n] (rows + FIRST_ITEM)."""
        row = (index - FIRST_ITEM).clamp(min=0)
        begin, end = self.item_offsets[row], self.item_offsets[row + 1]
        count = torch.where(index >= FIRST_ITEM, end - begin, 0)
        bags = torch.cumsum(count, 0) - count
        position = torch.arange(int(count.sum()), device=index.device)
        codes = self.item_codes[position + torch.repeat_interleave(begin - bags, count)]
        # an empty bag gives zeros: such an item is its id alone
        described = F.embedding_bag(codes, self.attribute.weight, bags, mode="mean", sparse=True)
        own = torch.where(index >= FIRST_ITEM, self.id_row[row], index)
        return cast(Tensor, self.item_id(own) + described)

    def users(self, batch: SequenceBatch, vectors: Tensor) -> Tensor:
        """Unit vectors [B, T + 1, D]: place t has read the first t events. `vectors` are the batch's items, [B, T, D]."""
        if self.dropout:
            vectors = F.dropout(vectors, self.dropout, self.training)
        events = vectors + self._context(batch)
        hidden = self.body(events)  # [B, T, D]
        weight = self._weight(batch, events)
        # over the root of their number: between a mean, which forgets how much was read, and a sum
        pooled = torch.cumsum(vectors * weight, 1) / torch.cumsum(weight.square(), 1).clamp(min=1e-4).sqrt()
        known_of = self._known_of(batch)
        read = known_of.unsqueeze(1) + self.head(hidden) + self.pool(pooled)
        return F.normalize(torch.cat([known_of.unsqueeze(1), read], 1), dim=-1)

    def latest(self, batch: SequenceBatch, length: Tensor) -> Tensor:
        """Unit vectors [B, D] of users who have read all `length` [B] events: what `users` gives at that place."""
        unique, inverse = torch.unique(batch.item, return_inverse=True)
        vectors = self.items(unique)[inverse]
        events = vectors + self._context(batch)
        weight = self._weight(batch, events)  # 0 where there is padding, so a whole sum ends where the events do
        pooled = (vectors * weight).sum(1) / weight.square().sum(1).clamp(min=1e-4).sqrt()
        known_of = self._known_of(batch)
        read = known_of + self.head(self.body.at(events, (length - 1).clamp(min=0))) + self.pool(pooled)
        return F.normalize(torch.where(length.unsqueeze(1) > 0, read, known_of), dim=-1)

    def _context(self, batch: SequenceBatch) -> Tensor:
        """What each event was besides its item, [B, T, D]."""
        flat = (batch.context + self.context_starts).flatten(0, 1)  # [B * T, F]
        return cast(Tensor, self.context(flat).unflatten(0, batch.item.shape))

    def _weight(self, batch: SequenceBatch, events: Tensor) -> Tensor:
        """How much each event counts in the pool, [B, T, 1]."""
        known = (batch.item >= FIRST_ITEM).unsqueeze(-1)
        return cast(Tensor, self.attend(events).clamp(-4, 4).exp() * known)

    def _known_of(self, batch: SequenceBatch) -> Tensor:
        """What is known of each user besides events, [B, D]."""
        return cast(Tensor, self.start + self.profile(batch.profile, batch.profile_starts))

    def forward(self, batch: SequenceBatch) -> Tensor:
        unique, inverse = torch.unique(batch.item, return_inverse=True)
        return self.users(batch, self.items(unique)[inverse])

    @property
    def scale(self) -> Tensor:
        """What a dot product is multiplied by before the softmax; learnt."""
        return self.log_scale.clamp(max=4.6).exp()


def id_table_rows(items: int) -> int:
    """Rows of the table of id embeddings for a vocabulary of so many items."""
    return min(items, COMMON_ITEMS) + (SHARED_ID_ROWS if items > COMMON_ITEMS else 0) + FIRST_ITEM


def _id_table_index(trained: int, items: int) -> Tensor:
    """Where in the table each item's id embedding stands, [items]; PADDING, which is zero, for items past `trained`."""
    row = torch.arange(items)
    shared = COMMON_ITEMS + FIRST_ITEM + (row * 2_654_435_761 >> 8) % SHARED_ID_ROWS  # Knuth's multiplicative hash
    place = torch.where(row < COMMON_ITEMS, row + FIRST_ITEM, shared)
    return torch.where(row < trained, place, PADDING)


def build_model(sizes: ModelSizes, vocabulary: Vocabulary, dropout: float = 0.0) -> TwoTower:
    """A model before training. `vocabulary` may hold items past those `sizes` counts."""
    offsets, codes = vocabulary.item_attributes
    return TwoTower(sizes, (torch.from_numpy(offsets), torch.from_numpy(codes.astype(np.int64))), dropout)

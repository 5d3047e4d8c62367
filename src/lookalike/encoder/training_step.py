"""One batch of training, with everything that objectives compute from it. What several of them need is computed once."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lookalike.data.arrays import Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import batches, losses
from lookalike.encoder.batches import FutureEvents, Segments
from lookalike.encoder.model import FIRST_ITEM, SequenceBatch, TwoTower
from lookalike.encoder.negatives import NegativeSampling


@dataclass
class TrainingStep:
    """The model, a batch of segments, the events that follow them, and a generator for whatever is drawn."""

    model: TwoTower
    vocabulary: Vocabulary
    sequences: Sequences
    segments: Segments
    future: FutureEvents
    horizon: int
    sampling: NegativeSampling
    rng: np.random.Generator
    device: torch.device
    batch: SequenceBatch = field(init=False)
    event: Rows = field(init=False)  # [B, T], the event at each position of the batch; -1 for padding

    def __post_init__(self) -> None:
        self.batch, self.event = batches.collate(self.sequences, self.segments, self.device)

    @cached_property
    def input_vectors(self) -> Tensor:
        """The item vectors of the batch, [B, T, D]."""
        return self.item_vectors(self.batch.item.flatten()).view(*self.batch.item.shape, -1)

    @cached_property
    def users(self) -> Tensor:
        """The users after 0 … T events, [B, T + 1, D]."""
        return self.model.user_vectors(self.batch, self.input_vectors)

    def users_at(self, position: Rows) -> Tensor:
        """Each user after `position` [B] events, [B, D]."""
        flat = np.arange(len(position)) * self.users.shape[1] + position
        return F.embedding(torch.from_numpy(flat).to(self.device), self.users.flatten(0, 1))

    @cached_property
    def negatives(self) -> tuple[Tensor, Tensor]:
        """Item indices [K] drawn for the whole batch, and their vectors [K, D]."""
        index = self.sampling.draw(self.rng) + FIRST_ITEM
        return index, self.item_vectors(index)

    def item_vectors(self, index: Tensor) -> Tensor:
        """Vectors of item indices [n]; each distinct item's is computed once."""
        unique, inverse = torch.unique(index, return_inverse=True)
        # F.embedding instead of indexing: its gradient is summed in a fixed order, which makes weights repeatable
        return F.embedding(inverse, self.model.item_vectors(unique))

    def softmax_loss(self, users: Tensor, item_rows: Rows, events: Rows | None = None) -> Tensor:
        """Loss of ranking items [n] above the batch's negatives for users [n, D]. `events` [n] are where they were met."""
        target = self._index(item_rows)
        return self._softmax_loss(users, target, self.item_vectors(target), events)

    def _index(self, item_rows: Rows) -> Tensor:
        return torch.from_numpy(item_rows + FIRST_ITEM).to(self.device)

    def _softmax_loss(self, users: Tensor, target: Tensor, target_vectors: Tensor, events: Rows | None) -> Tensor:
        if not len(target):
            return users.sum() * 0.0
        negative, negative_vectors = self.negatives
        log_q = self.sampling.log_q
        return losses.sampled_softmax(
            users * self.model.scale,
            target_vectors,
            negative_vectors,
            (log_q[target - FIRST_ITEM], log_q[negative - FIRST_ITEM]),
            self._excluded(target, negative, events),
        )

    def _excluded(self, target: Tensor, negative: Tensor, events: Rows | None) -> losses.Excluded:
        """Which negatives [K] are the target [n] itself, or of another time."""
        if events is None or self.sampling.life is None:
            return losses.Excluded.equal(target, negative)
        moments = torch.from_numpy(np.asarray(self.sequences["time"])[events].astype(np.int64)).to(self.device)
        of_another_time = self.sampling.of_another_time
        return losses.Excluded.equal(
            target, negative, lambda block: of_another_time(negative - FIRST_ITEM, moments[block])
        )

    def prediction_loss(self, begin: Rows, end: Rows) -> Tensor:
        """Loss of predicting, at each position [B, T + 1], the item of one event drawn from begin : end there.

        Positions with an empty range, and events without an item, are excluded.
        """
        begin, end = begin.ravel(), end.ravel()
        target = begin + (self.rng.random(len(begin)) * (end - begin)).astype(np.int64)
        has_target = end > begin
        item = np.asarray(self.sequences["item"])[np.where(has_target, target, 0)].astype(np.int64)
        position = np.flatnonzero(has_target & (item >= 0))
        items = self._index(item[position])
        item_vectors = self._target_vectors(items)
        users = F.embedding(torch.from_numpy(position).to(self.device), self.users.flatten(0, 1))
        return self._softmax_loss(users, items, item_vectors, target[position])

    def _target_vectors(self, target: Tensor) -> Tensor:
        """Vectors of targets [n]; those of the batch and the negatives are looked up with them, if they are still needed."""
        if "input_vectors" in vars(self) or "negatives" in vars(self):
            return self.item_vectors(target)
        negative = self.sampling.draw(self.rng) + FIRST_ITEM
        parts = [self.batch.item.flatten(), negative, target]
        inputs, negative_vectors, target_vectors = torch.split(self.item_vectors(torch.cat(parts)), [*map(len, parts)])
        self.input_vectors = inputs.view(*self.batch.item.shape, -1)
        self.negatives = negative, negative_vectors
        return target_vectors

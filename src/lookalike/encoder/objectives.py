"""What a user encoder is trained for: from one batch of sequences to a loss.

An objective is `(Step) -> loss`. A weighted sum of several is written `all_action+0.5*episodes`. To add one: a function
and a line in `OBJECTIVES`. The contract tests then cover it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lookalike.data.arrays import Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import batches, losses
from lookalike.encoder.batches import FutureEvents, Segments
from lookalike.encoder.model import FIRST_ITEM, SequenceBatch, TwoTower
from lookalike.errors import SettingsError

SKIPGRAM_WINDOW = 5


EPISODE_GROUPS = 256


EPISODE_MEMBERS = 4


@dataclass(frozen=True)
class NegativeSampling:
    """From what negatives are drawn. `chance` [V] is each item's probability of one draw."""

    chance: Tensor
    negatives: int

    @cached_property
    def log_q(self) -> Tensor:
        """The log of how often an item is expected among the negatives, [V]."""
        return torch.log(self.chance * self.negatives)

    @cached_property
    def _reach(self) -> Tensor:
        return torch.cumsum(self.chance.cpu().double(), 0)  # not every device has doubles

    def draw(self) -> Tensor:
        """Item rows, [negatives], with replacement; found by halving, so that a step does not read the whole catalogue."""
        at = torch.rand(self.negatives, dtype=torch.float64) * self._reach[-1]
        return torch.searchsorted(self._reach, at, right=True).clamp(max=len(self.chance) - 1).to(self.chance.device)


@dataclass
class TrainingStep:
    """One batch of training with what the objectives need of it."""

    model: TwoTower
    known: Sequences
    vocabulary: Vocabulary
    stretches: Segments
    later: FutureEvents
    horizon: int
    sampling: NegativeSampling
    rng: np.random.Generator
    device: torch.device
    batch: SequenceBatch = field(init=False)
    position: Rows = field(init=False)  # [B, T], the event behind each place; -1 for padding

    def __post_init__(self) -> None:
        self.batch, self.position = batches.collate(self.known, self.stretches, self.device)

    @cached_property
    def inputs(self) -> Tensor:
        """The item vectors of the batch, [B, T, D]."""
        return self.item_vectors(self.batch.item.flatten()).view(*self.batch.item.shape, -1)

    @cached_property
    def users(self) -> Tensor:
        """The users after 0 … T events, [B, T + 1, D]."""
        return self.model.users(self.batch, self.inputs)

    @cached_property
    def last(self) -> Tensor:
        """The users after all of their stretch, [B, D]."""
        flat = np.arange(len(self.stretches)) * self.users.shape[1] + self.stretches.length
        return F.embedding(torch.from_numpy(flat).to(self.device), self.users.flatten(0, 1))

    @cached_property
    def negatives(self) -> tuple[Tensor, Tensor]:
        """Item indices [K] drawn for the whole batch, and their vectors [K, D]."""
        drawn = self.sampling.draw() + FIRST_ITEM
        return drawn, self.item_vectors(drawn)

    def item_vectors(self, index: Tensor) -> Tensor:
        """Vectors of item indices [n]; each item's is made once, however often it stands there."""
        unique, inverse = torch.unique(index, return_inverse=True)
        # F.embedding, not indexing: its gradient is summed in a fixed order, so that a seed fixes the weights
        return F.embedding(inverse, self.model.items(unique))

    def told_apart(self, users: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Loss of telling item rows [n] from the batch's negatives by users [n, D]."""
        if not len(rows):
            return users.sum() * 0.0
        target = torch.from_numpy(rows + FIRST_ITEM).to(self.device)
        drawn, negatives = self.negatives
        log_q = self.sampling.log_q
        return losses.sampled_softmax(
            users * self.model.scale,
            self.item_vectors(target),
            negatives,
            (log_q[target - FIRST_ITEM], log_q[drawn - FIRST_ITEM]),
            target.unsqueeze(1) == drawn,
        )

    def foretold(self, begin: Rows, end: Rows) -> Tensor:
        """Loss of foretelling, at each place [B, T + 1], the item of one event drawn from begin : end there."""
        begin, end = begin.ravel(), end.ravel()
        drawn = begin + (self.rng.random(len(begin)) * (end - begin)).astype(np.int64)
        able = end > begin
        item = np.asarray(self.known["item"])[np.where(able, drawn, 0)].astype(np.int64)
        where = np.flatnonzero(able & (item >= 0))
        users = F.embedding(torch.from_numpy(where).to(self.device), self.users.flatten(0, 1))
        return self.told_apart(users, item[where])


Objective = Callable[[TrainingStep], Tensor]


def all_action(step: TrainingStep) -> Tensor:
    """At each place, an action drawn from the user's next `horizon` ones (PinnerFormer, arXiv:2205.04507, dense all-action)."""
    begin, end = _future_bounds(step)
    return step.foretold(begin, end)


def next_item(step: TrainingStep) -> Tensor:
    """At each place, the very next action (SASRec, arXiv:1808.09781, with sampled softmax)."""
    begin, end = _future_bounds(step)
    return step.foretold(begin, np.minimum(end, begin + 1))


def _future_bounds(step: TrainingStep) -> tuple[Rows, Rows]:
    """First and last of the events to come at each place, [B, T + 1]; none where there is padding."""
    real = step.position >= 0
    at = np.where(real, step.position, 0)
    begin, end = (np.where(real, bounds[at], 0) for bounds in (step.later.begin, step.later.end))
    first = step.stretches.start[:, None]  # before anything was read, the stretch itself is to come
    last = first + np.minimum(step.stretches.length, step.horizon)[:, None]
    return np.hstack([first, begin]), np.hstack([last, end])


def reconstruct(step: TrainingStep) -> Tensor:
    """At each place, one of the items read so far: an autoencoder over the bag of items, tied to the sequence."""
    real = step.position >= 0
    start = np.broadcast_to(step.stretches.start[:, None], real.shape)
    nothing = np.zeros((len(real), 1), np.int64)
    end = np.where(real, step.position + 1, start)
    return step.foretold(np.hstack([nothing, start]), np.hstack([nothing, end]))


def skipgram(step: TrainingStep) -> Tensor:
    """From each item alone, one of the items within five events of it (word2vec, arXiv:1301.3781).

    The tables of words and of contexts are one, with a linear map between them: the pool's.
    """
    row, place = np.nonzero(step.position >= 0)
    length = step.stretches.length[row]
    hop = step.rng.integers(1, SKIPGRAM_WINDOW + 1, len(row)) * step.rng.choice([-1, 1], len(row))
    near = place + hop
    item = np.asarray(step.known["item"])
    inside = (near >= 0) & (near < length)
    context = item[step.stretches.start[row] + np.where(inside, near, place)].astype(np.int64)
    use = np.flatnonzero(inside & (context >= 0) & (item[step.position[row, place]] >= 0))
    flat = torch.from_numpy(row[use] * step.position.shape[1] + place[use]).to(step.device)
    words = F.normalize(step.model.pool(F.embedding(flat, step.inputs.flatten(0, 1))), dim=-1)
    return step.told_apart(words, context[use])


def contrastive(step: TrainingStep) -> Tensor:
    """Two parts of one history belong together, parts of different users do not (CoLES, arXiv:2002.08232)."""
    views = [replace(step, stretches=batches.random_crops(step.stretches, step.rng)).last for _ in range(2)]
    similar = views[0] @ views[1].T * step.model.scale  # [B, B]
    same = torch.arange(len(similar), device=step.device)
    return (F.cross_entropy(similar, same) + F.cross_entropy(similar.T, same)) / 2


def episodes(step: TrainingStep) -> Tensor:
    """Few members of an audience find the others: prototypical networks (arXiv:1703.05175) over campaigns (MetaHeac).

    Each user is stopped at a random place. An audience is who of the batch, after that, newly meets an item's attribute
    (or an item, where there are no attributes). Half of it is the seed; its mean vector has to rank the other half
    before everybody else of the batch.
    """
    stop = (step.rng.random(len(step.stretches)) * (step.stretches.length + 1)).astype(np.int64)
    member, met = _memberships(step, stop)
    if not member.shape[1]:
        return step.users.sum() * 0.0
    flat = np.arange(len(stop)) * step.users.shape[1] + stop
    users = F.embedding(torch.from_numpy(flat).to(step.device), step.users.flatten(0, 1))  # [B, D]
    seed = member & (step.rng.random(member.shape) < 0.5)
    sides = [torch.from_numpy(one).to(step.device) for one in (seed, member & ~seed, met)]
    return losses.prototypical_loss(users, sides[0], sides[1], sides[2], step.model.scale)


def _memberships(step: TrainingStep, stop: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who newly meets each group after the stop, and who had met it before: both [B, G], large enough groups only."""
    start = step.stretches.start
    before = _groups_met(step, start, start + stop)
    after = _groups_met(step, start + stop, start + np.minimum(stop + step.horizon, step.stretches.length))
    member = after & ~before
    large = np.flatnonzero(member.sum(0) >= EPISODE_MEMBERS)
    return member[:, large], before[:, large]


def _groups_met(step: TrainingStep, begin: Rows, end: Rows) -> NDArray[np.bool_]:
    """Which of the most common groups each user's events begin : end touch, [B, G]."""
    owner, position = _expand_ranges(begin, end)
    item = np.asarray(step.known["item"])[position].astype(np.int64)
    owner, item = owner[item >= 0], item[item >= 0]
    if len(step.vocabulary.attributes):
        offsets, codes = step.vocabulary.item_attributes
        which, at = _expand_ranges(offsets[item], offsets[item + 1])
        group, owner = codes[at].astype(np.int64), owner[which]
    else:
        group = item
    met = np.zeros((len(begin), EPISODE_GROUPS), bool)
    common = group < EPISODE_GROUPS  # codes and rows are numbered by how common they are
    met[owner[common], group[common]] = True
    return met


def _expand_ranges(begin: Rows, end: Rows) -> tuple[Rows, Rows]:
    """Every place from each begin to its end, one stretch after the other, and which stretch it is of."""
    count = end - begin
    which = np.repeat(np.arange(len(count)), count)
    return which, np.arange(len(which)) + np.repeat(begin - np.cumsum(count) + count, count)


# --- registry --------------------------------------------------------------------------------------------------------

OBJECTIVES: dict[str, Objective] = {
    "all_action": all_action,
    "next_item": next_item,
    "reconstruct": reconstruct,
    "skipgram": skipgram,
    "contrastive": contrastive,
    "episodes": episodes,
}


_TERM = re.compile(r"(?:(\d+(?:\.\d+)?)\*)?([a-z_]+)")


def parse_objective(text: str) -> list[tuple[float, Objective]]:
    """The weights and objectives of `0.5*episodes+all_action`. Raises SettingsError for what is none."""
    terms = []
    for part in text.replace(" ", "").split("+"):
        found = _TERM.fullmatch(part)
        if not found or found[2] not in OBJECTIVES:
            raise SettingsError(
                f"no objective is called {part[:40]!r}", f"--objective {'|'.join(OBJECTIVES)}, or a sum"
            )
        terms.append((float(found[1] or 1), OBJECTIVES[found[2]]))
    return terms

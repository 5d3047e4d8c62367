"""Training objectives: from one batch of sequences to a loss.

An objective is a function `(TrainingStep) -> loss`. A weighted sum is written `all_action+0.5*episodes`. To add one:
write the function and add a line to `OBJECTIVES`. The contract tests then cover it.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lookalike.data.arrays import Flags, Rows
from lookalike.encoder import batches, losses
from lookalike.encoder.training_step import TrainingStep
from lookalike.errors import SettingsError

SKIPGRAM_WINDOW = 5
EPISODE_GROUPS = 256  # the most common attributes (or items) whose new members may be an audience
MIN_EPISODE_MEMBERS = 4

Objective = Callable[[TrainingStep], Tensor]


def all_action(step: TrainingStep) -> Tensor:
    """At each position, predict an action drawn from the user's next `horizon` ones.

    The dense all-action loss of PinnerFormer (arXiv:2205.04507).
    """
    begin, end = _future_bounds(step)
    return step.prediction_loss(begin, end)


def next_item(step: TrainingStep) -> Tensor:
    """At each position, predict the very next action (SASRec, arXiv:1808.09781, with sampled softmax)."""
    begin, end = _future_bounds(step)
    return step.prediction_loss(begin, np.minimum(end, begin + 1))


def _future_bounds(step: TrainingStep) -> tuple[Rows, Rows]:
    """Begin and end of the future events at each position, both [B, T + 1]; an empty range for padding."""
    is_real = step.event >= 0
    event = np.where(is_real, step.event, 0)
    begin, end = (np.where(is_real, bounds[event], 0) for bounds in (step.future.begin, step.future.end))
    first = step.segments.start[:, None]  # at position 0 the segment itself is the future
    last = first + np.minimum(step.segments.length, step.horizon)[:, None]
    return np.hstack([first, begin]), np.hstack([last, end])


def reconstruct(step: TrainingStep) -> Tensor:
    """At each position, predict one of the items read so far: an autoencoder over the bag of items."""
    is_real = step.event >= 0
    start = np.broadcast_to(step.segments.start[:, None], is_real.shape)
    nothing_read = np.zeros((len(is_real), 1), np.int64)
    end = np.where(is_real, step.event + 1, start)
    return step.prediction_loss(np.hstack([nothing_read, start]), np.hstack([nothing_read, end]))


def skipgram(step: TrainingStep) -> Tensor:
    """From each item alone, predict one of the items within five events of it (word2vec, arXiv:1301.3781).

    Words and contexts share one table, with a linear map between them: the pool's.
    """
    row, position = np.nonzero(step.event >= 0)
    hop = step.rng.integers(1, SKIPGRAM_WINDOW + 1, len(row)) * step.rng.choice([-1, 1], len(row))
    neighbour = position + hop
    is_inside = (neighbour >= 0) & (neighbour < step.segments.length[row])
    item = np.asarray(step.sequences["item"])
    context = item[step.segments.start[row] + np.where(is_inside, neighbour, position)].astype(np.int64)
    usable = np.flatnonzero(is_inside & (context >= 0) & (item[step.event[row, position]] >= 0))
    flat = torch.from_numpy(row[usable] * step.event.shape[1] + position[usable]).to(step.device)
    words = F.normalize(step.model.pool(F.embedding(flat, step.input_vectors.flatten(0, 1))), dim=-1)
    return step.softmax_loss(words, context[usable])


def contrastive(step: TrainingStep) -> Tensor:
    """Two parts of one history are similar, parts of different users are not (CoLES, arXiv:2002.08232)."""
    first, second = _cropped_users(step), _cropped_users(step)
    similarity = first @ second.T * step.model.scale  # [B, B]
    same_user = torch.arange(len(similarity), device=step.device)
    return (F.cross_entropy(similarity, same_user) + F.cross_entropy(similarity.T, same_user)) / 2


def _cropped_users(step: TrainingStep) -> Tensor:
    """The users after a random part of each segment, [B, D]."""
    view = replace(step, segments=batches.random_crops(step.segments, step.rng))
    return view.users_at(view.segments.length)


def episodes(step: TrainingStep) -> Tensor:
    """A few members of an audience retrieve the others: prototypical networks (arXiv:1703.05175) over campaigns (MetaHeac).

    Each user's history is stopped at a random position. The audiences are the users of the batch who, after that, first
    meet an item's attribute (or an item, if there are no attributes). About half of the members are the seed; its mean
    vector has to rank the others above everybody else in the batch.
    """
    stop = (step.rng.random(len(step.segments)) * (step.segments.length + 1)).astype(np.int64)
    member, had_met = _episode_audiences(step, stop)
    if not member.shape[1]:
        return step.users.sum() * 0.0
    seed = member & (step.rng.random(member.shape) < 0.5)
    seeds, targets, excluded = (torch.from_numpy(f).to(step.device) for f in (seed, member & ~seed, had_met))
    return losses.prototypical_loss(step.users_at(stop), seeds, targets, excluded, step.model.scale)


def _episode_audiences(step: TrainingStep, stop: Rows) -> tuple[Flags, Flags]:
    """Who first meets each group after the stop, and who had met it before; both [B, G], only groups that are large enough."""
    start = step.segments.start
    before = _groups_met(step, start, start + stop)
    after = _groups_met(step, start + stop, start + np.minimum(stop + step.horizon, step.segments.length))
    member = after & ~before
    large = np.flatnonzero(member.sum(0) >= MIN_EPISODE_MEMBERS)
    return member[:, large], before[:, large]


def _groups_met(step: TrainingStep, begin: Rows, end: Rows) -> Flags:
    """Which of the most common attributes (or items) each user meets in the events begin : end, [B, G]."""
    user, event = _expand_ranges(begin, end)
    item = np.asarray(step.sequences["item"])[event].astype(np.int64)
    user, item = user[item >= 0], item[item >= 0]
    if len(step.vocabulary.attributes):
        offsets, codes = step.vocabulary.item_attributes
        row, attribute = _expand_ranges(offsets[item], offsets[item + 1])
        group, user = codes[attribute].astype(np.int64), user[row]
    else:
        group = item
    met = np.zeros((len(begin), EPISODE_GROUPS), bool)
    is_common = group < EPISODE_GROUPS  # attribute codes and item rows are in descending order of frequency
    met[user[is_common], group[is_common]] = True
    return met


def _expand_ranges(begin: Rows, end: Rows) -> tuple[Rows, Rows]:
    """For every position in every range begin : end, the number of its range, and the position."""
    count = end - begin
    number = np.repeat(np.arange(len(count)), count)
    return number, np.arange(len(number)) + np.repeat(begin - np.cumsum(count) + count, count)


OBJECTIVES: dict[str, Objective] = {
    "all_action": all_action,
    "next_item": next_item,
    "reconstruct": reconstruct,
    "skipgram": skipgram,
    "contrastive": contrastive,
    "episodes": episodes,
}

# Those that contrast the users of a batch with each other; the others are computed in parts of a batch.
NEED_WHOLE_BATCH = {contrastive, episodes}

_TERM = re.compile(r"(?:(\d+(?:\.\d+)?)\*)?([a-z_]+)")


def parse_objective(text: str) -> list[tuple[float, Objective]]:
    """The weights and objectives of a sum such as `0.5*episodes+all_action`. Raises SettingsError for an unknown one."""
    terms = []
    for part in text.replace(" ", "").split("+"):
        match = _TERM.fullmatch(part)
        if not match or match[2] not in OBJECTIVES:
            raise SettingsError(
                f"no objective is called {part[:40]!r}", f"--objective {'|'.join(OBJECTIVES)}, or a sum"
            )
        terms.append((float(match[1] or 1), OBJECTIVES[match[2]]))
    return terms

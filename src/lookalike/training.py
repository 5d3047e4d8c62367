"""Fits an encoder, the only optimiser loop there is, and embeds users with it.

At each position the user's vector learns to foresee an item drawn from the user's later events (the dense all-action
objective of PinnerFormer, arXiv:2205.04507, with one drawn action a position), by sampled softmax.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lookalike import batches, losses, next_items
from lookalike.encoders import FIRST_ITEM, Sizes, TwoTower
from lookalike.errors import SettingsError
from lookalike.sequences import Sequences, Vocabulary
from lookalike.settings import TrainSettings

TRAINING_EVENTS = 4_000_000  # events read in all, where the number of epochs was not given
MOST_EPOCHS = 20
POPULARITY_POWER = 0.75
INFERENCE_EVENTS = 65_536


@dataclass(frozen=True)
class Epoch:
    epoch: int
    loss: float
    figures: dict[str, float]
    events_per_second: float


@dataclass
class Progress:
    """All that a resumed fit needs beside the weights of the model and the optimiser."""

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What one fit works on: the events it may see, and the held-out ones it is judged by."""

    events: int  # in all, the held-out ones included
    as_of: int  # seconds since 1970: the end of all events
    known: Sequences
    watched: next_items.Held  # the held-out users whose figures choose the epoch
    held: next_items.Held  # the others, whose figures are reported
    window: int | None
    epochs: int
    settings: TrainSettings


Tensors = dict[str, torch.Tensor]
OnEpoch = Callable[[Progress, "Fit"], None]
OnEvents = Callable[[int, str], None]


def cut_for(sequences: Sequences, share: float) -> int:
    """The moment after which the last `share` of the events lie; the weights never see those."""
    time = np.asarray(sequences["time"])
    return int(np.quantile(time, 1 - share, method="higher")) if len(time) else sequences.as_of


def plan(sequences: Sequences, vocabulary: Vocabulary, settings: TrainSettings) -> Plan:
    known = sequences.before(cut_for(sequences, settings.holdout_share))
    rng = np.random.default_rng([settings.random_seed, 1])
    watched, held = next_items.halves(next_items.hold_out(known, sequences, len(vocabulary.items), rng))
    window = batches.window_for(sequences, settings.window_days)
    epochs = settings.epochs or max(1, min(MOST_EPOCHS, round(TRAINING_EVENTS / max(1, len(known["time"])))))
    return Plan(int(sequences.offsets[-1]), sequences.as_of, known, watched, held, window, epochs, settings)


def sizes(vocabulary: Vocabulary, settings: TrainSettings) -> Sizes:
    return Sizes(
        encoder=settings.encoder,
        dim=settings.dim,
        length=settings.length,
        items=len(vocabulary.items),
        attributes=len(vocabulary.attributes),
        event_types=len(vocabulary.codes["event_type"]),
    )


def model_for(sizes: Sizes, vocabulary: Vocabulary) -> TwoTower:
    offsets, codes = vocabulary.item_attributes
    return TwoTower(sizes, (torch.from_numpy(offsets), torch.from_numpy(codes.astype(np.int64))))


def device_for(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises SettingsError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {name!r} cannot be used here", "--device auto") from error
    return device


class Fit:
    """A model, its optimiser and where they stand. `run` goes on until the plan or the patience ends."""

    def __init__(self, plan: Plan, vocabulary: Vocabulary, device: torch.device) -> None:
        torch.manual_seed(plan.settings.random_seed)
        self.plan = plan
        self.device = device
        self.model = model_for(sizes(vocabulary, plan.settings), vocabulary).to(device)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=plan.settings.learning_rate, weight_decay=1e-3, betas=(0.9, 0.98)
        )
        self.progress = Progress()
        self.best: Tensors = self.weights()
        item = np.asarray(plan.known["item"])
        counts = np.bincount(item[item >= 0], minlength=max(1, len(vocabulary.items)))
        if counts.any():  # an item not seen yet is its attributes alone: its id means nothing, nor is it a negative
            with torch.no_grad():
                self.model.item_id.weight[torch.from_numpy(np.flatnonzero(counts == 0)) + FIRST_ITEM] = 0
        else:
            counts[:] = 1
        chance = counts**POPULARITY_POWER
        self.chance = torch.from_numpy(chance / chance.sum()).float().to(device)
        self.log_q = torch.log(self.chance * plan.settings.negatives)

    def weights(self) -> Tensors:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def run(self, on_epoch: OnEpoch, on_events: OnEvents) -> None:
        """Trains to the end and puts the best epoch's weights into the model."""
        plan, progress = self.plan, self.progress
        starts = batches.window_starts(plan.known, plan.window)
        later = batches.later_events(plan.known, plan.settings.horizon)
        while progress.epoch < plan.epochs and progress.epoch - progress.best_epoch < plan.settings.patience:
            loss, speed = self._epoch(starts, later, on_events)
            figures = next_items.measure(plan.watched, self.item_scores())
            progress.epoch += 1
            progress.history.append(Epoch(progress.epoch, loss, figures, speed))
            judged = figures["ndcg@20"] if len(plan.watched.users) else float(progress.epoch)
            if judged > progress.best:
                progress.best, progress.best_epoch, self.best = judged, progress.epoch, self.weights()
            on_epoch(progress, self)
        self.model.load_state_dict(self.best)

    def _epoch(self, starts: NDArray[np.int64], later: batches.Later, on_events: OnEvents) -> tuple[float, float]:
        """One pass; mean loss and events a second."""
        settings, known = self.plan.settings, self.plan.known
        # drawn from the epoch's number, so that a resumed fit goes on as an unbroken one would
        rng = np.random.default_rng([settings.random_seed, 2, self.progress.epoch])
        torch.manual_seed(settings.random_seed + self.progress.epoch + 1)
        stretches = batches.cut_up(known, starts, settings.length, rng)
        self.model.train()
        began, total, seen, losses_sum, steps = perf_counter(), int(stretches.length.sum()), 0, 0.0, 0
        planned = total * self.plan.epochs
        for chosen in batches.by_length(stretches, settings.batch_events, rng):
            part = stretches[chosen]
            self._set_rate((self.progress.epoch * total + seen) / max(1, planned))
            losses_sum += self._step(part, later, rng)
            seen, steps = seen + int(part.length.sum()), steps + 1
            speed = seen / (perf_counter() - began)
            on_events(self.progress.epoch * total + seen, f"epoch {self.progress.epoch + 1}  {speed:,.0f} events/s")
        return losses_sum / max(1, steps), seen / max(1e-9, perf_counter() - began)

    def _set_rate(self, done: float) -> None:
        """Warm up over the first 2 %, then a half cosine down to a tenth."""
        factor = min(1.0, done / 0.02) if done < 0.02 else 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.settings.learning_rate * max(factor, 0.01)

    def _step(self, part: batches.Stretches, later: batches.Later, rng: np.random.Generator) -> float:
        batch, position = batches.gather(self.plan.known, part, self.device)
        targets, where = _targets(self.plan.known, position, later, rng)
        if not len(targets):
            return 0.0
        target = torch.from_numpy(targets + FIRST_ITEM).to(self.device)
        negative = torch.multinomial(self.chance, self.plan.settings.negatives, replacement=True) + FIRST_ITEM
        # each item's vector is made once a step, however often it stands in the batch
        unique, inverse = torch.unique(torch.cat([batch.item.flatten(), target, negative]), return_inverse=True)
        vectors = self.model.items(unique)
        cells = batch.item.numel()
        # F.embedding, not indexing: its gradient is summed in a fixed order, so that a seed fixes the weights
        inputs, targeted, drawn = torch.split(F.embedding(inverse, vectors), [cells, len(target), len(negative)])
        users = self.model.users(batch, inputs.view(*batch.item.shape, -1))
        users = users.flatten(0, 1).index_select(0, torch.from_numpy(where).to(self.device)) * self.model.scale
        loss = losses.sampled_softmax(
            users,
            targeted,
            drawn,
            (self.log_q[target - FIRST_ITEM], self.log_q[negative - FIRST_ITEM]),
            target.unsqueeze(1) == negative,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def item_scores(self) -> next_items.Scores:
        """Dot products of held-out users, as they were at the cut, with all items."""
        known, plan = self.plan.known, self.plan
        latest = batches.latest(known, batches.window_starts(known, plan.window), plan.settings.length)
        items = item_vectors(self.model)
        return lambda users: user_vectors(self.model, known, latest[users]) @ items.T


def _targets(
    known: Sequences, position: NDArray[np.int64], later: batches.Later, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each place with later events one of their items, and the flat index of the place in the batch."""
    flat = position.ravel()
    where = np.flatnonzero(flat >= 0)
    begin, end = later.begin[flat[where]], later.end[flat[where]]
    drawn = begin + (rng.random(len(begin)) * (end - begin)).astype(np.int64)
    able = end > begin
    item = np.asarray(known["item"])[np.where(able, drawn, 0)].astype(np.int64)
    able &= item >= 0
    return item[able], where[able]


@torch.inference_mode()
def item_vectors(model: TwoTower) -> NDArray[np.float32]:
    """All items' vectors [V, D], in the users' space."""
    model.eval()
    index = torch.arange(FIRST_ITEM, model.sizes.items + FIRST_ITEM, device=model.item_id.weight.device)
    parts = [model.items(part) for part in torch.split(index, INFERENCE_EVENTS)]
    return torch.cat(parts).float().cpu().numpy() if parts else np.zeros((0, model.sizes.dim), np.float32)


@torch.inference_mode()
def user_vectors(model: TwoTower, sequences: Sequences, latest: batches.Stretches) -> NDArray[np.float32]:
    """The unit vector of each stretch's user [n, D]; zeros for an empty stretch."""
    model.eval()
    vectors = np.zeros((len(latest), model.sizes.dim), np.float32)
    for chosen in batches.by_length(latest, INFERENCE_EVENTS):
        part = latest[chosen]
        batch, _ = batches.gather(sequences, part, model.item_id.weight.device)
        output = model(batch)  # [B, T, D]
        last = torch.from_numpy(part.length - 1).to(output.device)
        vectors[chosen] = output[torch.arange(len(part), device=output.device), last].float().cpu().numpy()
    return vectors

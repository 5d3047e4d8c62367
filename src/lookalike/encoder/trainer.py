"""Fits an encoder, the only optimiser loop there is, and embeds users with it.

Item vectors start from the directions of the content block, so that the pool of a user's items means something before
the first step; what is learnt is by the objectives of `objectives.py`. Under `torchrun` every process takes its share
of the batches and gradients are averaged.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data import sequence_queries
from lookalike.data.sequences import COMMON_ITEMS, Sequences, Vocabulary
from lookalike.embeddings import interactions
from lookalike.embeddings.content import Content, fit_content
from lookalike.encoder import batches, distributed, next_item_metrics, objectives
from lookalike.encoder.inference import item_vectors, user_vectors
from lookalike.encoder.model import ENCODERS, FIRST_ITEM, ModelSizes, TwoTower, build_model
from lookalike.encoder.objectives import NegativeSampling, TrainingStep
from lookalike.errors import StateError
from lookalike.workspace.settings import TrainSettings

TOTAL_EVENTS = 4_000_000  # events read in all, where the number of epochs was not given


MAX_EPOCHS = 10


MIN_BATCH_EVENTS = 64  # events of one process in one step


FINISH_SHARE = 0.4  # of the best epoch's number: epochs over all events, once the figures are taken


FINISH_SCHEDULE_START = 0.4  # where they begin on the falling curve of the rate


STEPS_PER_EPOCH = (
    100  # in an epoch, where the size of a batch was not given: small logs need the steps more than the speed
)


BATCH_EVENTS = (512, 8_192)


POPULARITY_POWER = 0.75


# A row moves only when it is touched; with a dense Adam its momentum would carry it on for some ten steps.
TABLE_RATE_FACTOR = 3.0


NO_SEGMENTS = np.zeros(0, np.int64)


CHECK_EVERY = 16  # steps between two looks at whether the loss is still a number


class LossNotFinite(Exception):
    """The loss is no number any more."""


@dataclass(frozen=True)
class EpochFigures:
    epoch: int
    loss: float
    figures: dict[str, float]
    events_per_second: float


@dataclass
class FitState:
    """All that a resumed fit needs beside the weights of the model and the optimiser."""

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[EpochFigures] = field(default_factory=list)


@dataclass(frozen=True)
class FitPlan:
    """What one fit works on: the events it may see, and the held-out ones it is judged by."""

    events: int  # in all, the held-out ones included
    as_of: int  # seconds since 1970: the end of all events
    known: Sequences
    content: Content  # of the known events
    watched: next_item_metrics.HeldOutUsers  # the held-out users whose figures choose the epoch
    held: next_item_metrics.HeldOutUsers  # the others, whose figures are reported
    window: int | None
    epochs: int
    batch_events: int
    settings: TrainSettings


@dataclass(frozen=True)
class EpochPlan:
    """One epoch: over which events, and how far the whole fit has come by its start and comes by its end."""

    known: Sequences
    starts: NDArray[np.int64]
    number: int
    begun: float
    share: float


Tensors = dict[str, torch.Tensor]


OnEpoch = Callable[[FitState, "Fit"], None]


OnEvents = Callable[[int, str], None]


def holdout_cut(sequences: Sequences, share: float) -> int:
    """The moment after which the last `share` of the events lie; the weights never see those."""
    events = len(sequences["time"])
    return sequence_queries.time_at(sequences, math.ceil((events - 1) * (1 - share))) if events else sequences.as_of


def plan_fit(
    sequences: Sequences, vocabulary: Vocabulary, settings: TrainSettings, folder: Path | None = None
) -> FitPlan:
    """What will be fitted on what. The events before the cut are copied into files of a folder, or into memory."""
    known = sequence_queries.events_before(sequences, holdout_cut(sequences, settings.holdout_share), folder)
    rng = np.random.default_rng([settings.random_seed, 1])
    watched, held = next_item_metrics.halves(next_item_metrics.hold_out(known, sequences, vocabulary.common, rng))
    events = len(known["time"])
    sample = interactions.sample_users(known, settings.random_seed)
    return FitPlan(
        events=int(sequences.offsets[-1]),
        as_of=sequences.as_of,
        known=known,
        content=fit_content(sample, vocabulary, settings.content_dim, settings.random_seed),
        watched=watched,
        held=held,
        window=batches.choose_window(sequences, settings.window_days),
        epochs=settings.epochs or max(1, min(MAX_EPOCHS, round(TOTAL_EVENTS / max(1, events)))),
        batch_events=settings.batch_events or int(np.clip(events // STEPS_PER_EPOCH, *BATCH_EVENTS)),
        settings=settings,
    )


def model_sizes(sequences: Sequences, vocabulary: Vocabulary, settings: TrainSettings) -> ModelSizes:
    return ModelSizes(
        encoder=settings.encoder,
        dim=settings.dim,
        length=settings.length,
        items=len(vocabulary.items),
        attributes=len(vocabulary.attributes),
        fields={name: len(vocabulary.codes[name]) for name in sequences.fields},
        profile=len(vocabulary.profile),
    )


class Fit:
    """A model, its optimisers and where they stand. `run` goes on until the plan or the patience ends."""

    def __init__(self, plan: FitPlan, vocabulary: Vocabulary, device: torch.device) -> None:
        settings = plan.settings
        torch.manual_seed(settings.random_seed)
        self.plan, self.vocabulary, self.device = plan, vocabulary, device
        model = build_model(model_sizes(plan.known, vocabulary, settings), vocabulary, settings.dropout)
        self.objective = objectives.parse_objective(settings.objective or ENCODERS[settings.encoder].objective)
        counts = sequence_queries.popularity(plan.known, max(1, len(vocabulary.items)))
        if ENCODERS[settings.encoder].starts_from_content:
            initialise_from_content(model, plan.content)
        self.counts = counts
        self.sampling = _negative_sampling(model, counts, settings.negatives, device)
        self.model = model.to(device)
        tables = self.model.tables()
        dense = [value for value in self.model.parameters() if all(value is not table for table in tables)]
        rate, betas = settings.learning_rate, (0.9, 0.98)
        # a step touches few rows of the tables: the others cost nothing
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "dense": torch.optim.AdamW(dense, lr=rate, betas=betas, weight_decay=1e-3, fused=True),
            "tables": torch.optim.SparseAdam(tables, lr=rate * TABLE_RATE_FACTOR, betas=betas),
        }
        self.progress = FitState()
        self.best: Tensors = self.weights()

    def forget_unseen(self) -> None:
        """Takes from items without a training event what other weights knew of their ids."""
        _negative_sampling(self.model, self.counts, self.plan.settings.negatives, self.device)
        self.best = self.weights()

    def weights(self) -> Tensors:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def run(self, on_epoch: OnEpoch, on_events: OnEvents, on_note: Callable[[str], None] = lambda note: None) -> None:
        """Trains to the end and puts the best epoch's weights into the model.

        A loss that turns into no number ends it with the last good epoch; in the first epoch it raises StateError.
        """
        plan, progress = self.plan, self.progress
        starts = batches.window_starts(plan.known, plan.window)
        while progress.epoch < plan.epochs and progress.epoch - progress.best_epoch < plan.settings.patience:
            turn = EpochPlan(plan.known, starts, progress.epoch, progress.epoch / plan.epochs, 1 / plan.epochs)
            try:
                loss, speed = self._epoch(turn, on_events)
            except LossNotFinite as error:
                if not progress.epoch:
                    raise StateError("the loss turned into no number", "a smaller --learning-rate") from error
                on_note(f"the loss turned into no number in epoch {progress.epoch + 1}; the best before it is kept")
                break
            figures = next_item_metrics.measure(plan.watched, self.item_scores())
            progress.epoch += 1
            progress.history.append(EpochFigures(progress.epoch, loss, figures, speed))
            judged = distributed.agreed_figure(figures["ndcg@20"] if len(plan.watched.users) else float(progress.epoch))
            if judged > progress.best:
                progress.best, progress.best_epoch, self.best = judged, progress.epoch, self.weights()
            on_epoch(progress, self)
        self.model.load_state_dict(self.best)

    def finish(self, everything: Sequences, on_events: OnEvents) -> int:
        """Some more epochs over all events, the held-out ones too, at the falling end of the rate; gives their number.

        To be called when all figures are taken: what is stored should know the last days as well.
        """
        epochs, counts = self.epochs_to_finish, sequence_queries.popularity(everything, self.model.sizes.items)
        if epochs and counts.any():
            self.sampling = _negative_sampling(self.model, counts, self.plan.settings.negatives, self.device)
        starts = batches.window_starts(everything, self.plan.window)
        try:
            for epoch in range(epochs):
                share = (1 - FINISH_SCHEDULE_START) / epochs
                number = self.plan.epochs + epoch  # no number that `run` draws from
                self._epoch(
                    EpochPlan(everything, starts, number, FINISH_SCHEDULE_START + epoch * share, share), on_events
                )
        except LossNotFinite:
            self.model.load_state_dict(self.best)
            return 0
        return epochs

    @property
    def epochs_to_finish(self) -> int:
        return (
            round(FINISH_SHARE * self.progress.best_epoch) if self.plan.settings.finish else 0
        )  # none after a single epoch

    def _epoch(self, turn: "EpochPlan", on_events: OnEvents) -> tuple[float, float]:
        """One pass; mean loss and events a second of all processes."""
        settings, known, (rank, count) = self.plan.settings, turn.known, distributed.rank_and_world_size()
        # drawn from the epoch's number, so that a resumed fit goes on as an unbroken one would
        shared = np.random.default_rng([settings.random_seed, 2, turn.number])
        own = np.random.default_rng([settings.random_seed, 3, turn.number, rank])
        torch.manual_seed(settings.random_seed + (turn.number + 1) * count + rank)
        stretches = batches.split_histories(known, turn.starts, settings.length, shared)
        gap = _hidden_seconds(known, settings.mask_hours, shared)
        # shuffled, so that the first of them are a sample: a second pass over a large log teaches little that is new
        # several processes share a batch, so that an epoch has as many steps as with one
        batch = max(MIN_BATCH_EVENTS, self.plan.batch_events // count)
        parts = list(batches.batches_by_length(stretches, batch, shared))
        parts = parts[: max(count, settings.epoch_events // batch)]
        parts = parts[: len(parts) - len(parts) % count] or parts * count  # each process as many
        total = max(1, sum(int(stretches.length[part].sum()) for part in parts))
        # of a large log most is not read in this epoch: only what this process reads comes into memory
        mine = parts[rank::count]
        read = stretches[np.concatenate([NO_SEGMENTS, *mine])]
        known, own_stretches = batches.copy_segments(known, read, settings.horizon, gap)
        later = batches.future_events(known, settings.horizon, gap[read.user])
        ends = np.cumsum([0, *map(len, mine)])
        self.model.train()
        began, seen = perf_counter(), 0
        losses_sum = torch.zeros((), device=self.device)
        for done, first in enumerate(range(0, len(parts), count), 1):
            part = own_stretches[np.arange(ends[done - 1], ends[done])]
            self._set_rate(turn.begun + turn.share * seen / total)
            losses_sum += self._step(known, part, later, own)
            if done % CHECK_EVERY == 0 or first + count >= len(parts):
                self._check(losses_sum)
            seen += sum(int(stretches.length[other].sum()) for other in parts[first : first + count])
            speed = seen / (perf_counter() - began)
            on_events(turn.number * total + seen, f"epoch {turn.number + 1}  {speed:,.0f} events/s")
        return losses_sum.item() / max(1, len(parts) // count), seen / max(1e-9, perf_counter() - began)

    def _check(self, losses_sum: torch.Tensor) -> None:
        if not distributed.agreed_figure(float(torch.isfinite(losses_sum)), worst=True):
            raise LossNotFinite

    def _set_rate(self, done: float) -> None:
        """Warm up over the first 2 %, then a half cosine down to a tenth."""
        factor = min(1.0, done / 0.02) if done < 0.02 else 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done)))
        rate = self.plan.settings.learning_rate * max(factor, 0.01)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rate * TABLE_RATE_FACTOR if name == "tables" else rate

    def _step(
        self, known: Sequences, part: batches.Segments, later: batches.FutureEvents, rng: np.random.Generator
    ) -> torch.Tensor:
        horizon = self.plan.settings.horizon
        step = TrainingStep(self.model, known, self.vocabulary, part, later, horizon, self.sampling, rng, self.device)
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        # half the bits halve the work of a GPU; a CPU has to emulate them
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = torch.stack([weight * objective(step) for weight, objective in self.objective]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.model)
        dense = [value for group in self.optimisers["dense"].param_groups for value in group["params"]]
        torch.nn.utils.clip_grad_norm_(dense, 1.0)
        for optimiser in self.optimisers.values():
            optimiser.step()
        return loss.detach()

    def item_scores(self) -> next_item_metrics.Scores:
        """Dot products of held-out users, as they were at the cut, with all items."""
        known, plan = self.plan.known, self.plan
        latest = batches.latest_segments(known, batches.window_starts(known, plan.window), plan.settings.length)
        items = item_vectors(self.model)
        return lambda users: user_vectors(self.model, known, latest[users]) @ items.T


def _hidden_seconds(known: Sequences, hours: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How far behind each user's present the known events end: for half of the users up to so many hours.

    Without it the vector would hang on the last visit, which says what is bought next and not who somebody is (TransAct,
    arXiv:2306.00248, masks a random recent window for the same reason).
    """
    if not hours:
        return np.zeros(known.users, np.int64)
    return np.where(rng.random(known.users) < 0.5, rng.integers(0, hours * 3_600 + 1, known.users), 0)


def _negative_sampling(
    model: TwoTower, counts: NDArray[np.int64], negatives: int, device: torch.device
) -> NegativeSampling:
    """Negatives by a power of their count. An item not seen yet is none, and is its attributes alone: its id means nothing."""
    if counts.any():
        with torch.no_grad():
            unseen = torch.from_numpy(np.flatnonzero(counts == 0))
            own = model.id_row[unseen[unseen < len(model.id_row)]]
            model.item_id.weight[own[own < COMMON_ITEMS + FIRST_ITEM]] = 0
    else:
        counts = np.ones_like(counts)
    chance = counts**POPULARITY_POWER
    return NegativeSampling(torch.from_numpy(chance / chance.sum()).float().to(device), negatives)


@torch.no_grad()
def initialise_from_content(model: TwoTower, content: Content) -> None:
    """Puts the directions of the content block into the item tower, at unit length on average."""
    items, dim = content.items, model.sizes.dim
    directions = (content.components * np.sqrt(content.idf)[:, None])[:, :dim].astype(np.float32)
    attributes = content.indicator.multiply(1 / np.maximum(content.indicator.sum(1), 1)).tocsr()
    together = directions[:items] + attributes[:items] @ directions[items:]
    length = float(np.sqrt((together**2).sum(1).mean())) if items else 0.0
    if length < interactions.NEGLIGIBLE:
        return
    width = directions.shape[1]
    for table, rows in ((model.item_id, directions[:items]), (model.attribute, directions[items:])):
        table.weight[:, width:] *= 0.1
        if table is model.item_id:
            own = model.id_row[:items]
            first = torch.where(own < COMMON_ITEMS + FIRST_ITEM)[0]  # ids that share a row start anywhere
            table.weight[own[first], :width] = torch.from_numpy(rows)[first] / length
        elif len(rows):
            table.weight[:, :width] = torch.from_numpy(rows) / length

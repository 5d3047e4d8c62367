"""Trains a model: the only optimisation loop over events.

The losses come from `objectives`, the batches of an epoch from `epoch_batches`. Under `torchrun` each process reads its
share of every batch, and gradients are averaged.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np
import torch

from lookalike.data import sequence_queries
from lookalike.data.item_lives import ItemLives
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import batch_parts, batches, distributed, next_item_metrics
from lookalike.encoder.batches import Segments
from lookalike.encoder.bodies.dropout import masks_from
from lookalike.encoder.epoch_batches import Epoch, EpochBatches, draw_epoch
from lookalike.encoder.fit_plan import FitPlan
from lookalike.encoder.inference import item_vectors, user_vectors
from lookalike.encoder.initial_weights import clear_untrained_ids, initial_model
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.negatives import NegativeSampling
from lookalike.encoder.objectives import NEED_WHOLE_BATCH, parse_objective
from lookalike.encoder.optimisers import Optimisers
from lookalike.encoder.results import EpochFigures
from lookalike.encoder.threads import OwnThreads, own_threads
from lookalike.encoder.training_step import TrainingStep
from lookalike.errors import StateError
from lookalike.workspace.random_streams import Stream, generator

FINISH_SHARE = 0.4  # epochs over all events after the evaluation, as a share of the best epoch's number
FINISH_SCHEDULE_START = 0.4  # where they start on the falling part of the learning-rate schedule
CHECK_EVERY = 16  # steps between two checks that the loss is finite

Tensors = dict[str, torch.Tensor]


class LossNotFinite(Exception):
    """The loss became NaN or infinite."""


@dataclass
class FitState:
    """How far a fit has come: all that a resumed fit needs besides the weights of the model and the optimisers."""

    epoch: int = 0  # finished epochs
    best: float = -1.0  # the best epoch's figure
    best_epoch: int = 0
    history: list[EpochFigures] = field(default_factory=list)


@dataclass(frozen=True)
class FitOutcome:
    """How a fit ended. The model has the weights of the best epoch."""

    epochs: int
    best_epoch: int
    diverged_epoch: int | None = None  # the epoch in which the loss became NaN or infinite, which ended the fit


OnEpoch = Callable[[FitState, "Fit"], None]
OnEvents = Callable[[int, str], None]  # events read since the first epoch, and details such as the speed


def _ignore_epoch(state: FitState, fit: "Fit") -> None:
    return


def _ignore_events(events: int, detail: str) -> None:
    return


class Fit:
    """A model in training, its optimisers, and how far they have come."""

    def __init__(self, plan: FitPlan, vocabulary: Vocabulary, device: torch.device) -> None:
        settings = plan.settings
        torch.manual_seed(settings.random_seed)
        self.plan, self.vocabulary, self.device = plan, vocabulary, device
        self.objective = parse_objective(settings.objective or ENCODERS[settings.encoder].objective)
        self.counts = sequence_queries.popularity(plan.known, max(1, len(vocabulary.items)))
        self.sampling = NegativeSampling.from_counts(self.counts, settings.negatives, device, plan.item_lives)
        model = initial_model(plan, vocabulary)
        clear_untrained_ids(model, self.counts)
        self.model = model.to(device)
        self.optimisers = Optimisers(self.model, settings.learning_rate)
        self.progress = FitState()
        self.best: Tensors = self.weights()

    def forget_unseen(self) -> None:
        """Clears the ids of items without a training event, after weights were copied in from another run."""
        clear_untrained_ids(self.model, self.counts)
        self.best = self.weights()

    def weights(self) -> Tensors:
        """A copy of the model's current weights."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def run(self, on_epoch: OnEpoch = _ignore_epoch, on_events: OnEvents = _ignore_events) -> FitOutcome:
        """Trains until the epochs or the patience run out, then loads the best epoch's weights into the model.

        Training that diverges ends with the best epoch before. Raises StateError if that happens in the first epoch.
        """
        plan, state, diverged_epoch = self.plan, self.progress, None
        starts = batches.window_starts(plan.known, plan.window)
        while state.epoch < plan.epochs and state.epoch - state.best_epoch < plan.settings.patience:
            epoch = Epoch(
                state.epoch, plan.known, starts, plan.hidden_seconds, state.epoch / plan.epochs, 1 / plan.epochs
            )
            try:
                loss, events_per_second = self._train_epoch(epoch, on_events)
            except LossNotFinite as error:
                if not state.epoch:
                    raise _diverged_error() from error
                diverged_epoch = state.epoch + 1
                break
            self._evaluate_epoch(loss, events_per_second)
            on_epoch(state, self)
        self.model.load_state_dict(self.best)
        return FitOutcome(state.epoch, state.best_epoch, diverged_epoch)

    def _evaluate_epoch(self, loss: float, events_per_second: float) -> None:
        """Counts the epoch, and keeps its weights if it is the best so far."""
        watched, state = self.plan.watched, self.progress
        figures = next_item_metrics.measure(watched, self.item_scores()) if len(watched.users) else {}
        state.epoch += 1
        state.history.append(
            EpochFigures(epoch=state.epoch, loss=loss, figures=figures, events_per_second=events_per_second)
        )
        # without held-out users the last epoch is the best
        figure = distributed.value_of_first(figures["ndcg@20"] if figures else float(state.epoch))
        if figure > state.best:
            state.best, state.best_epoch, self.best = figure, state.epoch, self.weights()

    @property
    def epochs_to_finish(self) -> int:
        """The number of epochs over all events that `finish` trains; 0 after a single epoch."""
        return round(FINISH_SHARE * self.progress.best_epoch) if self.plan.settings.finish else 0

    def finish(self, everything: Sequences, on_events: OnEvents = _ignore_events) -> int:
        """Trains some more epochs over all events, held-out ones included, at a falling rate; returns their number.

        To be called after the evaluation: the stored weights should know the last days as well. If training diverges,
        the weights before are restored and 0 is returned.
        """
        plan, epochs = self.plan, self.epochs_to_finish
        counts = sequence_queries.popularity(everything, self.model.sizes.items)
        if epochs and counts.any():
            clear_untrained_ids(self.model, counts)
            lives = ItemLives.of(everything, len(counts)) if plan.item_lives else None
            self.sampling = NegativeSampling.from_counts(counts, plan.settings.negatives, self.device, lives)
        starts = batches.window_starts(everything, plan.window)
        try:
            for i in range(epochs):
                share = (1 - FINISH_SCHEDULE_START) / epochs
                number = plan.epochs + i  # not used by `run`, so other random draws
                begin = FINISH_SCHEDULE_START + i * share
                self._train_epoch(Epoch(number, everything, starts, plan.hidden_seconds, begin, share), on_events)
        except LossNotFinite:
            self.model.load_state_dict(self.best)
            return 0
        return epochs

    def _train_epoch(self, epoch: Epoch, on_events: OnEvents) -> tuple[float, float]:
        """Trains one epoch; returns the mean loss of this process, and the events per second of all of them."""
        seed, (rank, processes) = self.plan.settings.random_seed, distributed.rank_and_world_size()
        rng = generator(seed, Stream.TRAINING_PROCESS, epoch.number, rank)
        torch.manual_seed(seed + (epoch.number + 1) * processes + rank)
        drawn = draw_epoch(epoch, self.plan.settings, self.plan.batch_events)
        self.model.train()
        total, events, started = max(1, drawn.events), 0, perf_counter()
        loss_sum = torch.zeros((), device=self.device)
        with own_threads() as threads:
            for step, step_events in enumerate(drawn.step_events):
                self.optimisers.set_rate(epoch.schedule_start + epoch.schedule_share * events / total)
                loss_sum += self._train_step(drawn, step, rng, threads)
                if (step + 1) % CHECK_EVERY == 0 or step + 1 == len(drawn):
                    _check_finite(loss_sum)
                events += step_events
                speed = events / (perf_counter() - started)
                on_events(epoch.number * total + events, f"epoch {epoch.number + 1}  {speed:,.0f} events/s")
        return loss_sum.item() / max(1, len(drawn)), events / max(1e-9, perf_counter() - started)

    def _train_step(
        self, drawn: EpochBatches, step: int, rng: np.random.Generator, threads: OwnThreads
    ) -> torch.Tensor:
        """Updates the weights by one batch; returns its loss."""
        segments = drawn.step_segments(step)
        parts = batch_parts.parts_of(segments) if self._splits_batches else [segments]
        losses = [
            partial(self._loss, drawn, part, part_rng)
            for part, part_rng in zip(parts, rng.spawn(len(parts)), strict=True)
        ]
        shares = [part.length.sum() / segments.length.sum() for part in parts]
        loss = batch_parts.set_gradients(self.optimisers.weights, losses, shares, threads)
        distributed.average_gradients(self.model)
        self.optimisers.step()
        return loss

    @property
    def _splits_batches(self) -> bool:
        whole = any(objective in NEED_WHOLE_BATCH for _, objective in self.objective)
        return self.device.type == "cpu" and not whole

    def _loss(self, drawn: EpochBatches, segments: Segments, rng: np.random.Generator) -> torch.Tensor:
        """The loss of a batch or of a part of it; all chance in it is drawn from `rng`."""
        training_step = TrainingStep(
            model=self.model,
            vocabulary=self.vocabulary,
            sequences=drawn.sequences,
            segments=segments,
            future=drawn.future,
            horizon=self.plan.settings.horizon,
            sampling=self.sampling,
            rng=rng,
            device=self.device,
        )
        masks = torch.Generator().manual_seed(int(rng.integers(2**63)))
        # half the bits halve the work of a GPU; a CPU would have to emulate them
        with masks_from(masks), torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return torch.stack([weight * objective(training_step) for weight, objective in self.objective]).sum()

    def item_scores(self) -> next_item_metrics.ItemScorer:
        """The scores of all items for held-out users as they were at the cut."""
        known, plan = self.plan.known, self.plan
        latest = batches.latest_segments(known, batches.window_starts(known, plan.window), plan.settings.length)
        items = item_vectors(self.model)
        return lambda users: user_vectors(self.model, known, latest[users]) @ items.T


def _check_finite(loss: torch.Tensor) -> None:
    """Raises LossNotFinite if the loss is NaN or infinite in any process, so that all of them stop."""
    if not distributed.all_true(bool(torch.isfinite(loss))):
        raise LossNotFinite


def _diverged_error() -> StateError:
    return StateError(
        "training diverged in the first epoch: the loss became NaN or infinite",
        "set a smaller learning_rate in [train] of lookalike.toml",
    )

"""The plan of a fit: which events the weights may see, which users they are evaluated on, and how much is read."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookalike.data import sequence_queries
from lookalike.data.item_lives import ItemLives, items_come_and_go, median_age
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import interactions
from lookalike.embeddings.content import Content, fit_content
from lookalike.encoder import batches, next_item_metrics
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import TrainSettings

# Defaults of settings that follow from the size of the log.
TOTAL_EVENTS = 4_000_000  # read in all epochs together, if the number of epochs is not set
MAX_EPOCHS = 10
STEPS_PER_EPOCH = 100  # if the batch size is not set: small logs need more steps rather than faster ones
BATCH_EVENTS = (512, 8_192)  # smallest and largest batch


@dataclass(frozen=True)
class FitPlan:
    """The input of one fit. `known` are the events before the cut, the only ones its weights are trained on."""

    events: int  # number of all events, held-out ones included
    as_of: int  # end of all events, in seconds since 1970
    known: Sequences
    content: Content  # fitted on the known events
    watched: HeldOutUsers  # held-out users whose figures choose the best epoch
    held: HeldOutUsers  # the other held-out users, whose figures are reported
    window: int | None  # days
    item_lives: ItemLives | None  # where items come and go, as news does
    hidden_seconds: int  # at most, after a position: its targets are later
    epochs: int  # at most
    batch_events: int
    settings: TrainSettings


def plan_fit(
    sequences: Sequences, vocabulary: Vocabulary, settings: TrainSettings, folder: Path | None = None
) -> FitPlan:
    """The plan of a fit on a log. The events before the cut are copied into files of a folder, or into memory."""
    known = sequence_queries.events_before(sequences, holdout_cut(sequences, settings.holdout_share), folder)
    rng = generator(settings.random_seed, Stream.NEXT_ITEM_HOLDOUT)
    watched, held = next_item_metrics.halves(next_item_metrics.hold_out(known, sequences, vocabulary.common, rng))
    events = len(known["time"])
    sample = interactions.sample_users(known, settings.random_seed)
    lives, longest = ItemLives.of(known, len(vocabulary.items)), settings.mask_hours * 3_600
    is_news = items_come_and_go(known, lives)
    return FitPlan(
        events=int(sequences.offsets[-1]),
        as_of=sequences.as_of,
        known=known,
        content=fit_content(sample, vocabulary, settings.content_dim, settings.random_seed),
        watched=watched,
        held=held,
        window=batches.choose_window(sequences, settings.window_days),
        item_lives=lives if is_news else None,
        # of news not longer than items are of interest
        hidden_seconds=min(longest, median_age(known, lives)) if is_news else longest,
        epochs=settings.epochs or max(1, min(MAX_EPOCHS, round(TOTAL_EVENTS / max(1, events)))),
        batch_events=settings.batch_events or int(np.clip(events // STEPS_PER_EPOCH, *BATCH_EVENTS)),
        settings=settings,
    )


def holdout_cut(sequences: Sequences, share: float) -> int:
    """The moment from which on the last `share` of the events are held out, in seconds since 1970."""
    events = len(sequences["time"])
    return sequence_queries.time_at(sequences, math.ceil((events - 1) * (1 - share))) if events else sequences.as_of

"""The batches of one epoch: which segments of which histories each process reads, copied into memory."""

from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Rows, Seconds
from lookalike.data.sequences import Sequences
from lookalike.encoder import batches, distributed
from lookalike.encoder.batches import FutureEvents, Segments
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import TrainSettings

MIN_BATCH_EVENTS = 64  # of one process in one step


@dataclass(frozen=True)
class Epoch:
    """One pass over the events, and the part of the learning-rate schedule that it covers."""

    number: int
    sequences: Sequences
    starts: Rows  # where each user's window starts, [N]
    hidden_seconds: int  # at most, after a position
    schedule_start: float
    schedule_share: float


@dataclass(frozen=True)
class EpochBatches:
    """What one process reads in an epoch. The sequences hold only its segments, each as a user of its own."""

    sequences: Sequences
    segments: Segments
    future: FutureEvents
    bounds: Rows  # [steps + 1]: step i reads the segments bounds[i] : bounds[i + 1]
    step_events: list[int]  # number of events that all processes together read in each step

    def __len__(self) -> int:
        return len(self.step_events)

    @property
    def events(self) -> int:
        """The number of events of all processes and steps."""
        return sum(self.step_events)

    def step_segments(self, step: int) -> Segments:
        """The segments that this process reads in a step, from 0."""
        return self.segments[np.arange(self.bounds[step], self.bounds[step + 1])]


def draw_epoch(epoch: Epoch, settings: TrainSettings, batch_events: int) -> EpochBatches:
    """The batches of an epoch, drawn by its number, so that a resumed fit continues as an uninterrupted one would."""
    rank, processes = distributed.rank_and_world_size()
    rng = generator(settings.random_seed, Stream.EPOCH, epoch.number)  # the same in every process
    segments = batches.split_histories(epoch.sequences, epoch.starts, settings.length, rng)
    gap = hidden_seconds(epoch.sequences, epoch.hidden_seconds, rng)
    parts = _parts(segments, settings.epoch_events, batch_events, processes, rng)
    own = parts[rank::processes]
    chosen = segments[np.concatenate([np.zeros(0, np.int64), *own])]
    # a large log is mostly not read in one epoch: only what this process reads is copied into memory
    copied, copied_segments = batches.copy_segments(epoch.sequences, chosen, settings.horizon, gap)
    events = [int(segments.length[part].sum()) for part in parts]
    return EpochBatches(
        sequences=copied,
        segments=copied_segments,
        future=batches.future_events(copied, settings.horizon, gap[chosen.user]),
        bounds=np.cumsum([0, *map(len, own)]),
        step_events=[sum(events[first : first + processes]) for first in range(0, len(parts), processes)],
    )


def _parts(
    segments: Segments, epoch_events: int, batch_events: int, processes: int, rng: np.random.Generator
) -> list[Rows]:
    """The segments of each process in each step: those of step 0 for every process, then those of step 1, ….

    Processes share a batch, so that an epoch has as many steps as with one process. Batches are shuffled: of a log with
    more than `epoch_events`, the first of them are a random sample.
    """
    size = max(MIN_BATCH_EVENTS, batch_events // processes)
    parts = list(batches.batches_by_length(segments, size, rng))
    parts = parts[: max(processes, epoch_events // size)]
    whole_steps = parts[: len(parts) - len(parts) % processes]
    return whole_steps or parts * processes  # every process needs the same number of steps


def hidden_seconds(sequences: Sequences, longest: int, rng: np.random.Generator) -> Seconds:
    """For each user, how long after a position events are skipped as targets, [N]: up to `longest` for half of them.

    Otherwise vectors would depend on the last visit, which predicts the next purchase but does not characterise the
    user (TransAct, arXiv:2306.00248, masks a random recent window for the same reason).
    """
    if not longest:
        return np.zeros(sequences.users, np.int64)
    is_hidden = rng.random(sequences.users) < 0.5
    return np.where(is_hidden, rng.integers(0, longest + 1, sequences.users), 0)

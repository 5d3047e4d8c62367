"""Each process reads its own share of an epoch, and all together read the events that one process would."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike.data.sequences import Sequences
from lookalike.encoder import batches, distributed, epoch_batches
from lookalike.encoder.epoch_batches import Epoch, EpochBatches
from planted_log import SMALL
from synthetic_sequences import sequences_of

SETTINGS = replace(SMALL, length=8, mask_hours=0)


def log_of(users: int) -> Sequences:
    rng = np.random.default_rng(0)
    return sequences_of([sorted(rng.integers(0, 10_000, rng.integers(1, 30)).tolist()) for _ in range(users)])


def epoch_of(sequences: Sequences, number: int = 0) -> Epoch:
    return Epoch(number, sequences, batches.window_starts(sequences, None), 0, 0.0, 1.0)


def events_read(drawn: EpochBatches) -> list[tuple[int, int]]:
    """Time and item of every event that a process reads, step by step."""
    segments = [drawn.step_segments(step) for step in range(len(drawn))]
    positions = np.concatenate(
        [np.arange(start, start + n) for part in segments for start, n in zip(part.start, part.length, strict=True)]
    )
    return list(zip(drawn.sequences["time"][positions], drawn.sequences["item"][positions], strict=True))


def drawn_by(monkeypatch: pytest.MonkeyPatch, sequences: Sequences, processes: int) -> list[EpochBatches]:
    """What each process reads."""
    drawn = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank_and_world_size", lambda rank=rank: (rank, processes))
        drawn.append(epoch_batches.draw_epoch(epoch_of(sequences), SETTINGS, 256))
    return drawn


def test_one_process_reads_every_event_once() -> None:
    sequences = log_of(60)
    drawn = epoch_batches.draw_epoch(epoch_of(sequences), SETTINGS, 256)
    expected = list(zip(sequences["time"], sequences["item"], strict=True))
    assert sorted(events_read(drawn)) == sorted(expected)
    assert drawn.events == len(expected)
    assert len(drawn) > 2
    for step, events in enumerate(drawn.step_events):
        assert drawn.step_segments(step).length.sum() == events


def test_processes_share_each_step_and_take_equally_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = log_of(80)
    first, second = drawn_by(monkeypatch, sequences, processes=2)
    assert len(first) == len(second) > 2
    assert first.step_events == second.step_events
    both = [drawn.step_segments(step).length.sum() for step in range(len(first)) for drawn in (first, second)]
    assert np.add.reduceat(both, np.arange(0, len(both), 2)).tolist() == first.step_events
    assert set(events_read(first)) != set(events_read(second))


def test_a_log_with_fewer_batches_than_processes_is_read_by_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = sequences_of([[1, 2, 3]])
    drawn = drawn_by(monkeypatch, sequences, processes=3)
    assert [len(each) for each in drawn] == [1, 1, 1]
    assert all(len(events_read(each)) == 3 for each in drawn)


def test_an_epoch_reads_a_bounded_number_of_events_and_other_ones_each_time() -> None:
    sequences, settings = log_of(400), replace(SETTINGS, epoch_events=1_000)
    epochs = [epoch_batches.draw_epoch(epoch_of(sequences, number), settings, 256) for number in (0, 1, 0)]
    assert all(drawn.events <= 1_000 < len(sequences["time"]) for drawn in epochs)
    assert all(len(drawn.sequences["time"]) < 3_000 for drawn in epochs)  # with the events that may be targets
    assert events_read(epochs[0]) == events_read(epochs[2])
    assert events_read(epochs[0]) != events_read(epochs[1])


def test_recent_hours_are_hidden_from_about_half_of_the_users() -> None:
    sequences = sequences_of([[1]] * 2_000)
    seconds = epoch_batches.hidden_seconds(sequences, 24 * 3_600, np.random.default_rng(0))
    assert 0.45 < np.mean(seconds > 0) < 0.55
    assert seconds.max() <= 24 * 3_600
    assert not epoch_batches.hidden_seconds(sequences, 0, np.random.default_rng(0)).any()

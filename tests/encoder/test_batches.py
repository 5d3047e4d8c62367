"""Segments, future events and padded batches, compared with plain Python loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.sequences import SECONDS_PER_DAY
from lookalike.encoder import batches
from lookalike.encoder.batches import Segments
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, PADDING
from synthetic_sequences import sequences_of

CPU = torch.device("cpu")


def histories(max_events: int = 30) -> st.SearchStrategy[list[list[int]]]:
    """Few distinct moments, so that many events share one; some users have no event."""
    return st.lists(st.lists(st.integers(0, 12), max_size=max_events).map(sorted), min_size=1, max_size=8)


# --- segments --------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 9), st.integers(0, 99), st.none() | st.integers(1, 12))
def test_segments_cover_every_event_of_the_window_exactly_once(
    times: list[list[int]], length: int, seed: int, window: int | None
) -> None:
    in_days = [[t * SECONDS_PER_DAY for t in user] for user in times]
    sequences = sequences_of(in_days, as_of=13 * SECONDS_PER_DAY)
    starts = batches.window_starts(sequences, window)
    segments = batches.split_histories(sequences, starts, length, np.random.default_rng(seed))
    assert (segments.length > 0).all()
    assert (segments.length <= length).all()
    covered = np.zeros(len(sequences.owner), int)
    for start, size, user in zip(segments.start, segments.length, segments.user, strict=True):
        assert set(sequences.owner[start : start + size]) == {user}
        covered[start : start + size] += 1
    oldest = 13 - window if window else 0
    assert covered.tolist() == [int(t >= oldest) for user in times for t in user]


def test_cuts_in_a_long_history_are_random_and_reach_every_position() -> None:
    sequences = sequences_of([list(range(40))])
    rng = np.random.default_rng(0)
    starts = sequences.offsets[:-1]
    first_lengths = {int(batches.split_histories(sequences, starts, 8, rng).length[0]) for _ in range(200)}
    assert first_lengths == set(range(1, 9))


@pytest.mark.parametrize("length", [1, 5])
def test_users_without_events_have_no_segments_and_no_batches(length: int) -> None:
    sequences = sequences_of([[], [], []])
    starts = batches.window_starts(sequences, 30)
    segments = batches.split_histories(sequences, starts, length, np.random.default_rng(0))
    assert len(segments) == 0
    assert list(batches.batches_by_length(segments, 10, np.random.default_rng(0))) == []


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, 12))
def test_window_starts_at_the_first_event_that_is_recent_enough(times: list[list[int]], days: int) -> None:
    sequences = sequences_of([[t * SECONDS_PER_DAY for t in user] for user in times], as_of=13 * SECONDS_PER_DAY)
    for row, (start, user) in enumerate(zip(batches.window_starts(sequences, days), times, strict=True)):
        assert start - sequences.offsets[row] == sum(t < 13 - days for t in user)


def test_latest_segment_ends_with_the_history_and_stays_in_the_window() -> None:
    sequences = sequences_of([[0, 1, 2, 3, 4], [], [2], [0, 0]])
    starts = sequences.offsets[:-1] + np.array([2, 0, 0, 2])
    latest = batches.latest_segments(sequences, starts, 2)
    assert latest.start.tolist() == [3, 5, 5, 8]
    assert latest.length.tolist() == [2, 0, 1, 0]


def test_window_is_chosen_by_the_age_of_last_events_unless_it_is_given() -> None:
    day = SECONDS_PER_DAY
    recent, old = [[995 * day]] * 97, [[500 * day]] * 3
    assert batches.choose_window(sequences_of(recent + old, as_of=1_000 * day), None) == 90
    assert batches.choose_window(sequences_of(recent[:80] + [[800 * day]] * 20, as_of=1_000 * day), None) == 365
    assert batches.choose_window(sequences_of([[0]] * 5, as_of=1_000 * day), None) is None
    assert batches.choose_window(sequences_of(recent, as_of=1_000 * day), 7) == 7
    assert batches.choose_window(sequences_of([[], []]), None) is None


def test_crop_is_at_least_half_of_its_segment_and_within_it() -> None:
    segments = Segments(np.array([0, 50]), np.array([9, 1]), np.array([0, 1]))
    rng = np.random.default_rng(0)
    for _ in range(100):
        crop = batches.random_crops(segments, rng)
        assert (crop.length * 2 >= segments.length).all()
        assert (crop.start >= segments.start).all()
        assert (crop.start + crop.length <= segments.start + segments.length).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(0, 15),
    st.integers(0, 2**32),
)
def test_copied_segment_has_the_same_future_events_as_in_the_log(
    times: list[list[int]], length: int, max_gap: int, seed: int
) -> None:
    sequences, rng = sequences_of([sorted(user) for user in times]), np.random.default_rng(seed)
    gap = rng.integers(0, max_gap + 1, sequences.users)
    segments = batches.split_histories(sequences, batches.window_starts(sequences, None), length, rng)
    segments = segments[rng.permutation(np.flatnonzero(segments.length))[:4]]
    copied, copied_segments = batches.copy_segments(sequences, segments, 3, gap)
    future = batches.future_events(sequences, 3, gap)
    copied_future = batches.future_events(copied, 3, gap[segments.user])
    for row in range(len(segments)):
        for position in range(segments.length[row]):
            event, copy = segments.start[row] + position, copied_segments.start[row] + position
            assert sequences["time"][event] == copied["time"][copy]
            items = sequences["item"][future.begin[event] : future.end[event]]
            copied_items = copied["item"][copied_future.begin[copy] : copied_future.end[copy]]
            assert items.tolist() == copied_items.tolist()
    profile = sequences.profile_of(segments.user)[1]
    assert copied.profile_of(np.arange(copied.users))[1].tolist() == profile.tolist()


# --- future events ---------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 6))
def test_future_events_are_the_users_own_and_of_a_later_moment(times: list[list[int]], horizon: int) -> None:
    sequences = sequences_of(times)
    future = batches.future_events(sequences, horizon)
    event = 0
    for row, user in enumerate(times):
        for position, moment in enumerate(user):
            later = [int(sequences.offsets[row]) + p for p in range(position + 1, len(user)) if user[p] > moment]
            assert list(range(future.begin[event], future.end[event])) == later[:horizon]
            event += 1
    assert event == len(future.begin)


def test_two_neighbouring_users_with_events_at_one_moment_stay_apart() -> None:
    future = batches.future_events(sequences_of([[1, 5], [5, 5], [5, 9]]), 10)
    ranges = [list(range(begin, end)) for begin, end in zip(future.begin, future.end, strict=True)]
    assert ranges == [[1], [], [], [], [5], []]


def test_a_gap_skips_the_events_within_it() -> None:
    sequences = sequences_of([[0, 10, 20, 20, 30], [0, 10]])
    future = batches.future_events(sequences, 2, np.array([10, 0]))
    assert future.begin.tolist() == [2, 4, 5, 5, 5, 6, 7]
    assert future.end.tolist() == [4, 5, 5, 5, 5, 7, 7]
    without_gap = batches.future_events(sequences, 2)
    zero_gap = batches.future_events(sequences, 2, np.zeros(2, np.int64))
    assert without_gap.begin.tolist() == zero_gap.begin.tolist()


# --- batches ---------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.none() | st.integers(0, 9))
def test_batches_hold_every_segment_with_events_once_and_keep_to_their_size(
    lengths: list[int], events: int, seed: int | None
) -> None:
    segments = Segments(np.zeros(len(lengths), np.int64), np.array(lengths, np.int64), np.arange(len(lengths)))
    rng = None if seed is None else np.random.default_rng(seed)
    parts = list(batches.batches_by_length(segments, events, rng))
    chosen = np.concatenate(parts) if parts else np.zeros(0, int)
    # without a generator, empty segments are kept: their users are embedded too
    assert sorted(chosen.tolist()) == [row for row, length in enumerate(lengths) if length or seed is None]
    slack = 1 if seed is None else 1.25  # keys are jittered by a tenth either way
    for part in parts:
        positions = len(part) * max(1, int(segments.length[part].max()))
        assert len(part) == 1 or positions <= slack * events


def test_a_batch_holds_item_and_context_of_each_event() -> None:
    day = SECONDS_PER_DAY
    sequences = sequences_of([[0, 0, 3 * day + 7_200], [5 * day + 3_600 * 23]])
    batch, event = batches.collate(sequences, Segments(np.array([0, 3]), np.array([3, 1]), np.array([0, 1])), CPU)
    assert event.tolist() == [[0, 1, 2], [3, -1, -1]]
    indices = [FIRST_ITEM + item if item >= 0 else NO_ITEM for item in np.asarray(sequences["item"])]
    assert batch.item.tolist() == [indices[:3], [indices[3], PADDING, PADDING]]
    names = [*EVENT_FEATURES, *sequences.fields]
    context = {name: batch.context[..., column].tolist() for column, name in enumerate(names)}
    assert context["hour"] == [[0, 0, 2], [23, 0, 0]]
    assert context["weekday"] == [[3, 3, 6], [1, 0, 0]]  # 1970-01-01 was a Thursday
    assert context["gap"] == [[0, 0, int(np.log2(1 + 3 * day + 7_200))], [0, 0, 0]]
    assert context["elapsed"] == context["gap"]
    assert context["visit"] == [[1, 0, 1], [1, 0, 0]]
    for field in sequences.fields:
        assert context[field] == [sequences[field][:3].tolist(), [sequences[field][3], 0, 0]]


def test_value_buckets_double_and_have_places_for_refunds_and_missing_values() -> None:
    sequences = sequences_of([[1, 2, 3, 4, 5]])
    sequences.columns["value"][:] = [np.nan, -3, 0, 7, np.inf]
    batch, _ = batches.collate(sequences, Segments(np.array([0]), np.array([5]), np.array([0])), CPU)
    assert batch.context[0, :, list(EVENT_FEATURES).index("value")].tolist() == [0, 1, 2, 5, 16]


def test_longest_gap_is_in_the_last_bucket() -> None:
    sequences = sequences_of([[0, 2**40]])
    batch, _ = batches.collate(sequences, Segments(np.array([0]), np.array([2]), np.array([0])), CPU)
    assert batch.context[..., 0].max() == EVENT_FEATURES["gap"] - 1

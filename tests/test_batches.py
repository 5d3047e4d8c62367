"""Stretches, later events and padded batches, against loops in plain Python."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.encoder import batches
from lookalike.encoder.batches import Segments
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, PADDING

CPU = torch.device("cpu")


CODES = {name: list("abcde") for name, kind in COLUMNS.items() if kind == np.int16}  # what the drawn codes may mean


def sequences_of(times: list[list[int]], as_of: int | None = None, seed: int = 0) -> Sequences:
    """Users with events at these times; everything else is drawn."""
    rng = np.random.default_rng(seed)
    counts = [len(user) for user in times]
    total = sum(counts)
    columns = {name: rng.integers(0, 5, total).astype(kind) for name, kind in COLUMNS.items()}
    columns["time"] = np.array([t for user in times for t in user], np.int64)
    columns["item"] = rng.integers(-1, 9, total).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    none = (np.zeros(len(times) + 1, np.int64), np.zeros(0, np.int32))
    return Sequences(as_of if as_of is not None else int(columns["time"].max(initial=0)) + 1, offsets, columns, none)


def histories(longest: int = 30) -> st.SearchStrategy[list[list[int]]]:
    """Few distinct moments, so that many events share one; some users have no event."""
    return st.lists(st.lists(st.integers(0, 12), max_size=longest).map(sorted), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 9), st.integers(0, 99), st.none() | st.integers(1, 12))
def test_cutting_up_covers_every_event_of_the_window_exactly_once(
    times: list[list[int]], length: int, seed: int, window: int | None
) -> None:
    in_days = [[t * SECONDS_PER_DAY for t in user] for user in times]
    known = sequences_of(in_days, as_of=13 * SECONDS_PER_DAY)
    starts = batches.window_starts(known, window)
    stretches = batches.split_histories(known, starts, length, np.random.default_rng(seed))
    assert (stretches.length > 0).all()
    assert (stretches.length <= length).all()
    owner = np.repeat(np.arange(known.users), np.diff(known.offsets))
    covered = np.zeros(len(owner), int)
    for start, size in zip(stretches.start, stretches.length, strict=True):
        assert len(set(owner[start : start + size])) == 1, "a stretch is of one user"
        covered[start : start + size] += 1
    oldest = 13 - window if window else 0
    assert covered.tolist() == [int(t >= oldest) for user in times for t in user]


def test_where_a_long_history_is_cut_is_drawn_anew_and_reaches_every_place() -> None:
    known = sequences_of([list(range(40))])
    rng = np.random.default_rng(0)
    firsts = {int(batches.split_histories(known, known.offsets[:-1], 8, rng).length[0]) for _ in range(200)}
    assert firsts == set(range(1, 9))


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 6))
def test_later_events_are_the_users_own_and_of_a_later_moment(times: list[list[int]], horizon: int) -> None:
    known = sequences_of(times)
    later = batches.future_events(known, horizon)
    at = 0
    for row, user in enumerate(times):
        for place, moment in enumerate(user):
            after = [int(known.offsets[row]) + p for p in range(place + 1, len(user)) if user[p] > moment]
            assert list(range(later.begin[at], later.end[at])) == after[:horizon]
            at += 1
    assert at == len(later.begin)


def test_two_users_with_one_moment_between_them_do_not_run_into_each_other() -> None:
    later = batches.future_events(sequences_of([[1, 5], [5, 5], [5, 9]]), 10)
    spans = [list(range(b, e)) for b, e in zip(later.begin, later.end, strict=True)]
    assert spans == [[1], [], [], [], [5], []]


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, 12))
def test_a_window_begins_at_the_first_event_that_is_young_enough(times: list[list[int]], days: int) -> None:
    known = sequences_of([[t * SECONDS_PER_DAY for t in user] for user in times], as_of=13 * SECONDS_PER_DAY)
    for row, (start, user) in enumerate(zip(batches.window_starts(known, days), times, strict=True)):
        assert start - known.offsets[row] == sum(t < 13 - days for t in user)


def test_the_latest_stretch_ends_with_the_history_and_keeps_to_the_window() -> None:
    known = sequences_of([[0, 1, 2, 3, 4], [], [2], [0, 0]])
    starts = known.offsets[:-1] + np.array([2, 0, 0, 2])
    latest = batches.latest_segments(known, starts, 2)
    assert latest.start.tolist() == [3, 5, 5, 8]
    assert latest.length.tolist() == [2, 0, 1, 0]


def test_the_window_follows_from_the_log_unless_it_is_given() -> None:
    day = SECONDS_PER_DAY
    fresh, old = [[995 * day]] * 97, [[500 * day]] * 3
    assert batches.choose_window(sequences_of(fresh + old, as_of=1_000 * day), None) == 90
    assert batches.choose_window(sequences_of(fresh[:80] + [[800 * day]] * 20, as_of=1_000 * day), None) == 365
    assert batches.choose_window(sequences_of([[0]] * 5, as_of=1_000 * day), None) is None
    assert batches.choose_window(sequences_of(fresh, as_of=1_000 * day), 7) == 7
    assert batches.choose_window(sequences_of([[], []]), None) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.none() | st.integers(0, 9))
def test_batches_hold_every_stretch_with_events_once_and_keep_to_their_size(
    lengths: list[int], events: int, seed: int | None
) -> None:
    stretches = Segments(np.zeros(len(lengths), np.int64), np.array(lengths, np.int64), np.arange(len(lengths)))
    rng = None if seed is None else np.random.default_rng(seed)
    made = list(batches.batches_by_length(stretches, events, rng))
    chosen = np.concatenate(made) if made else np.zeros(0, int)
    # empty stretches teach nothing, but their users are embedded too
    assert sorted(chosen.tolist()) == [at for at, length in enumerate(lengths) if length or seed is None]
    slack = 1 if seed is None else 1.25  # keys are jittered by a tenth either way
    for batch in made:
        cells = len(batch) * max(1, int(stretches.length[batch].max()))
        assert len(batch) == 1 or cells <= slack * events


def test_a_gathered_batch_says_what_happened_at_each_place() -> None:
    day = SECONDS_PER_DAY
    times = [[0, 0, 3 * day + 7_200], [5 * day + 3_600 * 23]]
    known = sequences_of(times)
    batch, position = batches.collate(known, Segments(np.array([0, 3]), np.array([3, 1]), np.array([0, 1])), CPU)
    assert position.tolist() == [[0, 1, 2], [3, -1, -1]]
    items = np.asarray(known["item"])
    indices = [FIRST_ITEM + i if i >= 0 else NO_ITEM for i in items]
    assert batch.item.tolist() == [indices[:3], [indices[3], PADDING, PADDING]]
    said = {name: batch.context[..., place].tolist() for place, name in enumerate([*EVENT_FEATURES, *known.fields])}
    assert said["hour"] == [[0, 0, 2], [23, 0, 0]]
    assert said["weekday"] == [[3, 3, 6], [1, 0, 0]]  # 1970-01-01 was a Thursday
    assert said["gap"] == [[0, 0, int(np.log2(1 + 3 * day + 7_200))], [0, 0, 0]]
    assert said["elapsed"] == said["gap"]
    assert said["visit"] == [[1, 0, 1], [1, 0, 0]]
    for field in known.fields:
        assert said[field] == [known[field][:3].tolist(), [known[field][3], 0, 0]]


def test_money_goes_by_doubling_steps_with_places_for_refunds_and_for_none() -> None:
    known = sequences_of([[1, 2, 3, 4, 5]])
    known.columns["value"][:] = [np.nan, -3, 0, 7, np.inf]
    batch, _ = batches.collate(known, Segments(np.array([0]), np.array([5]), np.array([0])), CPU)
    assert batch.context[0, :, list(EVENT_FEATURES).index("value")].tolist() == [0, 1, 2, 5, 16]


def test_hidden_hours_end_what_is_foretold_later() -> None:
    known = sequences_of([[0, 10, 20, 20, 30], [0, 10]])
    later = batches.future_events(known, 2, np.array([10, 0]))
    assert later.begin.tolist() == [2, 4, 5, 5, 5, 6, 7]
    assert later.end.tolist() == [4, 5, 5, 5, 5, 7, 7]
    plain, none = batches.future_events(known, 2), batches.future_events(known, 2, np.zeros(2, np.int64))
    assert plain.begin.tolist() == none.begin.tolist()


def test_a_slice_is_at_least_half_of_its_stretch_and_within_it() -> None:
    whole = Segments(np.array([0, 50]), np.array([9, 1]), np.array([0, 1]))
    rng = np.random.default_rng(0)
    for _ in range(100):
        part = batches.random_crops(whole, rng)
        assert (part.length * 2 >= whole.length).all()
        assert ((part.start >= whole.start) & (part.start + part.length <= whole.start + whole.length)).all()


def test_no_gap_is_beyond_the_last_bucket() -> None:
    known = sequences_of([[0, 2**40]])
    batch, _ = batches.collate(known, Segments(np.array([0]), np.array([2]), np.array([0])), CPU)
    assert batch.context[..., 0].max() == EVENT_FEATURES["gap"] - 1


@pytest.mark.parametrize("length", [1, 5])
def test_users_without_events_cut_to_nothing(length: int) -> None:
    known = sequences_of([[], [], []])
    stretches = batches.split_histories(known, batches.window_starts(known, 30), length, np.random.default_rng(0))
    assert len(stretches) == 0
    assert list(batches.batches_by_length(stretches, 10, np.random.default_rng(0))) == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(0, 15),
    st.integers(0, 2**32),
)
def test_a_stretch_taken_out_of_the_log_foretells_what_it_did_in_it(
    times: list[list[int]], length: int, most: int, seed: int
) -> None:
    known, rng = sequences_of([sorted(one) for one in times]), np.random.default_rng(seed)
    gap = rng.integers(0, most + 1, known.users)
    stretches = batches.split_histories(known, batches.window_starts(known, None), length, rng)
    stretches = stretches[rng.permutation(np.flatnonzero(stretches.length))[:4]]
    some, taken = batches.copy_segments(known, stretches, 3, gap)
    whole, part = batches.future_events(known, 3, gap), batches.future_events(some, 3, gap[stretches.user])
    for row in range(len(stretches)):
        for place in range(stretches.length[row]):
            there, here = stretches.start[row] + place, taken.start[row] + place
            assert known["time"][there] == some["time"][here]
            events = slice(whole.begin[there], whole.end[there]), slice(part.begin[here], part.end[here])
            assert known["item"][events[0]].tolist() == some["item"][events[1]].tolist()
    assert some.profile_of(np.arange(some.users))[1].tolist() == known.profile_of(stretches.user)[1].tolist()

"""Queries over all events, against NumPy on the whole arrays, however the events are read."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.data import sequence_queries, sequences
from lookalike.data.database import Database
from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences
from planted_log import built
from random_log import insert_log, random_log

ITEMS = 9


@pytest.fixture(params=[1, 50, 10**6])
def arrays(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Sequences:
    """Read in spans of one user, of a few, and all at once."""
    monkeypatch.setattr(sequences, "EVENTS_PER_SPAN", request.param)
    insert_log(database, random_log(5))
    return built(database, tmp_path)[0]


def moments_of(arrays: Sequences) -> list[int]:
    times = np.unique(np.asarray(arrays["time"]))
    return [int(times[0]), int(times[len(times) // 2]), int(times[-1]), int(times[-1]) + 1]


def assert_kept(arrays: Sequences, earlier: Sequences, moments: np.ndarray) -> None:
    """Each user of `earlier` has exactly the events before the user's moment."""
    assert earlier.users == arrays.users
    for row, moment in enumerate(moments):
        events = slice(arrays.offsets[row], arrays.offsets[row + 1])
        kept = np.asarray(arrays["time"][events]) < moment
        copied = slice(earlier.offsets[row], earlier.offsets[row + 1])
        for column in COLUMNS:
            assert arrays[column][events][kept].tobytes() == earlier[column][copied].tobytes()


@pytest.mark.parametrize("to_files", [False, True])
def test_events_before_a_moment_are_copied_for_all_users(arrays: Sequences, tmp_path: Path, to_files: bool) -> None:
    for number, moment in enumerate(moments_of(arrays)):
        folder = tmp_path / f"copy{number}" if to_files else None
        if folder:
            folder.mkdir()
        earlier = sequence_queries.events_before(arrays, moment, folder)
        assert earlier.as_of == moment
        assert_kept(arrays, earlier, np.full(arrays.users, moment))
        if folder:
            assert len(list(folder.iterdir())) == len(arrays.columns)


def test_events_before_each_moment_are_those_of_every_user_alone(arrays: Sequences) -> None:
    moments = np.random.default_rng(0).choice(moments_of(arrays), arrays.users)
    earlier = sequence_queries.events_before_each(arrays, moments)
    assert earlier.as_of == arrays.as_of
    assert_kept(arrays, earlier, moments)


def test_events_before_a_moment_are_counted_per_user(arrays: Sequences) -> None:
    for moment in moments_of(arrays):
        before = np.asarray(arrays["time"]) < moment
        expected = np.bincount(arrays.owner[before], minlength=arrays.users)
        assert sequence_queries.counts_before(arrays, moment).tolist() == expected.tolist()


def test_popularity_counts_the_events_of_each_item(arrays: Sequences) -> None:
    item, time = np.asarray(arrays["item"]), np.asarray(arrays["time"])
    for since in (None, *moments_of(arrays)):
        recent = time >= (0 if since is None else since)
        expected = [int((item[recent] == number).sum()) for number in range(ITEMS)]
        assert sequence_queries.popularity(arrays, ITEMS, since).tolist() == expected


def test_the_time_at_a_position_is_that_of_the_sorted_events(arrays: Sequences) -> None:
    rng = np.random.default_rng(1)
    time = np.asarray(arrays["time"]) + rng.integers(0, 40, len(arrays["time"])) * sequences.SECONDS_PER_DAY
    spread = Sequences(arrays.as_of, arrays.offsets, arrays.columns | {"time": time}, arrays.profile)
    ordered = np.sort(time)
    for position in (0, 1, 150, len(time) - 1):
        assert sequence_queries.time_at(spread, position) == ordered[position]

"""Parts of the sequences hold the same users, also in another process."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from lookalike.data import private_values, sequences
from lookalike.data.database import Database
from lookalike.data.sequence_builder import COLUMNS
from lookalike.data.sequences import Sequences
from planted_log import built
from random_log import insert_log, random_log


@pytest.fixture
def arrays(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sequences:
    monkeypatch.setattr(private_values, "MIN_USERS_PER_VALUE", 1)
    insert_log(database, random_log(5))
    database.connection.execute(
        """INSERT INTO user_attributes VALUES ('u1', 'plan', 'pro'), ('u2', 'plan', 'free'), ('u2', 'sex', 'f'),
           ('Zoë', 'plan', 'pro')"""
    )
    return built(database, tmp_path)[0]


def bytes_of_users(arrays: Sequences) -> list[tuple[bytes, ...]]:
    """All columns and the profile of each user."""
    offsets, codes = arrays.profile
    return [
        (
            *(arrays[name][arrays.offsets[row] : arrays.offsets[row + 1]].tobytes() for name in COLUMNS),
            codes[offsets[row] : offsets[row + 1]].tobytes(),
        )
        for row in range(arrays.users)
    ]


def test_blocks_hold_the_users_unchanged(arrays: Sequences) -> None:
    users = bytes_of_users(arrays)
    assert any(user[-1] for user in users), "some user has a profile"
    for first in range(arrays.users + 1):
        for last in range(first, arrays.users + 1):
            block = arrays.block(first, last)
            assert block.offsets[0] == 0
            assert bytes_of_users(block) == users[first:last]


def test_taken_users_come_in_the_requested_order_and_may_repeat(arrays: Sequences) -> None:
    users = bytes_of_users(arrays)
    for rows in ([3, 0, 11], [5, 5, 5], list(range(arrays.users))[::-1], []):
        taken = arrays.take(np.array(rows, np.int64))
        assert bytes_of_users(taken) == [users[row] for row in rows]
        assert taken.as_of == arrays.as_of


def test_the_profile_of_rows_is_that_of_the_taken_users(arrays: Sequences) -> None:
    rows = np.array([2, 11, 2, 0, 1])
    starts, codes = arrays.profile_of(rows)
    offsets, expected = arrays.take(rows).profile
    assert starts.tolist() == offsets[:-1].tolist()
    assert codes.tolist() == expected.tolist()


@pytest.mark.parametrize("events", [1, 40, 10**6])
def test_spans_cover_all_users_and_keep_to_their_size(
    arrays: Sequences, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    monkeypatch.setattr(sequences, "EVENTS_PER_SPAN", events)
    spans = list(arrays.spans())
    assert [row for first, last in spans for row in range(first, last)] == list(range(arrays.users))
    sizes = [arrays.offsets[last] - arrays.offsets[first] for first, last in spans if last - first > 1]
    assert max(sizes, default=0) <= events


def test_pickled_sequences_name_the_files_and_open_them_again(arrays: Sequences) -> None:
    _, (_, _, columns, _) = arrays.__reduce__()
    assert all(column.array is None for column in columns.values())
    assert bytes_of_users(pickle.loads(pickle.dumps(arrays))) == bytes_of_users(arrays)
    block = arrays.block(3, 7)  # a slice of the files is sent by value
    assert bytes_of_users(pickle.loads(pickle.dumps(block))) == bytes_of_users(block)

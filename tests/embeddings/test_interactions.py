"""The sample of users, and the matrices of who met which item."""

import numpy as np
import pytest
from scipy import sparse

from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import interactions


def test_the_sample_consists_of_users_and_follows_the_random_seed(
    rich_log: tuple[Sequences, Vocabulary], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, _ = rich_log
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", 5)
    first, repeated, second = (interactions.sample_users(arrays, random_seed) for random_seed in (1, 1, 2))
    assert first.users == 5
    assert first["time"].tobytes() == repeated["time"].tobytes()
    assert first["time"].tobytes() != second["time"].tobytes()
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", 10**6)
    assert interactions.sample_users(arrays, 1)["time"].tobytes() == arrays["time"].tobytes()


@pytest.mark.parametrize(("users", "events"), [(7, 10**9), (10**9, 60), (10**9, 1)])
def test_the_sample_is_bounded_in_users_and_events(
    rich_log: tuple[Sequences, Vocabulary], monkeypatch: pytest.MonkeyPatch, users: int, events: int
) -> None:
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", users)
    monkeypatch.setattr(interactions, "MAX_SAMPLED_EVENTS", events)
    sample = interactions.sample_users(rich_log[0], 0)
    assert 1 <= sample.users <= users
    assert sample.users == 1 or len(sample["time"]) <= events


@pytest.mark.parametrize("items", [None, 4, 20])
def test_item_counts_are_of_each_user(rich_log: tuple[Sequences, Vocabulary], items: int | None) -> None:
    arrays, _ = rich_log
    counts = interactions.item_counts(arrays, items)
    expected = np.zeros((arrays.users, items or int(np.asarray(arrays["item"]).max()) + 1))
    for user, item in zip(arrays.owner, arrays["item"], strict=True):
        if 0 <= item < expected.shape[1]:
            expected[user, item] += 1
    assert counts.toarray().tolist() == expected.tolist()


def test_the_indicator_is_1_where_an_item_has_an_attribute(rich_log: tuple[Sequences, Vocabulary]) -> None:
    _, vocabulary = rich_log
    indicator = interactions.item_indicator(vocabulary).toarray()
    for row, item in enumerate(vocabulary.items):
        number = int(item[1:])
        expected = {("brand", f"b{number % 3}")} if number < 8 else set()
        expected |= {("word", "big")} if number % 2 == 0 else set()
        assert {vocabulary.attributes[code] for code in np.flatnonzero(indicator[row])} == expected


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_rows_are_scaled_to_unit_length_and_zeros_stay(form: type) -> None:
    unit = interactions.unit_rows(form(np.array([[3.0, 4.0], [0.0, 0.0]])))
    dense = unit.toarray() if sparse.issparse(unit) else unit
    assert dense.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]

"""A log of news is told from one of a shop, and an item that is rare by chance from one that is gone."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike.data.item_lives import ItemLives, items_come_and_go, median_age
from lookalike.data.sequences import Sequences
from synthetic_sequences import sequences_of

HOUR = 3_600


def log_of(times: np.ndarray, items: np.ndarray, users: int = 50, visit: int = 1) -> Sequences:
    """Events at these times of these items, spread over users; each so manyth event is of the same user."""
    owner = np.tile(np.random.default_rng(0).integers(0, users, len(times) // visit), visit)
    order = np.lexsort((times, owner))
    log = sequences_of([times[order][owner[order] == user].tolist() for user in range(users)])
    return replace(log, columns=log.columns | {"item": items[order].astype(np.int32)})


def news() -> Sequences:
    """200 articles in 200 hours, each read within three hours of its publication."""
    rng = np.random.default_rng(1)
    item = np.repeat(np.arange(200), 25)
    return log_of(item * HOUR + rng.integers(0, 3 * HOUR, len(item)), item)


def shop() -> Sequences:
    """The same items at random times."""
    rng = np.random.default_rng(2)
    item = np.repeat(np.arange(200), 25)
    return log_of(rng.integers(0, 200 * HOUR, len(item)), item)


def come_and_go(log: Sequences, items: int) -> bool:
    return items_come_and_go(log, ItemLives.of(log, items))


def test_first_and_last_event_of_each_item_and_who_met_it() -> None:
    log = log_of(np.array([5, 7, 9, 11, 12]), np.array([0, 2, 0, -1, 0]), users=1)
    lives = ItemLives.of(log, 3)
    assert (lives.first[[0, 2]].tolist(), lives.last[[0, 2]].tolist()) == ([5, 7], [12, 7])
    assert lives.people.tolist() == [1, 0, 1]
    assert lives.first[1] > lives.last[1]  # never alive
    two = replace(log, offsets=np.array([0, 2, 5]))
    assert ItemLives.of(two, 3).people.tolist() == [2, 0, 1]


def test_share_alive_counts_both_ends() -> None:
    lives = ItemLives(np.array([0, 10]), np.array([10, 20]), np.array([2, 2]))
    weights = np.array([3.0, 1.0])
    shares = [lives.share_alive(np.array([moment]), weights) for moment in (-1, 0, 10, 20, 21)]
    assert shares == [0, 0.75, 1, 0.25, 0]


def test_news_comes_and_goes_and_a_shop_stays() -> None:
    assert come_and_go(news(), 200)
    assert not come_and_go(shop(), 200)


@pytest.mark.parametrize("items", [2_000, 20_000])
def test_items_that_few_people_met_are_not_gone(items: int) -> None:
    """Each visit has three events of its item, as view, view, cart."""
    rng = np.random.default_rng(3)
    times, item = rng.integers(0, 200 * HOUR, 6_000), rng.integers(0, items, 6_000)
    log = log_of(np.concatenate([times, times + 60, times + 90]), np.tile(item, 3), 3_000, visit=3)
    assert not come_and_go(log, items)


def test_a_log_without_items_has_no_news() -> None:
    log = log_of(np.arange(10), np.full(10, -1))
    assert not come_and_go(log, 1)
    assert median_age(log, ItemLives.of(log, 1)) == 0


def test_median_age_is_of_events() -> None:
    log = log_of(np.array([0, 10, 30]) * HOUR, np.array([0, 0, 0]), users=1)
    assert median_age(log, ItemLives.of(log, 1)) == 10 * HOUR

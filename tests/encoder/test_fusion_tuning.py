"""What decides how much each part counts: audiences among users, held-out recommendation between users and items."""

import numpy as np
import pytest
from scipy import sparse

from fusion_parts import CONTENT, TASTE, centred, draw_parts, fusion_of, unit_rows
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS
from lookalike.encoder import fusion_tuning
from lookalike.encoder.fusion import Centring, ItemParts, RawParts
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import PseudoAudience
from lookalike.encoder.run_files import FusionWeights
from synthetic_sequences import sequences_of

# --- the user side ---------------------------------------------------------------------------------------------------


def draw_audiences(signal: np.ndarray, users: np.ndarray, count: int = 24) -> list[PseudoAudience]:
    """Most members of each are high in one direction of `signal` [n, k], the others are anybody."""
    rng = np.random.default_rng(0)
    audiences = []
    for _ in range(count):
        direction = rng.normal(size=signal.shape[1])
        high = np.argsort(-(signal @ direction))[: len(users) // 20]
        members = np.unique(np.concatenate([users[high], rng.choice(users, len(high) // 4)]))
        audiences.append(PseudoAudience(members, np.zeros(0, np.int64)))
    return audiences


@pytest.mark.parametrize("part", ["taste", "bag", "recency"])
def test_a_part_that_tells_audiences_apart_gains_weight(part: str) -> None:
    parts = draw_parts(1_200)
    centring = Centring.of(parts)
    users = np.arange(1_200) * 2  # rows, which are not places
    taste, bag, activity = centred(parts, centring)
    recency = ACTIVITY_COLUMNS.index("log_recency_days")
    signal = {"taste": taste, "bag": bag, "recency": activity[:, [recency]]}[part]
    tuned = fusion_tuning.tune_user_weights(parts, centring, draw_audiences(signal, users), users, random_seed=0)
    prior = fusion_tuning.prior_weights()
    growth = {
        "taste": tuned.taste / prior.taste,
        "bag": tuned.bag / prior.bag,
        "recency": tuned.activity[recency] / prior.activity[recency],
        "another activity": tuned.activity[(recency + 1) % len(ACTIVITY_COLUMNS)] / prior.activity[0],
    }
    assert growth[part] > 1.15, growth
    assert all(growth[part] > 1.5 * value for name, value in growth.items() if name != part), growth


def test_without_audiences_the_weights_are_the_prior() -> None:
    parts = draw_parts(100)
    tuned = fusion_tuning.tune_user_weights(parts, Centring.of(parts), [], np.arange(100), random_seed=0)
    prior = fusion_tuning.prior_weights()
    assert (tuned.taste, tuned.bag) == pytest.approx((prior.taste, prior.bag))
    assert tuned.activity == pytest.approx(prior.activity)
    assert (tuned.item_bag, tuned.item_popularity, tuned.popularity_days) == (0.0, 0.0, None)


def test_the_weights_follow_from_the_random_seed() -> None:
    parts = draw_parts(300)
    centring, users = Centring.of(parts), np.arange(300)
    audiences = draw_audiences(parts.taste, users)
    first, second, different = (
        fusion_tuning.tune_user_weights(parts, centring, audiences, users, seed) for seed in (0, 0, 1)
    )
    assert first == second
    assert first != different


# --- the item side ---------------------------------------------------------------------------------------------------

ITEMS, USERS = 60, 200


def log_with_a_fashion(in_fashion: np.ndarray) -> Sequences:
    """A hundred days with 40 events each, on all items alike, but in the last five days only on those in fashion."""
    rng = np.random.default_rng(2)
    days = np.repeat(np.arange(100), 40)
    history = sequences_of([np.sort(days * SECONDS_PER_DAY).tolist()], as_of=100 * SECONDS_PER_DAY)
    anything = rng.integers(0, ITEMS, len(days))
    history.columns["item"][:] = np.where(days < 95, anything, rng.choice(in_fashion, len(days)))
    return history


def held_out_users(future: np.ndarray) -> HeldOutUsers:
    """Users without a past, who then meet the items of their row of `future` [n, k]."""
    rows = np.repeat(np.arange(len(future)), future.shape[1])
    met = sparse.csr_matrix((np.ones(future.size), (rows, future.ravel())), shape=(len(future), ITEMS))
    return HeldOutUsers(np.arange(len(future)) * 5, sparse.csr_matrix((len(future), ITEMS)), met)


@pytest.fixture
def parts() -> RawParts:
    """Of the held-out users."""
    return draw_parts(USERS, seed=6)


@pytest.fixture
def items() -> ItemParts:
    """Items in the spaces of the users' parts; 20 to 24 are in fashion."""
    rng = np.random.default_rng(4)
    taste, bag = (unit_rows(rng.normal(size=(ITEMS, width))).astype(np.float32) for width in (TASTE, CONTENT))
    return ItemParts(taste, bag, log_with_a_fashion(np.arange(20, 25)), 5.0)


def tuned_on(future: np.ndarray, parts: RawParts, items: ItemParts) -> FusionWeights:
    return fusion_tuning.tune_item_weights(fusion_of(parts), items, parts, held_out_users(future))


def test_recent_popularity_is_chosen_when_it_predicts(parts: RawParts, items: ItemParts) -> None:
    in_fashion = np.tile(np.arange(20, 25), (USERS, 1))
    future = np.random.default_rng(0).permuted(in_fashion, axis=1)[:, :2]
    tuned = tuned_on(future, parts, items)
    assert tuned.item_popularity > 0
    assert tuned.popularity_days in (1, 7)


def test_nothing_is_added_when_taste_alone_predicts(parts: RawParts, items: ItemParts) -> None:
    future = np.argsort(-(parts.taste @ items.taste.T), axis=1)[:, :3]
    tuned = tuned_on(future, parts, items)
    assert (tuned.item_bag, tuned.item_popularity, tuned.popularity_days) == (0.0, 0.0, None)


def test_the_bag_is_chosen_when_it_predicts(parts: RawParts, items: ItemParts) -> None:
    _, centred_bag, _ = centred(parts, Centring.of(parts))
    future = np.argsort(-(centred_bag @ items.bag.T), axis=1)[:, :3]
    tuned = tuned_on(future, parts, items)
    assert tuned.item_bag > 0
    assert tuned.item_popularity == 0


def test_without_held_out_users_nothing_is_chosen(parts: RawParts, items: ItemParts) -> None:
    tuned = tuned_on(np.zeros((0, 2), int), parts[:0], items)
    assert (tuned.item_bag, tuned.item_popularity) == (0.0, 0.0)

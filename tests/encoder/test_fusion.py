"""How the parts of a user's vector are joined, and how items get vectors in the same space."""

import numpy as np
import pytest

from fusion_parts import CONTENT, TASTE, centred, draw_parts, fusion_of, unit_rows
from lookalike.data.sequences import SECONDS_PER_DAY
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS
from lookalike.encoder import fusion
from lookalike.encoder.fusion import Fusion, RawParts
from synthetic_sequences import sequences_of


def draw_items(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Taste and bag of 30 items."""
    taste, bag = (rng.normal(size=(30, width)).astype(np.float32) for width in (TASTE, CONTENT))
    return taste, bag


def test_every_user_has_a_unit_vector_even_without_content_and_activity() -> None:
    parts = draw_parts(50)
    parts.content[:3] = 0
    parts.activity[:2] = 0
    fused = fusion_of(parts)
    vectors = fused.users(parts)
    assert vectors.shape == (50, fused.width)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_items_are_ordered_as_by_the_towers_when_the_item_side_adds_nothing(seed: int) -> None:
    parts = draw_parts(60, seed)
    rng = np.random.default_rng([seed, 1])
    taste, bag = draw_items(rng)
    fused = fusion_of(parts, taste=0.4, bag=1.7, activity=(0.3,) * len(ACTIVITY_COLUMNS))
    scores = fused.users(parts) @ fused.items(taste, bag, rng.normal(size=30)).T
    towers = parts.taste @ taste.T
    assert np.array_equal(np.argsort(-scores, axis=1), np.argsort(-towers, axis=1))


def test_items_keep_the_towers_order_for_tastes_near_the_mean() -> None:
    """When all tastes are alike, the users' mean decides nearly alone, and must do so in the fused space too."""
    parts = draw_parts(60, spread=0.03)
    taste, bag = draw_items(np.random.default_rng(1))
    fused = fusion_of(parts)
    distance = np.linalg.norm(parts.taste - fused.centring.taste, axis=1)
    assert distance.max() < fusion.MIN_TASTE_LENGTH
    scores = fused.users(parts) @ fused.items(taste, bag, np.zeros(30)).T
    towers = parts.taste.astype(np.float64) @ taste.T
    towers_in_order = np.take_along_axis(towers, np.argsort(-scores, axis=1), 1)
    assert (np.diff(towers_in_order, axis=1) < 1e-4).all()


def test_bag_and_popularity_add_to_the_scores_by_their_weights() -> None:
    parts = draw_parts(40)
    rng = np.random.default_rng(1)
    taste, bag = draw_items(rng)
    popularity = rng.normal(size=30)
    plain, extended = fusion_of(parts), fusion_of(parts, item_bag=0.5, item_popularity=2.0)
    users = plain.users(parts).astype(np.float64)
    gained = users @ (extended.items(taste, bag, popularity) - plain.items(taste, bag, popularity)).T
    length = np.linalg.norm(unnormalised(parts, plain), axis=1, keepdims=True)
    distance = np.linalg.norm(parts.taste - plain.centring.taste, axis=1, keepdims=True)
    _, centred_bag, _ = centred(parts, plain.centring)
    expected = (0.5 * centred_bag @ bag.T + 2.0 * popularity / distance) / length
    assert distance.min() > fusion.MIN_TASTE_LENGTH
    assert np.allclose(gained, expected, atol=1e-4)


def unnormalised(parts: RawParts, fused: Fusion) -> np.ndarray:
    """The weighted parts side by side, in plain Python."""
    centring, weights = fused.centring, fused.weights
    rows = []
    for user in range(len(parts.taste)):
        taste = parts.taste[user] - centring.taste
        bag = parts.content[user] - centring.bag
        activity = np.clip((parts.activity[user] - centring.activity) / centring.spread, -3, 3)
        length = np.linalg.norm(taste)
        weighted = [
            weights.taste * taste / length,
            weights.bag * bag / np.linalg.norm(bag),
            np.array(weights.activity) * activity,
            [0.05 / length],
        ]
        rows.append(np.concatenate(weighted))
    return np.array(rows)


def test_the_vector_is_the_weighted_parts_side_by_side() -> None:
    parts = draw_parts(30)
    activity = tuple(np.linspace(0.05, 0.4, len(ACTIVITY_COLUMNS)))
    fused = fusion_of(parts, taste=0.6, bag=1.1, activity=activity)
    assert np.allclose(fused.users(parts), unit_rows(unnormalised(parts, fused)), atol=1e-5)


def test_the_centring_of_no_users_is_finite() -> None:
    fused = fusion_of(draw_parts(5)[:0])
    assert np.isfinite(fused.users(draw_parts(3))).all()


@pytest.mark.parametrize("days", [None, 1, 30])
def test_log_popularity_counts_the_events_of_its_days(days: int | None) -> None:
    items = 60
    rng = np.random.default_rng(2)
    times = np.sort(rng.integers(0, 100 * SECONDS_PER_DAY, 4_000)).tolist()
    history = sequences_of([times], as_of=100 * SECONDS_PER_DAY)
    history.columns["item"][:] = rng.integers(-1, items, len(times))
    counts = np.zeros(items)
    for time, item in zip(history["time"], history["item"], strict=True):
        if item >= 0 and (days is None or time >= history.as_of - days * SECONDS_PER_DAY):
            counts[item] += 1
    logs = np.log(counts + 0.5)
    assert np.allclose(fusion.log_popularity(history, items, days), logs - logs.mean())

"""The user embedding: how its parts are put together, and what decides how much each counts."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from lookalike.data.database import Database
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, fit_aggregates
from lookalike.embeddings.content import fit_content
from lookalike.encoder import batches, embedder, fit_plan, fusion, inference, trainer
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.fusion import Centring, Fusion, FusionWeights, ItemParts, RawParts
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import PseudoAudience
from planted_log import SMALL, built, insert_events, planted
from synthetic_sequences import sequences_of

TASTE, CONTENT = 12, 20


def centred(parts: RawParts, place: Centring) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taste and bag less their means, of unit length; activity standardised."""
    found = fusion.part_tensors(parts, place)
    taste, bag = (part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in (found.taste, found.bag))
    return taste.numpy(), bag.numpy(), found.activity.numpy()


def parts_of(users: int, seed: int = 0, spread: float = 1.0) -> RawParts:
    """Unit tastes about a common direction, unit contents, and activity of very unequal columns."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(users, TASTE)) * spread + 0.8
    content = rng.normal(size=(users, CONTENT)) + 0.3
    activity = rng.gamma(1.5, size=(users, len(ACTIVITY_COLUMNS))) * np.arange(1, len(ACTIVITY_COLUMNS) + 1)
    return RawParts(*(part.astype(np.float32) for part in (unit(taste), unit(content), activity)))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fused(parts: RawParts, weights: FusionWeights | None = None) -> Fusion:
    return Fusion(Centring.of(parts), weights or FusionWeights.prior())


def test_every_user_has_a_unit_vector_of_the_stated_width_even_one_of_whom_nothing_is_known() -> None:
    parts = parts_of(50)
    parts.content[:3] = 0
    parts.activity[:2] = 0
    made = fused(parts)
    vectors = made.users(parts)
    assert vectors.shape == (50, made.width)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_items_are_ordered_as_by_the_towers_where_the_item_side_adds_nothing(seed: int) -> None:
    parts = parts_of(60, seed)
    rng = np.random.default_rng([seed, 1])
    taste, bag = (rng.normal(size=(30, width)).astype(np.float32) for width in (TASTE, CONTENT))
    made = fused(parts, FusionWeights(0.4, 1.7, [0.3] * len(ACTIVITY_COLUMNS)))
    found = made.users(parts) @ made.items(taste, bag, rng.normal(size=30)).T
    towers = parts.taste @ taste.T
    assert np.array_equal(np.argsort(-found, axis=1), np.argsort(-towers, axis=1))


def test_nor_does_the_order_change_for_users_whose_taste_is_near_the_mean() -> None:
    """Where all tastes are alike, the users' mean decides nearly alone, and must do so in the fused space too."""
    parts = parts_of(60, spread=0.03)
    rng = np.random.default_rng(1)
    taste, bag = (rng.normal(size=(30, width)).astype(np.float32) for width in (TASTE, CONTENT))
    made = fused(parts)
    away = np.linalg.norm(parts.taste - made.place.taste, axis=1)
    assert away.max() < fusion.SHORTEST
    found = made.users(parts) @ made.items(taste, bag, np.zeros(30)).T
    towers = parts.taste.astype(np.float64) @ taste.T
    in_order = np.take_along_axis(towers, np.argsort(-found, axis=1), 1)
    assert (np.diff(in_order, axis=1) < 1e-4).all()


def test_the_bag_and_popularity_join_in_by_their_weights() -> None:
    parts = parts_of(40)
    rng = np.random.default_rng(1)
    taste, bag = (rng.normal(size=(30, width)).astype(np.float32) for width in (TASTE, CONTENT))
    popularity = rng.normal(size=30)
    plain = fused(parts)
    more = Fusion(plain.place, replace(plain.weights, item_bag=0.5, item_popularity=2.0))
    users = plain.users(parts).astype(np.float64)
    gained = users @ (more.items(taste, bag, popularity) - plain.items(taste, bag, popularity)).T
    length = np.linalg.norm(unnormalised(parts, plain), axis=1, keepdims=True)
    away = np.linalg.norm(parts.taste - plain.place.taste, axis=1, keepdims=True)
    _, centred_bag, _ = centred(parts, plain.place)
    expected = (0.5 * centred_bag @ bag.T + 2.0 * popularity / away) / length
    assert away.min() > fusion.SHORTEST
    assert np.allclose(gained, expected, atol=1e-4)


def unnormalised(parts: RawParts, made: Fusion) -> np.ndarray:
    """The parts side by side before they are made unit length, written out."""
    rows = []
    for user in range(len(parts.taste)):
        taste = parts.taste[user] - made.place.taste
        bag = parts.content[user] - made.place.bag
        activity = np.clip((parts.activity[user] - made.place.activity) / made.place.spread, -3, 3)
        away = np.linalg.norm(taste)
        weighted = [
            made.weights.taste * taste / away,
            made.weights.bag * bag / np.linalg.norm(bag),
            np.array(made.weights.activity) * activity,
            [0.05 / away],
        ]
        rows.append(np.concatenate(weighted))
    return np.array(rows)


def test_the_vector_is_the_parts_side_by_side() -> None:
    parts = parts_of(30)
    made = fused(parts, FusionWeights(0.6, 1.1, list(np.linspace(0.05, 0.4, len(ACTIVITY_COLUMNS)))))
    assert np.allclose(made.users(parts), unit(unnormalised(parts, made)), atol=1e-5)


# --- recency ---------------------------------------------------------------------------------------------------------


def embedder_of(store: Database, folder: Path) -> tuple[Embedder, Sequences]:
    arrays, vocabulary = built(store, folder)
    settings = replace(SMALL, epochs=1, window_days=2_000)
    fit = trainer.Fit(fit_plan.plan_fit(arrays, vocabulary, settings), vocabulary, torch.device("cpu"))
    fit.run(lambda progress, fit: None, lambda done, note: None)
    content = fit_content(arrays, vocabulary, 8, 0)
    aggregates = fit_aggregates(arrays, vocabulary, 16)
    reach = (2_000, settings.length)
    parts = embedder.raw_parts(fit.model, (content, aggregates), arrays, np.arange(arrays.users), reach)
    return Embedder(fit.model, content, aggregates, fused(parts), *reach), arrays


def test_the_same_history_a_year_older_gives_another_vector(store: Database, tmp_path: Path) -> None:
    """The towers see gaps within a history, not its age: that has to come from the activity."""
    log = planted(150, seed=3, items=40).events
    one = log.filter(pl.col("user_id") == "u00007").with_columns(user_id=pl.lit("zz new"))
    # 52 weeks: hours and weekdays stay as they are
    older = one.with_columns(pl.lit("zz old").alias("user_id"), pl.col("ts") - timedelta(weeks=52))
    insert_events(store, pl.concat([log, one, older]))
    made, arrays = embedder_of(store, tmp_path)
    new, old = (made.blocks(arrays.block(row, row + 1)) for row in (150, 151))
    latest = batches.latest_segments(arrays, batches.window_starts(arrays, 2_000), SMALL.length)
    tastes = inference.user_vectors(made.model, arrays, latest[np.array([150, 151])])
    assert np.allclose(tastes[0], tastes[1], atol=1e-5)
    assert np.allclose(new["content"], old["content"], atol=1e-5)
    likeness = float(new["sequence"][0] @ old["sequence"][0])
    same = float(new["sequence"][0] @ made.blocks(arrays.block(7, 8))["sequence"][0])
    assert same == pytest.approx(1, abs=1e-5)
    assert likeness < 0.97


# --- the users' side -------------------------------------------------------------------------------------------------


def audiences_by(score: np.ndarray, users: np.ndarray, seed: int = 0, count: int = 24) -> list[PseudoAudience]:
    """Each has most of its members among those who are high in one direction of `score` [n, k], the rest anywhere."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        direction = rng.normal(size=score.shape[1])
        high = np.argsort(-(score @ direction))[: len(users) // 20]
        members = np.unique(np.concatenate([users[high], rng.choice(users, len(high) // 4)]))
        made.append(PseudoAudience(members, np.zeros(0, np.int64)))
    return made


@pytest.mark.parametrize("part", ["taste", "bag", "recency"])
def test_a_part_by_which_audiences_differ_comes_to_count_more(part: str) -> None:
    parts = parts_of(1_200)
    place = Centring.of(parts)
    users = np.arange(1_200) * 2  # rows, not places
    taste, bag, activity = centred(parts, place)
    recency = ACTIVITY_COLUMNS.index("log_recency_days")
    signal = {"taste": taste, "bag": bag, "recency": activity[:, [recency]]}[part]
    found = fusion.tune_weights(parts, place, audiences_by(signal, users), users, seed=0)
    prior = FusionWeights.prior()
    grown = {
        "taste": found.taste / prior.taste,
        "bag": found.bag / prior.bag,
        "recency": found.activity[recency] / prior.activity[recency],
        "another": found.activity[(recency + 1) % len(ACTIVITY_COLUMNS)] / prior.activity[0],
    }
    assert grown[part] > 1.15, grown
    assert all(grown[part] > 1.5 * other for name, other in grown.items() if name != part), grown


def test_without_an_audience_the_weights_are_the_prior() -> None:
    parts = parts_of(100)
    found = fusion.tune_weights(parts, Centring.of(parts), [], np.arange(100), seed=0)
    prior = FusionWeights.prior()
    assert (found.taste, found.bag) == pytest.approx((prior.taste, prior.bag))
    assert found.activity == pytest.approx(prior.activity)
    assert (found.item_bag, found.item_popularity, found.popularity_days) == (0.0, 0.0, None)


def test_weights_repeat_and_hang_on_the_seed() -> None:
    parts = parts_of(300)
    place, users = Centring.of(parts), np.arange(300)
    audiences = audiences_by(parts.taste, users)
    first, again, other = (fusion.tune_weights(parts, place, audiences, users, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


# --- the items' side -------------------------------------------------------------------------------------------------

ITEMS, JUDGES = 60, 200


def log_with_a_fashion(late: np.ndarray) -> Sequences:
    """A hundred days of 40 events each on all items alike; in the last five days only on those of `late`."""
    rng = np.random.default_rng(2)
    days = np.repeat(np.arange(100), 40)
    known = sequences_of([np.sort(days * SECONDS_PER_DAY).tolist()], as_of=100 * SECONDS_PER_DAY)
    known.columns["item"][:] = np.where(days < 95, rng.integers(0, ITEMS, len(days)), rng.choice(late, len(days)))
    return known


def judges(coming: np.ndarray) -> HeldOutUsers:
    """Judges who have met nothing, and then each meet the items of their row of `coming` [n, k]."""
    rows = np.repeat(np.arange(len(coming)), coming.shape[1])
    met = sparse.csr_matrix((np.ones(coming.size), (rows, coming.ravel())), shape=(len(coming), ITEMS))
    return HeldOutUsers(np.arange(len(coming)) * 5, sparse.csr_matrix((len(coming), ITEMS)), met)


def item_side_of(
    coming: np.ndarray, parts: RawParts, taste: np.ndarray, bag: np.ndarray, late: np.ndarray
) -> FusionWeights:
    return fusion.tune_item_weights(
        fused(parts), ItemParts(taste, bag, log_with_a_fashion(late), 5.0), parts, judges(coming)
    )


@pytest.fixture
def catalogue() -> tuple[RawParts, np.ndarray, np.ndarray, np.ndarray]:
    """Judges' parts, item tastes and bags in the same spaces, and the five items in fashion."""
    rng = np.random.default_rng(4)
    taste, bag = (unit(rng.normal(size=(ITEMS, width))).astype(np.float32) for width in (TASTE, CONTENT))
    return parts_of(JUDGES, seed=6), taste, bag, np.arange(20, 25)


Catalogue = tuple[RawParts, np.ndarray, np.ndarray, np.ndarray]


def test_popularity_of_late_is_chosen_where_it_foretells(catalogue: Catalogue) -> None:
    parts, taste, bag, late = catalogue
    coming = np.random.default_rng(0).permuted(np.tile(late, (JUDGES, 1)), axis=1)[:, :2]
    found = item_side_of(coming, parts, taste, bag, late)
    assert found.item_popularity > 0
    assert found.popularity_days in (1, 7)


def test_nothing_is_added_where_taste_alone_foretells(catalogue: Catalogue) -> None:
    parts, taste, bag, late = catalogue
    coming = np.argsort(-(parts.taste @ taste.T), axis=1)[:, :3]
    found = item_side_of(coming, parts, taste, bag, late)
    assert (found.item_bag, found.item_popularity, found.popularity_days) == (0.0, 0.0, None)


def test_the_bag_is_chosen_where_it_foretells(catalogue: Catalogue) -> None:
    parts, taste, bag, late = catalogue
    _, centred_bag, _ = centred(parts, Centring.of(parts))
    coming = np.argsort(-(centred_bag @ bag.T), axis=1)[:, :3]
    found = item_side_of(coming, parts, taste, bag, late)
    assert found.item_bag > 0
    assert found.item_popularity == 0


def test_without_judges_nothing_is_chosen(catalogue: Catalogue) -> None:
    parts, taste, bag, late = catalogue
    found = item_side_of(np.zeros((0, 2), int), parts[:0], taste, bag, late)
    assert (found.item_bag, found.item_popularity) == (0.0, 0.0)


@pytest.mark.parametrize("days", [None, 1, 30])
def test_log_popularity_counts_the_events_of_its_days(days: int | None) -> None:
    known = log_with_a_fashion(np.arange(3))
    known.columns["item"][::7] = -1
    counts = np.zeros(ITEMS)
    for time, item in zip(known["time"], known["item"], strict=True):
        if item >= 0 and (days is None or time >= known.as_of - days * SECONDS_PER_DAY):
            counts[item] += 1
    logs = np.log(counts + 0.5)
    assert np.allclose(fusion.log_popularity(known, ITEMS, days), logs - logs.mean())


def test_place_of_nobody_is_still_a_place() -> None:
    made = fused(parts_of(5)[:0])
    assert np.isfinite(made.users(parts_of(3))).all()

"""The two blocks that need no training, against one user at a time in plain Python."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data import id_encoding, sequence_queries
from lookalike.data.database import Database
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences, Vocabulary
from lookalike.embeddings import interactions
from lookalike.embeddings.aggregates import BASKET_GAP, HOUR_BINS, RECENT_DAYS, fit_aggregates
from lookalike.embeddings.content import fit_content
from planted_log import built, insert_events
from random_log import insert_log, random_log


@pytest.fixture(autouse=True)
def few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs here are too small for values that 25 users share."""
    monkeypatch.setattr(id_encoding, "MIN_USERS_PER_VALUE", 1)


@pytest.fixture
def log(store: Database, tmp_path: Path) -> tuple[Sequences, Vocabulary]:
    """Users over half a year with refunds, no-item events, attributes of items and of users."""
    rng = np.random.default_rng(3)
    rows = random_log(2, events=500)
    for row in rows:
        row["ts"] = datetime(2024, 1, 1) + (row["ts"] - datetime(2024, 1, 1)) * int(rng.integers(1, 6_000))
        row["value"] = None if row["value"] is None else row["value"] - 1.5
    insert_log(store, rows)
    store.connection.execute(
        """INSERT INTO item_attributes SELECT 'i' || i, 'brand', 'b' || (i % 3) FROM range(8) t(i)
           UNION ALL SELECT 'i' || i, 'word', 'big' FROM range(0, 9, 2) t(i)"""
    )
    store.connection.execute("INSERT INTO user_attributes VALUES ('u1', 'plan', 'pro'), ('u2', 'plan', 'free')")
    return built(store, tmp_path)


def slog(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value)))


def expected_of(arrays: Sequences, vocabulary: Vocabulary, row: int) -> dict[str, float]:
    """The named columns of one user by looping over the events."""
    at = range(int(arrays.offsets[row]), int(arrays.offsets[row + 1]))
    times = [int(arrays["time"][e]) for e in at]
    visits = sum(1 for n, t in enumerate(times) if n == 0 or t - times[n - 1] > BASKET_GAP)
    when = [datetime.fromtimestamp(t, UTC) for t in times]
    day = SECONDS_PER_DAY
    values = [float(arrays["value"][e]) for e in at if not np.isnan(arrays["value"][e])]
    quantities = [float(arrays["quantity"][e]) for e in at if not np.isnan(arrays["quantity"][e])]
    columns = {
        "log_events": np.log1p(len(times)),
        "log_visits": np.log1p(visits),
        "log_days": np.log1p(len({w.date() for w in when})),
        "log_items": np.log1p(len({int(arrays["item"][e]) for e in at} - {-1})),
        "log_recency_days": np.log1p((arrays.as_of - times[-1]) / day),
        "log_tenure_days": np.log1p((arrays.as_of - times[0]) / day),
        "log_days_between_visits": np.log1p((times[-1] - times[0]) / day / max(1, visits - 1)),
        "log_value": slog(sum(values)),
        "log_value_per_event": slog(sum(values) / len(times)),
        "log_quantity": slog(sum(quantities)),
    }
    for days in RECENT_DAYS:
        columns[f"log_events_last_{days}_days"] = np.log1p(sum(t >= arrays.as_of - days * day for t in times))
    for part in range(HOUR_BINS):
        share = np.mean([w.hour // 3 == part for w in when])
        columns[f"hour_{3 * part:02d}_{3 * part + 3:02d}"] = float(share)
    for weekday in range(7):
        columns[f"weekday_{weekday + 1}"] = float(np.mean([w.isoweekday() == weekday + 1 for w in when]))
    for field, words in vocabulary.codes.items():
        if len(words) > 1:
            for code, word in enumerate(words, 1):
                columns[f"{field}={word}"] = np.log1p(sum(int(arrays[field][e]) == code for e in at))
    offsets, codes = vocabulary.item_attributes
    counts: Counter[int] = Counter()
    for e in at:
        item = int(arrays["item"][e])
        if item >= 0:
            counts.update(codes[offsets[item] : offsets[item + 1]].tolist())
    for code, (attribute, value) in enumerate(vocabulary.attributes):
        columns[f"{attribute}={value}"] = np.log1p(counts[code])
    mine = arrays.profile[1][arrays.profile[0][row] : arrays.profile[0][row + 1]].tolist()
    for code, (attribute, value) in enumerate(vocabulary.profile):
        columns[f"{attribute}={value}"] = float(code in mine)
    return {name: float(value) for name, value in columns.items()}


def test_every_named_column_is_what_a_loop_over_the_events_gives(log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = log
    aggregates = fit_aggregates(arrays, vocabulary, 50)
    found = aggregates.transform(arrays)
    assert found.shape == (arrays.users, len(aggregates.names))
    assert len(set(aggregates.names)) == len(aggregates.names)
    assert {"brand=b0", "word=big", "plan=pro", "event_type=view", "country=DE"} <= set(aggregates.names)
    for row in range(arrays.users):
        expected = expected_of(arrays, vocabulary, row)
        assert set(expected) == set(aggregates.names)
        for name, value in zip(aggregates.names, found[row], strict=True):
            assert value == pytest.approx(expected[name], abs=1e-5), (row, name)


def test_blocks_of_users_have_the_same_figures_as_all_at_once(log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = log
    content = fit_content(arrays, vocabulary, 4, 0)
    aggregates = fit_aggregates(arrays, vocabulary, 50)
    for first, last in [(0, 1), (3, 9), (11, 12)]:
        block = arrays.block(first, last)
        assert np.array_equal(aggregates.transform(block), aggregates.transform(arrays)[first:last])
        assert np.array_equal(content.transform(block), content.transform(arrays)[first:last])


def test_a_user_without_events_has_finite_figures(log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = log
    earlier = sequence_queries.events_before(arrays, int(np.quantile(np.asarray(arrays["time"]), 0.05)))
    assert (np.diff(earlier.offsets) == 0).any()
    figures = fit_aggregates(arrays, vocabulary, 50).transform(earlier)
    assert np.isfinite(figures).all()
    none = np.diff(earlier.offsets) == 0
    assert (figures[none, 0] == 0).all()


def test_a_log_without_attributes_counts_its_most_common_items(store: Database, tmp_path: Path) -> None:
    insert_log(store, random_log(4))
    arrays, vocabulary = built(store, tmp_path)
    aggregates = fit_aggregates(arrays, vocabulary, 3)
    named = [name for name in aggregates.names if name.startswith("item=")]
    met: Counter[int] = Counter()
    for row in range(arrays.users):
        met.update(set(np.asarray(arrays["item"][arrays.offsets[row] : arrays.offsets[row + 1]]).tolist()) - {-1})
    most = sorted(met, key=lambda item: (-met[item], item))[:3]
    assert named == [f"item={vocabulary.items[item]}" for item in most]


def test_content_is_a_unit_vector_or_zero(log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = log
    counts = interactions.item_counts(arrays)
    without = np.diff(counts.indptr) == 0
    vectors = fit_content(arrays, vocabulary, 4, 0).transform(arrays)
    assert np.allclose(np.linalg.norm(vectors[~without], axis=1), 1, atol=1e-5)
    assert (vectors[without] == 0).all()


def test_a_user_with_nothing_in_common_with_the_directions_gets_zeros_not_noise(
    store: Database, tmp_path: Path
) -> None:
    """The directions come from a sample; rounding errors made unit length would be a random place in the space."""
    rows = [{"user_id": f"u{n:02d}", "item_id": f"i{i}"} for n in range(40) for i in (n % 4, (n + 1) % 4, n % 3)]
    rows += [{"user_id": "v0", "item_id": "new1"}, {"user_id": "v1", "item_id": "new2"}]
    insert_events(store, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(store, tmp_path)
    sample = arrays.take(np.arange(40))
    vectors = fit_content(sample, vocabulary, 8, 0).transform(arrays)
    assert np.allclose(np.linalg.norm(vectors[:40], axis=1), 1, atol=1e-5)
    assert (vectors[40:] == 0).all()


def test_users_of_like_taste_are_close_in_content(store: Database, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    group = np.arange(200) % 2
    rows = [
        {"user_id": f"u{n:03d}", "item_id": f"i{2 * int(rng.integers(0, 15)) + group[n]:02d}"}
        for n in range(200)
        for _ in range(8)
    ]
    insert_events(store, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(store, tmp_path)
    vectors = fit_content(arrays, vocabulary, 8, 0).transform(arrays)
    alike = vectors @ vectors.T
    same = group[:, None] == group
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_the_sample_is_of_users_and_follows_its_seed(
    log: tuple[Sequences, Vocabulary], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, _ = log
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", 5)
    first, again, other = (interactions.sample_users(arrays, seed) for seed in (1, 1, 2))
    assert first.users == 5
    assert first["time"].tobytes() == again["time"].tobytes()
    assert first["time"].tobytes() != other["time"].tobytes()
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", 10**6)
    assert interactions.sample_users(arrays, 1)["time"].tobytes() == arrays["time"].tobytes()


@pytest.mark.parametrize(("users", "items"), [(1, 1), (2, 1), (1, 5), (3, 2)])
def test_the_smallest_logs_still_have_both_blocks(store: Database, tmp_path: Path, users: int, items: int) -> None:
    rows = [{"user_id": f"u{u}", "item_id": f"i{i}"} for u in range(users) for i in range(items)]
    insert_events(store, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(store, tmp_path)
    content = fit_content(arrays, vocabulary, 8, 0)
    assert np.isfinite(content.transform(arrays)).all()
    assert content.transform(arrays).shape == (users, content.width)
    assert np.isfinite(fit_aggregates(arrays, vocabulary, 8).transform(arrays)).all()


def test_a_log_without_any_item_still_has_both_blocks(store: Database, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user_id": ["a", "b", "b"], "ts": [datetime(2024, 1, 1)] * 3})
    insert_events(store, frame)
    arrays, vocabulary = built(store, tmp_path)
    content = fit_content(arrays, vocabulary, 8, 0)
    assert (content.transform(arrays) == 0).all()
    assert fit_aggregates(arrays, vocabulary, 8).transform(arrays)[:, 0] == pytest.approx(np.log1p([1, 2]))


@pytest.mark.parametrize(("users", "events"), [(7, 10**9), (10**9, 60), (10**9, 1)])
def test_what_is_fitted_on_is_bounded_in_users_and_in_events(
    log: tuple[Sequences, Vocabulary], monkeypatch: pytest.MonkeyPatch, users: int, events: int
) -> None:
    monkeypatch.setattr(interactions, "MAX_SAMPLED_USERS", users)
    monkeypatch.setattr(interactions, "MAX_SAMPLED_EVENTS", events)
    sample = interactions.sample_users(log[0], 0)
    assert 1 <= sample.users <= users
    assert sample.users == 1 or len(sample["time"]) <= events

"""The named columns, against one user at a time in plain Python."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data import sequence_queries
from lookalike.data.database import Database
from lookalike.data.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences, Vocabulary
from lookalike.embeddings.aggregates import HOUR_BINS, NEVER_DAYS, RECENT_DAYS, fit_aggregates
from planted_log import built, insert_events
from random_log import insert_log, random_log


def signed_log(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value)))


def expected_columns(arrays: Sequences, vocabulary: Vocabulary, row: int) -> dict[str, float]:
    """The named columns of one user, by looping over the events."""
    events = range(int(arrays.offsets[row]), int(arrays.offsets[row + 1]))
    times = [int(arrays["time"][event]) for event in events]
    visits = sum(1 for n, time in enumerate(times) if n == 0 or time - times[n - 1] > BASKET_GAP)
    moments = [datetime.fromtimestamp(time, UTC) for time in times]
    day = SECONDS_PER_DAY
    values = [float(arrays["value"][event]) for event in events if not np.isnan(arrays["value"][event])]
    quantities = [float(arrays["quantity"][event]) for event in events if not np.isnan(arrays["quantity"][event])]
    columns = {
        "log_events": np.log1p(len(times)),
        "log_visits": np.log1p(visits),
        "log_days": np.log1p(len({moment.date() for moment in moments})),
        "log_items": np.log1p(len({int(arrays["item"][event]) for event in events} - {-1})),
        "log_recency_days": np.log1p((arrays.as_of - times[-1]) / day),
        "log_tenure_days": np.log1p((arrays.as_of - times[0]) / day),
        "log_days_between_visits": np.log1p((times[-1] - times[0]) / day / max(1, visits - 1)),
        "log_value": signed_log(sum(values)),
        "log_value_per_event": signed_log(sum(values) / len(times)),
        "log_quantity": signed_log(sum(quantities)),
    }
    for days in RECENT_DAYS:
        columns[f"log_events_last_{days}_days"] = np.log1p(sum(time >= arrays.as_of - days * day for time in times))
    for part in range(HOUR_BINS):
        share = np.mean([moment.hour // 3 == part for moment in moments])
        columns[f"hour_{3 * part:02d}_{3 * part + 3:02d}"] = float(share)
    for weekday in range(7):
        columns[f"weekday_{weekday + 1}"] = float(np.mean([moment.isoweekday() == weekday + 1 for moment in moments]))
    for field, words in vocabulary.codes.items():
        if len(words) > 1:
            for code, word in enumerate(words, 1):
                columns[f"{field}={word}"] = np.log1p(sum(int(arrays[field][event]) == code for event in events))
    offsets, codes = vocabulary.item_attributes
    counts: Counter[int] = Counter()
    for event in events:
        item = int(arrays["item"][event])
        if item >= 0:
            counts.update(codes[offsets[item] : offsets[item + 1]].tolist())
    for code, (attribute, value) in enumerate(vocabulary.attributes):
        columns[f"{attribute}={value}"] = np.log1p(counts[code])
    profile = arrays.profile[1][arrays.profile[0][row] : arrays.profile[0][row + 1]].tolist()
    for code, (attribute, value) in enumerate(vocabulary.profile):
        columns[f"{attribute}={value}"] = float(code in profile)
    return {name: float(value) for name, value in columns.items()}


def test_every_column_is_what_a_loop_over_the_events_gives(rich_log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = rich_log
    aggregates = fit_aggregates(arrays, vocabulary, 50)
    columns = aggregates.transform(arrays)
    assert columns.shape == (arrays.users, len(aggregates.names))
    assert len(set(aggregates.names)) == len(aggregates.names)
    assert {"brand=b0", "word=big", "plan=pro", "event_type=view", "country=DE"} <= set(aggregates.names)
    for row in range(arrays.users):
        expected = expected_columns(arrays, vocabulary, row)
        assert set(expected) == set(aggregates.names)
        for name, value in zip(aggregates.names, columns[row], strict=True):
            assert value == pytest.approx(expected[name], abs=1e-5), (row, name)


def test_blocks_of_users_have_the_same_columns_as_all_at_once(rich_log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = rich_log
    aggregates = fit_aggregates(arrays, vocabulary, 50)
    for first, last in [(0, 1), (3, 9), (11, 12)]:
        assert np.array_equal(aggregates.transform(arrays.block(first, last)), aggregates.transform(arrays)[first:last])


def test_users_without_events_have_finite_columns(rich_log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = rich_log
    earlier = sequence_queries.events_before(arrays, int(np.quantile(np.asarray(arrays["time"]), 0.05)))
    inactive = np.diff(earlier.offsets) == 0
    assert inactive.any()
    columns = fit_aggregates(arrays, vocabulary, 50).transform(earlier)
    assert np.isfinite(columns).all()
    assert (columns[inactive, 0] == 0).all()


def test_without_attributes_the_most_common_items_are_counted(database: Database, tmp_path: Path) -> None:
    insert_log(database, random_log(4))
    arrays, vocabulary = built(database, tmp_path)
    aggregates = fit_aggregates(arrays, vocabulary, 3)
    users_of: Counter[int] = Counter()
    for row in range(arrays.users):
        users_of.update(set(np.asarray(arrays["item"][arrays.offsets[row] : arrays.offsets[row + 1]]).tolist()) - {-1})
    common = sorted(users_of, key=lambda item: (-users_of[item], item))[:3]
    names = [name for name in aggregates.names if name.startswith("item=")]
    assert names == [f"item={vocabulary.items[item]}" for item in common]


@pytest.mark.parametrize(("users", "items"), [(1, 1), (2, 1), (1, 5), (3, 2)])
def test_the_smallest_logs_have_columns(database: Database, tmp_path: Path, users: int, items: int) -> None:
    rows = [{"user_id": f"u{user}", "item_id": f"i{item}"} for user in range(users) for item in range(items)]
    insert_events(database, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(database, tmp_path)
    assert np.isfinite(fit_aggregates(arrays, vocabulary, 8).transform(arrays)).all()


def test_a_log_without_items_has_columns(database: Database, tmp_path: Path) -> None:
    insert_events(database, pl.DataFrame({"user_id": ["a", "b", "b"], "ts": [datetime(2024, 1, 1)] * 3}))
    arrays, vocabulary = built(database, tmp_path)
    assert fit_aggregates(arrays, vocabulary, 8).transform(arrays)[:, 0] == pytest.approx(np.log1p([1, 2]))


def test_people_without_events_have_finite_columns_and_have_not_been_here_today(
    rich_log: tuple[Sequences, Vocabulary],
) -> None:
    arrays, vocabulary = rich_log
    aggregates = fit_aggregates(arrays, vocabulary, 50)
    nobody = sequence_queries.events_before(arrays, 0)
    nobody = Sequences(arrays.as_of, nobody.offsets, nobody.columns, arrays.profile)
    columns = dict(zip(aggregates.names, aggregates.transform(nobody).T, strict=True))
    active = dict(zip(aggregates.names, aggregates.transform(arrays).T, strict=True))
    for name in ("log_recency_days", "log_tenure_days"):
        assert (columns[name] == np.float32(np.log1p(NEVER_DAYS))).all()
        assert (columns[name] > active[name].max()).all()
    profile = {f"{attribute}={value}" for attribute, value in vocabulary.profile}
    for name, values in columns.items():
        if name in profile:
            assert np.array_equal(values, active[name])
        elif name not in ("log_recency_days", "log_tenure_days"):
            assert not values.any(), name

"""The content block: unit vectors by taste, and zeros where nothing is known."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data.database import Database
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import interactions
from lookalike.embeddings.content import fit_content
from planted_log import built, insert_events


def test_vectors_have_unit_length_or_are_zero(rich_log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = rich_log
    without_items = np.diff(interactions.item_counts(arrays).indptr) == 0
    vectors = fit_content(arrays, vocabulary, 4, 0).transform(arrays)
    assert np.allclose(np.linalg.norm(vectors[~without_items], axis=1), 1, atol=1e-5)
    assert (vectors[without_items] == 0).all()


def test_blocks_of_users_have_the_same_vectors_as_all_at_once(rich_log: tuple[Sequences, Vocabulary]) -> None:
    arrays, vocabulary = rich_log
    content = fit_content(arrays, vocabulary, 4, 0)
    for first, last in [(0, 1), (3, 9), (11, 12)]:
        assert np.array_equal(content.transform(arrays.block(first, last)), content.transform(arrays)[first:last])


def test_a_user_with_no_fitted_term_has_zeros_and_not_noise(database: Database, tmp_path: Path) -> None:
    """Rounding errors scaled to unit length would be a random direction."""
    rows = [{"user_id": f"u{n:02d}", "item_id": f"i{item}"} for n in range(40) for item in (n % 4, (n + 1) % 4, n % 3)]
    rows += [{"user_id": "v0", "item_id": "new1"}, {"user_id": "v1", "item_id": "new2"}]
    insert_events(database, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(database, tmp_path)
    sample = arrays.take(np.arange(40))
    vectors = fit_content(sample, vocabulary, 8, 0).transform(arrays)
    assert np.allclose(np.linalg.norm(vectors[:40], axis=1), 1, atol=1e-5)
    assert (vectors[40:] == 0).all()


def test_users_of_similar_taste_are_close(database: Database, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    group = np.arange(200) % 2
    rows = [
        {"user_id": f"u{n:03d}", "item_id": f"i{2 * int(rng.integers(0, 15)) + group[n]:02d}"}
        for n in range(200)
        for _ in range(8)
    ]
    insert_events(database, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(database, tmp_path)
    vectors = fit_content(arrays, vocabulary, 8, 0).transform(arrays)
    cosines = vectors @ vectors.T
    same_group = group[:, None] == group
    assert cosines[same_group].mean() > cosines[~same_group].mean() + 0.3


@pytest.mark.parametrize(("users", "items"), [(1, 1), (2, 1), (1, 5), (3, 2)])
def test_the_smallest_logs_have_vectors(database: Database, tmp_path: Path, users: int, items: int) -> None:
    rows = [{"user_id": f"u{user}", "item_id": f"i{item}"} for user in range(users) for item in range(items)]
    insert_events(database, pl.DataFrame(rows).with_columns(ts=pl.datetime(2024, 1, 1)))
    arrays, vocabulary = built(database, tmp_path)
    content = fit_content(arrays, vocabulary, 8, 0)
    vectors = content.transform(arrays)
    assert np.isfinite(vectors).all()
    assert vectors.shape == (users, content.width)


def test_a_log_without_items_has_zeros(database: Database, tmp_path: Path) -> None:
    insert_events(database, pl.DataFrame({"user_id": ["a", "b", "b"], "ts": [datetime(2024, 1, 1)] * 3}))
    arrays, vocabulary = built(database, tmp_path)
    assert (fit_content(arrays, vocabulary, 8, 0).transform(arrays) == 0).all()

"""A log with everything that the blocks read."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from lookalike.data import private_values
from lookalike.data.database import Database
from lookalike.data.sequences import Sequences, Vocabulary
from planted_log import built
from random_log import insert_log, random_log


@pytest.fixture
def rich_log(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Sequences, Vocabulary]:
    """12 users over years, with refunds, events without an item, and attributes of items and users."""
    monkeypatch.setattr(private_values, "MIN_USERS_PER_VALUE", 1)
    rng = np.random.default_rng(3)
    rows = random_log(2, events=500)
    for row in rows:
        row["ts"] = datetime(2024, 1, 1) + (row["ts"] - datetime(2024, 1, 1)) * int(rng.integers(1, 6_000))
        row["value"] = None if row["value"] is None else row["value"] - 1.5
    insert_log(database, rows)
    database.connection.execute(
        """INSERT INTO item_attributes SELECT 'i' || i, 'brand', 'b' || (i % 3) FROM range(8) t(i)
           UNION ALL SELECT 'i' || i, 'word', 'big' FROM range(0, 9, 2) t(i)"""
    )
    database.connection.execute("INSERT INTO user_attributes VALUES ('u1', 'plan', 'pro'), ('u2', 'plan', 'free')")
    return built(database, tmp_path)

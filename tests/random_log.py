"""A random log as rows of plain Python, for comparing the arrays with loops over it."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from lookalike.data.database import Database
from planted_log import insert_events

START = datetime(2024, 1, 1)
SCHEMA = {"item_id": pl.String, "value": pl.Float64, "quantity": pl.Float64, "country": pl.String}
Row = dict[str, Any]


def random_log(seed: int, users: int = 12, events: int = 300) -> list[Row]:
    """Many events at the same moment, missing fields, a user with one event, ids in several scripts."""
    rng = np.random.default_rng(seed)
    names = [f"u{n}" for n in range(users - 3)] + ["Zoë", "用户", "=cmd"]
    owner = np.append(rng.integers(0, users - 1, events), users - 1)
    return [
        {
            "user_id": names[u],
            "ts": START + timedelta(minutes=int(rng.integers(0, 40))),
            "item_id": None if rng.random() < 0.2 else f"i{rng.integers(0, 9)}",
            "event_type": str(rng.choice(["view", "cart", "buy"], p=[0.7, 0.2, 0.1])),
            "value": None if rng.random() < 0.5 else float(rng.integers(0, 5)),
            "quantity": None if rng.random() < 0.9 else 2.0,
            "country": None if rng.random() < 0.5 else str(rng.choice(["DE", "FR"])),
        }
        for u in owner
    ]


def insert_log(database: Database, log: list[Row]) -> None:
    insert_events(database, pl.DataFrame(log, schema_overrides=SCHEMA))

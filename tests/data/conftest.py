"""A log of seven events that the tests of the queries share."""

from datetime import datetime

import pytest

from lookalike.data.database import Database

EVENTS = [  # user, day of March 2024, event type, item, country
    ("bob", 1, "view", "a", "de"),
    ("bob", 2, "purchase", "b", "de"),
    ("ann", 3, "view", "b", None),
    ("ann", 3, "view", "a", "fr"),
    ("cy", 4, "view", None, "de"),
    ("ann", 9, "view", "c", "de"),
    ("zed", 12, "view", "a", "it"),  # the only event after 10 March, the cut of most tests
]


@pytest.fixture
def march_log(database: Database) -> Database:
    """The database with the seven events."""
    for user, day, event_type, item, country in EVENTS:
        database.rows(
            "INSERT INTO events (user_id, ts, event_type, item_id, country, file_id) VALUES (?, ?, ?, ?, ?, 1)",
            *(user, datetime(2024, 3, day), event_type, item, country),
        )
    return database

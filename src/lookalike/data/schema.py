"""The words for columns: what an event, an item and a user are made of, wherever they are read or stored."""

from typing import Final

# Canonical event fields and their DuckDB types. Source of the names: docs/data-formats.md.
EVENT_FIELDS: Final[dict[str, str]] = {
    "user_id": "VARCHAR",
    "ts": "TIMESTAMP",  # UTC
    "event_type": "VARCHAR",
    "item_id": "VARCHAR",
    "value": "DOUBLE",  # of the whole line, refunds negative
    "quantity": "DOUBLE",
    "session_id": "VARCHAR",
    "country": "VARCHAR",
    "device": "VARCHAR",
    "source": "VARCHAR",  # the channel that brought the visit
    "event_id": "VARCHAR",  # the sender's own id; duplicates are found by it where it is given
}


REQUIRED_EVENT_FIELDS: Final = ("user_id", "ts")


CONTEXT_FIELDS: Final = ("country", "device", "source")


# Where columns that a caller declares are kept. Their own names are data, so they are in no statement.
CONTEXT_SLOTS: Final = tuple(f"context_{number}" for number in range(1, 9))


RESERVED_NAMES: Final = (*EVENT_FIELDS, "time", "item")  # of the arrays that later steps read


DEFAULT_EVENT_TYPE: Final = "event"


MAX_ID_LENGTH: Final = 10_000


# The key of an items or users table; all its other columns are attributes.
ITEM_KEY: Final = "item_id"


USER_KEY: Final = "user_id"


# How one attribute column became rows of (attribute, value).
WORD: Final = "word"  # attribute name of the words of a title or description

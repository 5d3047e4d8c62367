"""Names of the columns of events, items and users, shared by everything that reads or stores them."""

from typing import Final, Literal

from pydantic import Field

from lookalike.workspace.records import Record

# Canonical event fields and their DuckDB types, described in docs/data-formats.md.
EVENT_FIELDS: Final[dict[str, str]] = {
    "user_id": "VARCHAR",
    "ts": "TIMESTAMP",  # UTC
    "event_type": "VARCHAR",
    "item_id": "VARCHAR",
    "value": "DOUBLE",  # of the whole line; refunds are negative
    "quantity": "DOUBLE",
    "session_id": "VARCHAR",
    "country": "VARCHAR",
    "device": "VARCHAR",
    "source": "VARCHAR",  # the marketing channel of the visit
    "event_id": "VARCHAR",  # assigned by the sender; duplicates are found by it where it is present
}
ID_FIELDS: Final = ("user_id", "item_id", "session_id", "event_id")  # never cut: two would become one
REQUIRED_EVENT_FIELDS: Final = ("user_id", "ts")
CONTEXT_FIELDS: Final = ("country", "device", "source")
DEFAULT_EVENT_TYPE: Final = "event"
MAX_ID_LENGTH: Final = 10_000  # longer ones are rejected
MAX_TEXT_LENGTH: Final = 1_000  # longer ones are cut; of a text that becomes words, ten times as much is read

# Columns of `events` that hold declared context columns. A declared name is data, so it never appears in SQL.
CONTEXT_SLOTS: Final = tuple(f"context_{number}" for number in range(1, 9))

# Names that a declared context column cannot have, because the event arrays use them.
RESERVED_NAMES: Final = (*EVENT_FIELDS, "time", "item")

# The key of an items or users table; every other column is an attribute.
ITEM_KEY: Final = "item_id"
USER_KEY: Final = "user_id"

# The attribute that holds the words of titles and descriptions.
WORD: Final = "word"


class SourceFile(Record):
    """A file that was ingested."""

    name: str = Field(description="without its folder")
    sha256: str
    kind: Literal["events", "items", "users"]

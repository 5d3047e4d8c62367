"""Counts of the whole log that are carried from ingest to ingest, so that a day's file costs what the day is worth.

    seen_users (user_id)   seen_items (item_id)   days (day, events)

They cover the files up to `tallied` in `meta`; an ingest that was killed before its tally is made up for by the next.
"""

from typing import Final

from lookalike.data.database import Database
from lookalike.data.ingest.results import Totals

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen_users (user_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS seen_items (item_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS days (day DATE NOT NULL, events BIGINT NOT NULL);
INSERT OR IGNORE INTO meta VALUES ('tallied', '0');
"""


def update_counts(store: Database) -> int:
    """Counts the events of files that were not counted yet; gives the number of the last file before them."""
    store.connection.execute(_SCHEMA)
    ((since,),) = store.rows("SELECT value::INTEGER FROM meta WHERE key = 'tallied'")
    ((last,),) = store.rows("SELECT coalesce(max(file_id), 0) FROM files")
    with store.transaction():
        for name, column in (("seen_users", "user_id"), ("seen_items", "item_id")):
            store.connection.execute(
                f"INSERT INTO {name} SELECT DISTINCT {column} FROM events ANTI JOIN {name} USING ({column}) "
                f"WHERE file_id > ? AND {column} IS NOT NULL",
                [since],
            )
        store.connection.execute(
            "INSERT INTO days SELECT ts::DATE, count(*) FROM events WHERE file_id > ? GROUP BY ALL", [since]
        )
        store.connection.execute("UPDATE meta SET value = ? WHERE key = 'tallied'", [str(last)])
    return int(since)


def events_after(file: int) -> str:
    """The events of the files after one, as a table."""
    return f"(FROM events WHERE file_id > {file:d})"


def sample_condition(events: int, wanted: int) -> str:
    """A condition for about so many of the events, the same ones in whatever order they are stored."""
    return f"hash(user_id, ts) % {max(1, events // wanted):d} = 0"


def totals(store: Database) -> Totals:
    """What the store holds."""
    counts = (f"(SELECT count(*) FROM {table})" for table in ("events", "seen_users", "seen_items"))
    ((events, users, items),) = store.rows(f"SELECT {', '.join(counts)}")
    ((first, last),) = store.rows("SELECT min(first_ts), max(last_ts) FROM files")
    return Totals(events, users, items, first, last)

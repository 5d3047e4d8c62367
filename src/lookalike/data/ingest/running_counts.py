"""Counts of the whole log that are carried from ingest to ingest, so that a day's file costs what the day is worth.

    seen_users (user_id)   seen_items (item_id)   days (day, events)

They cover the files up to number `tallied` in `meta`. Files that an interrupted ingest left uncounted are counted by
the next one.
"""

from typing import Final

from lookalike.data.database import Database, last_file_id
from lookalike.data.ingest.results import Totals

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen_users (user_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS seen_items (item_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS days (day DATE NOT NULL, events BIGINT NOT NULL);
INSERT OR IGNORE INTO meta VALUES ('tallied', '0');
"""


def counted_files(database: Database) -> int:
    """The number of the last file that is counted."""
    database.connection.execute(_SCHEMA)
    ((counted,),) = database.rows("SELECT value::INTEGER FROM meta WHERE key = 'tallied'")
    return int(counted)


def forget_counts(database: Database) -> None:
    """Has all events counted anew: what a removed file brought cannot be taken off."""
    for table in ("seen_users", "seen_items", "days"):
        if database.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", table):
            database.connection.execute(f"DELETE FROM {table}")
    database.connection.execute("UPDATE meta SET value = '0' WHERE key = 'tallied'")


def update_counts(database: Database) -> None:
    """Counts the events of the files not counted yet."""
    counted = counted_files(database)
    last = last_file_id(database)
    with database.transaction():
        for table, column in (("seen_users", "user_id"), ("seen_items", "item_id")):
            database.connection.execute(
                f"INSERT INTO {table} SELECT DISTINCT {column} FROM events ANTI JOIN {table} USING ({column}) "
                f"WHERE file_id > ? AND {column} IS NOT NULL",
                [counted],
            )
        database.connection.execute(
            "INSERT INTO days SELECT ts::DATE, count(*) FROM events WHERE file_id > ? GROUP BY ALL", [counted]
        )
        database.connection.execute("UPDATE meta SET value = ? WHERE key = 'tallied'", [str(last)])


def events_after(file_id: int) -> str:
    """The events of all files after one, as a table expression."""
    return f"(FROM events WHERE file_id > {file_id:d})"


def sample_condition(events: int, sample_size: int) -> str:
    """An SQL condition that holds for about `sample_size` of the events, the same ones in any storage order."""
    return f"hash(user_id, ts) % {max(1, events // sample_size):d} = 0"


def totals(database: Database) -> Totals:
    """What the workspace holds. Needs up-to-date counts."""
    counts = (f"(SELECT count(*) FROM {table})" for table in ("events", "seen_users", "seen_items"))
    ((events, users, items),) = database.rows(f"SELECT {', '.join(counts)}")
    ((first, last),) = database.rows("SELECT min(first_ts), max(last_ts) FROM files")
    return Totals(events=events, users=users, items=items, first=first, last=last)

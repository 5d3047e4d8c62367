"""The standing list in the workspace's database: lists of ids that must not be listed in any expansion."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from lookalike.data.database import Database
from lookalike.data.standing_lists import StandingList

if TYPE_CHECKING:
    import polars as pl

_LAST_NUMBER = "last_suppression_list"  # key in `meta`
_TABLES = """
CREATE TABLE IF NOT EXISTS suppression_lists (
    number INTEGER PRIMARY KEY, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, reason VARCHAR NOT NULL, until DATE,
    added TIMESTAMP NOT NULL, unmatched BIGINT, allowed DOUBLE);
CREATE TABLE IF NOT EXISTS suppressed_ids (number INTEGER NOT NULL, user_id VARCHAR NOT NULL);
"""


@dataclass(frozen=True)
class NewList:
    """A list to be added."""

    name: str
    sha256: str
    reason: str
    until: date | None
    ids: "pl.DataFrame"  # user_id
    unmatched: int | None  # see StandingList
    allowed: float | None  # see StandingList


def today() -> date:
    """The day by which lists end, in UTC."""
    return datetime.now(UTC).date()


def add_list(database: Database, new: NewList) -> tuple[StandingList, bool]:
    """The list, and whether the same one stood there already: then only those ids are added that were removed since."""
    terms = (new.sha256, new.reason, new.until)
    same = [each.number for each in standing_lists(database) if (each.sha256, each.reason, each.until) == terms]
    with database.transaction(), database.registered(new_ids=new.ids.select("user_id").unique()):
        database.connection.execute(_TABLES)
        number = same[0] if same else _next_number(database)
        if not same:
            added = datetime.now(UTC).replace(tzinfo=None)
            database.connection.execute(
                "INSERT INTO suppression_lists VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
                [number, new.name, new.sha256, new.reason, new.until, added],
            )
        database.connection.execute(
            "UPDATE suppression_lists SET unmatched = coalesce(?, unmatched), allowed = coalesce(?, allowed) "
            "WHERE number = ?",
            [new.unmatched, new.allowed, number],
        )
        database.connection.execute(
            "INSERT INTO suppressed_ids SELECT ?, user_id FROM new_ids "
            "WHERE user_id NOT IN (SELECT user_id FROM suppressed_ids WHERE number = ?)",
            [number, number],
        )
    return next(each for each in standing_lists(database) if each.number == number), bool(same)


def _next_number(database: Database) -> int:
    """A number that no list ever had: that of a removed list must not come to mean another."""
    ((last,),) = database.rows(
        "SELECT greatest((SELECT coalesce(max(number), 0) FROM suppression_lists), "
        "(SELECT coalesce(max(value::INTEGER), 0) FROM meta WHERE key = ?))",
        _LAST_NUMBER,
    )
    database.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [_LAST_NUMBER, str(last + 1)])
    return int(last) + 1


def standing_lists(database: Database) -> tuple[StandingList, ...]:
    """All lists, also those that have ended, in the order in which they were added."""
    if not _is_kept(database):
        return ()
    rows = database.rows(
        """SELECT number, name, sha256, reason, until, added,
                  (SELECT count(*) FROM suppressed_ids AS i WHERE i.number = l.number), unmatched, allowed
           FROM suppression_lists AS l ORDER BY number"""
    )
    names = ("number", "name", "sha256", "reason", "until", "added", "ids", "unmatched", "allowed")
    return tuple(StandingList(**dict(zip(names, row, strict=True))) for row in rows)


def suppressed_on(database: Database, day: date) -> "pl.DataFrame":
    """Everybody who is suppressed on a day: columns `number` (of the list) and `user_id`."""
    if not _is_kept(database):
        return database.frame("SELECT 0 AS number, '' AS user_id WHERE false")
    return database.frame(
        """SELECT number, user_id FROM suppressed_ids JOIN suppression_lists USING (number)
           WHERE until IS NULL OR until >= ? ORDER BY number, user_id""",
        day,
    )


def count_suppressed(database: Database, day: date) -> int:
    """How many different ids are suppressed on a day."""
    if not _is_kept(database):
        return 0
    ((ids,),) = database.rows(
        """SELECT count(DISTINCT user_id) FROM suppressed_ids JOIN suppression_lists USING (number)
           WHERE until IS NULL OR until >= ?""",
        day,
    )
    return int(ids)


def remove_list(database: Database, number: int) -> int:
    """Removes one list; gives how many ids it had."""
    with database.transaction():
        ((ids,),) = database.rows("DELETE FROM suppressed_ids WHERE number = ?", number)
        database.connection.execute("DELETE FROM suppression_lists WHERE number = ?", [number])
    return int(ids)


def remove_ids(database: Database, ids: "pl.DataFrame") -> int:
    """Removes ids (`user_id`) as they are written from all lists; gives how many entries there were."""
    if not _is_kept(database):
        return 0
    with database.registered(gone=ids.select("user_id")):
        ((entries,),) = database.rows("DELETE FROM suppressed_ids WHERE user_id IN (SELECT user_id FROM gone)")
    return int(entries)


def _is_kept(database: Database) -> bool:
    """Whether there is a standing list. A workspace in which nobody was suppressed has no tables for it."""
    return bool(database.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'suppression_lists'"))

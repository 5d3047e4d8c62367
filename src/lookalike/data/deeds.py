"""Deeds: events that fulfil a rule, such as having bought an item of one category, and who did them when.

A deed is named by terms, pairs of a field and a value. A field is `item`, `event_type`, a context column, or an attribute
of items. Values reach SQL as rows of a registered frame, never as text.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from lookalike.data.database import Cut, Database, coded_fields

ITEM: Final = "item"
_ITEM_COLUMN: Final = "item_id"

Terms = tuple[tuple[str, str], ...]  # (field, value)


@dataclass(frozen=True)
class DeedFields:
    """What a term may name."""

    columns: dict[str, str]  # event type and context columns: name -> column of `events`
    attributes: tuple[str, ...]  # of items

    @property
    def names(self) -> tuple[str, ...]:
        return (ITEM, *self.columns, *self.attributes)


def deed_fields(database: Database) -> DeedFields:
    """The fields of this log. Where an attribute of items has the name of a column of events, the column is meant."""
    columns = {name: column for name, column in coded_fields(database).items() if name != ITEM}
    rows = database.rows("SELECT DISTINCT attribute FROM item_attributes ORDER BY 1")
    return DeedFields(columns, tuple(name for (name,) in rows if name not in (ITEM, *columns)))


def first_deeds(
    database: Database, terms: Terms, cut: Cut, since: datetime | None = None, times: int = 1
) -> pl.DataFrame:
    """When each user fulfilled the rule: `user_id` and `moment` (seconds since 1970), the time of the deed that made it
    so many since then. Users who had not before the cut are left out."""
    with _registered(database, terms) as is_deed:
        return database.frame(
            f"""SELECT user_id, floor(epoch(list_sort(list(ts))[{int(times)}]))::BIGINT AS moment
                FROM events e WHERE ts < ? AND ts >= ? AND ({is_deed})
                GROUP BY user_id HAVING count(*) >= {int(times)}""",
            cut.as_of,
            since or datetime.min,
        )


def deed_items(database: Database, terms: Terms) -> list[str]:
    """The items whose events fulfil a term, ascending."""
    with _registered(database, terms):
        return [item for (item,) in database.rows(f"SELECT DISTINCT item_id FROM ({_ITEMS}) ORDER BY 1")]


def deeds_of_users(database: Database, users: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """What some users (column `user_id`) have done before the cut, each thing once: `user_id`, `field`, `value`."""
    fields = deed_fields(database)
    columns = {ITEM: _ITEM_COLUMN, **fields.columns}
    attributes = pl.DataFrame({"attribute": list(fields.attributes)}, {"attribute": pl.String})
    done = [
        f"SELECT user_id, ?::VARCHAR AS field, {column} AS value FROM acts WHERE {column} IS NOT NULL"
        for column in columns.values()
    ]
    done.append(
        """SELECT user_id, attribute AS field, a.value FROM acts JOIN item_attributes a USING (item_id)
           WHERE attribute IN (SELECT attribute FROM deed_attributes)"""
    )
    with database.registered(chosen_users=users.select("user_id"), deed_attributes=attributes):
        return database.frame(
            f"""WITH acts AS (
                    SELECT DISTINCT user_id, {", ".join(columns.values())} FROM events
                    WHERE ts < ? AND user_id IN (SELECT user_id FROM chosen_users))
                {" UNION ".join(done)}""",
            cut.as_of,
            *columns,
        )


_ITEMS: Final = f"""
SELECT a.item_id FROM item_attributes a JOIN deed_terms t ON t.source = '' AND a.attribute = t.field AND a.value = t.value
UNION ALL SELECT value FROM deed_terms WHERE source = '{_ITEM_COLUMN}'"""


@contextlib.contextmanager
def _registered(database: Database, terms: Terms) -> Iterator[str]:
    """Makes the terms a table `deed_terms`; yields the condition that a row `e` of `events` fulfils one of them."""
    columns = {ITEM: _ITEM_COLUMN, **deed_fields(database).columns}
    frame = pl.DataFrame(
        {
            "source": [columns.get(field, "") for field, _ in terms],  # the column of `events`; none for an attribute
            "field": [field for field, _ in terms],
            "value": [value for _, value in terms],
        }
    )
    used = sorted({columns[field] for field, _ in terms if field in columns and field != ITEM})
    conditions = [f"e.item_id IN ({_ITEMS})"]
    conditions += [f"e.{column} IN (SELECT value FROM deed_terms WHERE source = '{column}')" for column in used]
    with database.registered(deed_terms=frame):
        yield " OR ".join(conditions)


def count_with_other_events(database: Database, terms: Terms, users: pl.DataFrame, cut: Cut) -> int:
    """How many of some users (column `user_id`) have done anything else before the cut."""
    with _registered(database, terms) as is_deed, database.registered(chosen_users=users.select("user_id")):
        ((count,),) = database.rows(
            f"""SELECT count(DISTINCT user_id) FROM events e
                WHERE ts < ? AND NOT coalesce({is_deed}, false) AND user_id IN (SELECT user_id FROM chosen_users)""",
            cut.as_of,
        )
    return int(count)


def deed_times(database: Database, terms: Terms, users: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Every deed of some users (column `user_id`) before the cut: `user_id`, `time` (seconds since 1970, as in sequences)."""
    with _registered(database, terms) as is_deed, database.registered(chosen_users=users.select("user_id")):
        return database.frame(
            f"""SELECT user_id, epoch(ts)::BIGINT AS time FROM events e
                WHERE ts < ? AND ({is_deed}) AND user_id IN (SELECT user_id FROM chosen_users)""",
            cut.as_of,
        )

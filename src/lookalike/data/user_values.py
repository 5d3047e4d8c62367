"""What is known of people: attributes of the users table, and the last known value of each context column of their events."""

from datetime import datetime

import polars as pl

from lookalike.data.database import Cut, Database, coded_fields, quoted
from lookalike.data.deeds import Terms

MAX_SHOWN = 8


def user_fields(database: Database) -> tuple[str, ...]:
    """What a condition on people may name. Where an attribute has the name of a context column, the attribute is meant."""
    attributes = _attributes(database)
    return (*attributes, *(name for name in _context_columns(database) if name not in attributes))


def users_with_values(database: Database, terms: Terms, cut: Cut) -> pl.DataFrame:
    """`user_id` of everybody of whom one of the terms, (field, value), is true before the cut, each once."""
    columns, attributes = _context_columns(database), _attributes(database)
    frame = pl.DataFrame(
        {"field": [field for field, _ in terms], "value": [value for _, value in terms]},
        {"field": pl.String, "value": pl.String},
    )
    queries = [
        "SELECT DISTINCT user_id FROM user_attributes a JOIN terms t ON a.attribute = t.field AND a.value = t.value"
    ]
    values: list[str | datetime] = []
    for field in sorted({field for field, _ in terms if field in columns and field not in attributes}):
        query = _last_values(columns[field])
        queries.append(f"SELECT user_id FROM ({query}) WHERE value IN (SELECT value FROM terms WHERE field = ?)")
        values += [cut.as_of, field]
    with database.registered(terms=frame):
        return database.frame(" UNION ".join(queries), *values)


def common_values(database: Database, field: str, cut: Cut, min_users: int) -> list[str]:
    """The most common values of a field, those of at least so many people."""
    query: str
    value: str | datetime
    query, value = "SELECT DISTINCT user_id, value FROM user_attributes WHERE attribute = ?", field
    if field not in _attributes(database):
        query, value = _last_values(_context_columns(database)[field]), cut.as_of
    rows = database.rows(
        f"SELECT value FROM ({query}) GROUP BY value HAVING count(*) >= ? ORDER BY count(*) DESC, value LIMIT ?",
        value,
        min_users,
        MAX_SHOWN,
    )
    return [shown for (shown,) in rows]


def values_of_users(database: Database, field: str, users: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """The `value` of a field of some users, by `place`: the last known before the cut, or the users table's. Users without
    one are left out. `users` has `user_id` and `place`."""
    with database.registered(asked=users):
        if field in _attributes(database):
            return database.frame(
                """SELECT place, max(value) AS value FROM user_attributes JOIN asked USING (user_id)
                   WHERE attribute = ? GROUP BY place""",
                field,
            )
        query = _last_values(_context_columns(database)[field], "events SEMI JOIN asked USING (user_id)")
        return database.frame(f"SELECT place, value FROM ({query}) JOIN asked USING (user_id)", cut.as_of)


def _attributes(database: Database) -> tuple[str, ...]:
    rows = database.rows("SELECT DISTINCT attribute FROM user_attributes ORDER BY 1")
    return tuple(name for (name,) in rows)


def _context_columns(database: Database) -> dict[str, str]:
    """Name -> column of `events`. What somebody did last, the event type, is not what they are."""
    return {name: column for name, column in coded_fields(database).items() if name != "event_type"}


def _last_values(column: str, events: str = "events") -> str:
    """The query for `user_id` and `value` before a moment; of events at the same time the largest value, so that the answer
    does not depend on the order of rows."""
    name = quoted(column)
    return f"""SELECT user_id, arg_max({name}, (ts, {name})) AS value FROM {events}
               WHERE ts < ? AND {name} IS NOT NULL GROUP BY user_id"""

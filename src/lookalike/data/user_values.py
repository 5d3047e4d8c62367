"""What is known of people: attributes of the users table, and the last known value of each context column of their events."""

from datetime import datetime

import polars as pl

from lookalike.data.database import Cut, Database, coded_fields, quoted
from lookalike.data.deeds import Terms


def user_fields(database: Database) -> tuple[str, ...]:
    """What a condition on people may name. Where an attribute has the name of a column of events, the attribute is meant."""
    rows = database.rows("SELECT DISTINCT attribute FROM user_attributes ORDER BY 1")
    attributes = tuple(name for (name,) in rows)
    return (*attributes, *(name for name in coded_fields(database) if name not in attributes))


def users_with_values(database: Database, terms: Terms, cut: Cut) -> pl.DataFrame:
    """`user_id` of everybody of whom one of the terms, (field, value), is true before the cut, each once."""
    columns = coded_fields(database)
    attributes = {name for (name,) in database.rows("SELECT DISTINCT attribute FROM user_attributes")}
    frame = pl.DataFrame(
        {"field": [field for field, _ in terms], "value": [value for _, value in terms]},
        {"field": pl.String, "value": pl.String},
    )
    queries = ["SELECT user_id FROM user_attributes a JOIN terms t ON a.attribute = t.field AND a.value = t.value"]
    values: list[str | datetime] = []
    for field in sorted({field for field, _ in terms if field in columns and field not in attributes}):
        column = quoted(columns[field])
        # of events at the same time the largest value, so that the answer does not depend on the order of rows
        queries.append(
            f"""SELECT user_id FROM (
                    SELECT user_id, arg_max({column}, (ts, {column})) AS value FROM events
                    WHERE ts < ? AND {column} IS NOT NULL GROUP BY user_id)
                WHERE value IN (SELECT value FROM terms WHERE field = ?)"""
        )
        values += [cut.as_of, field]
    with database.registered(terms=frame):
        return database.frame(" UNION ".join(queries), *values)

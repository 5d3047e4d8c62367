"""Users, items and values encoded as integers, and the events as a stream of those: the queries behind the arrays.

`encode_ids` comes first: it creates the temporary tables that everything else here reads.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from pyarrow import RecordBatchReader

from lookalike.data.database import CODED_FIELDS, MAX_CODES, Cut, Database, coded_fields, quoted
from lookalike.data.schema import CONTEXT_SLOTS
from lookalike.data.sequences import Vocabulary

MIN_USERS_PER_VALUE = 25  # a value of a user attribute with fewer users gets no code


def encode_ids(database: Database, cut: Cut, vocabulary: Vocabulary | None = None) -> None:
    """Creates the temporary tables that assign integers to users, items and values.

    The integers depend on the content alone: users are numbered by id, items and values by count and then by name.
    With the `vocabulary` of an earlier training its items and codes keep their numbers; new items are numbered after
    them, and new values get no code.
    """
    _number_users(database, cut)
    _number_items(database, cut, vocabulary.items if vocabulary else [])
    database.connection.execute("CREATE OR REPLACE TEMP TABLE encoded_fields (place INTEGER, name VARCHAR, field VARCHAR)")
    for place, (name, field) in enumerate(coded_fields(database, vocabulary.codes if vocabulary else None).items()):
        database.connection.execute("INSERT INTO encoded_fields VALUES (?, ?, ?)", [place, name, field])
        if vocabulary:
            values = pl.DataFrame({"value": vocabulary.codes[name]}, {"value": pl.String})
            _write_numbered(database, f"{field}_codes", values, "code", 1)
        else:
            _number_values(database, cut, field)


def _number_users(database: Database, cut: Cut) -> None:
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n
           FROM (SELECT user_id, count(*) AS n
                 FROM events WHERE ts < ? GROUP BY user_id HAVING count(*) >= ?)""",
        [cut.as_of, cut.min_events],
    )


def _number_items(database: Database, cut: Cut, trained_items: list[str]) -> None:
    items = pl.DataFrame({"item_id": trained_items}, {"item_id": pl.String})
    _write_numbered(database, "trained_items", items, "row", 0)
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE item_rows AS
           SELECT (coalesce(t.row, row_number() OVER (PARTITION BY t.row IS NULL ORDER BY n DESC, item_id) - 1
                   + (SELECT count(*) FROM trained_items)))::INTEGER AS row, item_id, coalesce(n, 0) AS n
           FROM (SELECT item_id, count(*) AS n FROM events WHERE ts < ? AND item_id IS NOT NULL GROUP BY item_id)
           FULL JOIN trained_items t USING (item_id)""",
        [cut.as_of],
    )


def _number_values(database: Database, cut: Cut, field: str) -> None:
    database.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {field}_codes AS
            SELECT (row_number() OVER (ORDER BY n DESC, {field}))::INTEGER AS code, {field} AS value
            FROM (SELECT {field}, count(*) AS n FROM events WHERE ts < ? AND {field} IS NOT NULL GROUP BY ALL)
            ORDER BY code LIMIT {MAX_CODES}""",
        [cut.as_of],
    )


def _write_numbered(database: Database, table: str, values: pl.DataFrame, number: str, first: int) -> None:
    """Creates a temporary table of the values in order, with a column `number` that counts up from `first`."""
    with database.registered(numbered=values.with_row_index(number, first)):
        database.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS SELECT * FROM numbered")


def encoded_fields(database: Database) -> dict[str, str]:
    """The fields that `encode_ids` has coded, each with its column of `events`."""
    return dict(database.rows("SELECT name, field FROM encoded_fields ORDER BY place"))


# --- a part of the users ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watermark:
    """What an earlier embedding has read: the events before `as_of` of the files up to `last_file`."""

    as_of: datetime
    last_file: int


def keep_changed_users(database: Database, cut: Cut, watermark: Watermark) -> None:
    """Keeps the users with events past the watermark, numbered anew; `matched_user_rows` maps all users to them."""
    database.connection.execute("DROP TABLE IF EXISTS all_user_rows")
    database.connection.execute("ALTER TABLE user_rows RENAME TO all_user_rows")
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM all_user_rows
           WHERE user_id IN (SELECT user_id FROM events WHERE ts < ? AND (ts >= ? OR file_id > ?))""",
        [cut.as_of, watermark.as_of, watermark.last_file],
    )


def matched_user_rows(database: Database, ids: Path) -> RecordBatchReader:
    """For all users in order, their row in the Parquet file `ids` (`old`) and among the changed users (`changed`).

    A row is -1 where a user is not there. Call it after `keep_changed_users`.
    """
    return database.reader(
        """SELECT coalesce(o.row, -1)::BIGINT AS old, coalesce(c.row, -1)::BIGINT AS changed
           FROM all_user_rows e LEFT JOIN (SELECT row, user_id FROM read_parquet(?)) o USING (user_id)
           LEFT JOIN user_rows c USING (user_id) ORDER BY e.row""",
        str(ids),
    )


def keep_users(database: Database, users: pl.DataFrame) -> None:
    """Keeps the users of the column `user_id`, numbered anew."""
    with database.registered(chosen_users=users.select("user_id")):
        database.connection.execute(
            """CREATE OR REPLACE TEMP TABLE user_rows AS
               SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM user_rows
               WHERE user_id IN (SELECT user_id FROM chosen_users)"""
        )


# --- what was encoded ------------------------------------------------------------------------------------------------


def user_rows(database: Database) -> RecordBatchReader:
    """`row`, `user_id`, `tie` (a hash that orders equal scores) and `events`, in the order of `row`."""
    return database.reader(
        "SELECT row, user_id, md5_number_lower(user_id) AS tie, n AS events FROM user_rows ORDER BY row"
    )


_FLOAT = "(sign({0}) * least(abs({0}), 3e38))::FLOAT"  # clipped, because the cast of a larger double is an error


def event_stream(database: Database, cut: Cut) -> RecordBatchReader:
    """The events of the numbered users in the order of user and time, as codes: 0 is a missing value, -1 no item.

    Events of one user at the same time are ordered by item, then by 32 bits of a hash of the other columns. Any order
    will do that depends on the content alone, and DuckDB sorts keys of up to 24 bytes a third faster than the columns
    themselves. One in four billion pairs of different events with the same user, time and item may come in either order.
    """
    fields = list(encoded_fields(database).values())
    codes = ", ".join(f"coalesce({f}_codes.code, 0)::SMALLINT AS {f}" for f in fields)
    joins = " ".join(f"LEFT JOIN {f}_codes ON {f}_codes.value = e.{f}" for f in fields)
    columns = ", ".join(["value", "quantity", *fields])
    return database.reader(
        f"""SELECT epoch(ts)::BIGINT AS time, item, {columns} FROM (
                SELECT u.row AS user, e.ts AS ts, coalesce(i.row, -1)::INTEGER AS item,
                       {_FLOAT.format("e.value")} AS value, {_FLOAT.format("e.quantity")} AS quantity, {codes}
                FROM events e JOIN user_rows u USING (user_id) LEFT JOIN item_rows i USING (item_id) {joins}
                WHERE e.ts < ?)
            ORDER BY user, ts, item, (hash({columns}) >> 32)::UINTEGER""",
        cut.as_of,
    )


def code_values(database: Database, field: str) -> list[str]:
    """The values of a column of `events` by code; the first has code 1."""
    assert field in (*CODED_FIELDS, *CONTEXT_SLOTS)
    return [value for (value,) in database.rows(f"SELECT value FROM {field}_codes ORDER BY code")]


def item_list(database: Database) -> list[str]:
    """The item ids by item row."""
    return [item for (item,) in database.rows("SELECT item_id FROM item_rows ORDER BY row")]


# --- attributes ------------------------------------------------------------------------------------------------------


def item_attribute_codes(
    database: Database, max_codes: int, vocabulary: Vocabulary | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The most common (attribute, value) pairs of the items by code, and which item (`row`) has which (`code`).

    With a `vocabulary` its pairs are used instead.
    """
    if vocabulary:
        _write_numbered(database, "attribute_codes", _pair_frame(vocabulary.attributes), "code", 0)
    else:
        database.connection.execute(
            """CREATE OR REPLACE TEMP TABLE attribute_codes AS
               SELECT (row_number() OVER (ORDER BY n DESC, attribute, value) - 1)::INTEGER AS code, attribute, value
               FROM (SELECT attribute, value, sum(r.n) AS n FROM item_attributes a JOIN item_rows r USING (item_id)
                     GROUP BY attribute, value HAVING count(*) > 1) ORDER BY code LIMIT ?""",
            [max_codes],
        )
    return _pairs(database, "attribute_codes"), database.frame(
        """SELECT DISTINCT r.row, c.code FROM item_attributes a JOIN item_rows r USING (item_id)
           JOIN attribute_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )


def user_attribute_codes(
    database: Database, max_codes: int, vocabulary: Vocabulary | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The most common (attribute, value) pairs of the users by code, and which user (`row`) has which (`code`).

    A value of fewer than MIN_USERS_PER_VALUE users gets no code: it could identify a person. With a `vocabulary` its
    pairs are used instead.
    """
    if vocabulary:
        _write_numbered(database, "profile_codes", _pair_frame(vocabulary.profile), "code", 0)
    else:
        database.connection.execute(
            """CREATE OR REPLACE TEMP TABLE profile_codes AS
               SELECT (row_number() OVER (ORDER BY n DESC, attribute, value) - 1)::INTEGER AS code, attribute, value
               FROM (SELECT attribute, value, count(*) AS n FROM user_attributes a JOIN user_rows USING (user_id)
                     GROUP BY attribute, value HAVING count(DISTINCT user_id) >= ?) ORDER BY code LIMIT ?""",
            [MIN_USERS_PER_VALUE, max_codes],
        )
    return _pairs(database, "profile_codes"), database.frame(
        """SELECT DISTINCT r.row, c.code FROM user_attributes a JOIN user_rows r USING (user_id)
           JOIN profile_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )


def _pairs(database: Database, table: str) -> list[tuple[str, str]]:
    rows = database.rows(f"SELECT attribute, value FROM {quoted(table)} ORDER BY code")
    return [(attribute, value) for attribute, value in rows]


def _pair_frame(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(pairs, {"attribute": pl.String, "value": pl.String}, orient="row")

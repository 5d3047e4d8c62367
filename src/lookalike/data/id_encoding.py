"""Numbers for users, items and values, and the events as a stream of those numbers.

`encode_ids` writes temporary tables into the connection, which every other function here reads:

    user_rows               row, user_id, n (events before the cut; 0 for people of the users table without any event)
    item_rows               row, item_id, n (events before the cut); without those that `private_values` leaves out,
                            unless the vocabulary has them
    item_people             item, person (hashes): up to 25 people of each item
    encoded_fields          position, name, field: the coded fields and their columns of `events`
    FIELD_codes             code, value; code 0 is a missing value and has no row
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from pyarrow import RecordBatchReader

from lookalike.data import private_values
from lookalike.data.database import CODED_FIELDS, MAX_CODES, Cut, Database, coded_fields, quoted
from lookalike.data.ingest.sql import parquet
from lookalike.data.schema import CONTEXT_SLOTS
from lookalike.data.sequences import Vocabulary

_FLOAT = "(sign({0}) * least(abs({0}), 3e38))::FLOAT"  # casting a larger double to a float is an error


@dataclass(frozen=True)
class Watermark:
    """What an earlier embedding has read: the events before `as_of` of the files up to `last_file`."""

    as_of: datetime
    last_file: int


def encode_ids(database: Database, cut: Cut, vocabulary: Vocabulary | None = None) -> None:
    """Writes the temporary tables that number users, items and values before the cut.

    The numbers depend on the content only: users are ordered by id, items and values by count, then by name.
    With a vocabulary its numbers are kept: new items come after its items, new values have no code.
    """
    _number_users(database, cut)
    private_values.write_personal_items(database, cut)
    _number_items(database, cut, vocabulary.items if vocabulary else [])
    _code_fields(database, cut, vocabulary)
    if vocabulary is None:
        private_values.write_item_people(database, cut)


def _number_users(database: Database, cut: Cut) -> None:
    """People with their first event after the cut are left out, in the users table or not: that table has no dates."""
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           WITH people AS MATERIALIZED (
               SELECT user_id, count(*) FILTER (WHERE ts < $as_of) AS n FROM events GROUP BY user_id)
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM (
               SELECT user_id, n FROM people WHERE n >= greatest(1, $min_events)
               UNION ALL
               SELECT user_id, 0 AS n FROM users ANTI JOIN people USING (user_id) WHERE $min_events = 0)""",
        {"as_of": cut.as_of, "min_events": cut.min_events},
    )


def _number_items(database: Database, cut: Cut, known_items: list[str]) -> None:
    items = pl.DataFrame({"item_id": known_items}, {"item_id": pl.String})
    _write_numbered(database, "known_items", items.with_row_index("row", 0))
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE item_rows AS
           SELECT (coalesce(k.row, row_number() OVER (PARTITION BY k.row IS NULL ORDER BY n DESC, item_id) - 1
                   + (SELECT count(*) FROM known_items)))::INTEGER AS row, item_id, coalesce(n, 0) AS n
           FROM (SELECT item_id, n FROM (
                     SELECT item_id, count(*) AS n FROM events WHERE ts < ? AND item_id IS NOT NULL GROUP BY item_id)
                 ANTI JOIN (FROM personal_items ANTI JOIN known_items USING (item_id)) USING (item_id))
           FULL JOIN known_items k USING (item_id)""",
        [cut.as_of],
    )


def _code_fields(database: Database, cut: Cut, vocabulary: Vocabulary | None) -> None:
    database.connection.execute(
        "CREATE OR REPLACE TEMP TABLE encoded_fields (position INTEGER, name VARCHAR, field VARCHAR)"
    )
    fields = coded_fields(database, vocabulary.codes if vocabulary else None)
    for position, (name, field) in enumerate(fields.items()):
        database.connection.execute("INSERT INTO encoded_fields VALUES (?, ?, ?)", [position, name, field])
        if vocabulary is not None:
            values = pl.DataFrame({"value": vocabulary.codes[name]}, {"value": pl.String})
            _write_numbered(database, f"{field}_codes", values.with_row_index("code", 1))
            continue
        database.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {field}_codes AS
                SELECT (row_number() OVER (ORDER BY n DESC, value))::INTEGER AS code, value
                FROM ({private_values.common_values(field)}) ORDER BY code LIMIT {MAX_CODES}""",
            {"as_of": cut.as_of, "enough": private_values.MIN_USERS_PER_VALUE},
        )


def _write_numbered(database: Database, table: str, numbered: pl.DataFrame) -> None:
    with database.registered(numbered=numbered):
        database.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS SELECT * FROM numbered")


# --- fewer users -------------------------------------------------------------------------------------------------------


def keep_changed_users(database: Database, cut: Cut, watermark: Watermark) -> None:
    """Keeps only users with events that the watermark does not cover, and renumbers them.

    Everybody stays in `all_user_rows`; `matched_user_rows` relates the two.
    """
    database.connection.execute("DROP TABLE IF EXISTS all_user_rows")
    database.connection.execute("ALTER TABLE user_rows RENAME TO all_user_rows")
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM all_user_rows
           WHERE user_id IN (SELECT user_id FROM events WHERE ts < ? AND (ts >= ? OR file_id > ?))""",
        [cut.as_of, watermark.as_of, watermark.last_file],
    )


def keep_users(database: Database, users: pl.DataFrame) -> None:
    """Keeps only the users of a frame with a column `user_id`, and renumbers them."""
    with database.registered(chosen_users=users.select("user_id")):
        database.connection.execute(
            """CREATE OR REPLACE TEMP TABLE user_rows AS
               SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM user_rows
               WHERE user_id IN (SELECT user_id FROM chosen_users)"""
        )


def matched_user_rows(database: Database, old_users: Path) -> RecordBatchReader:
    """After `keep_changed_users`: for each of all users in order, `old` and `changed`, -1 where there is none.

    `old` is the row in `old_users`, the users.parquet of an earlier version; `changed` is the row among the changed.
    """
    return database.reader(
        f"""SELECT coalesce(o.row, -1)::BIGINT AS old, coalesce(c.row, -1)::BIGINT AS changed
           FROM all_user_rows e LEFT JOIN (SELECT row, user_id FROM
               {parquet(old_users)}) o USING (user_id)
           LEFT JOIN user_rows c USING (user_id) ORDER BY e.row"""
    )


# --- what was numbered -------------------------------------------------------------------------------------------------


def user_rows(database: Database) -> RecordBatchReader:
    """`row`, `user_id`, `tie` (the hash that orders equal scores) and `events` (their count), by ascending row."""
    return database.reader(
        "SELECT row, user_id, md5_number_lower(user_id) AS tie, n AS events FROM user_rows ORDER BY row"
    )


def event_stream(database: Database, cut: Cut) -> RecordBatchReader:
    """The events of the numbered users, ordered by user and time: item -1 is no item, code 0 is a missing value.

    Events of one user at one moment are ordered by item, then by 32 bits of a hash of the other columns: any order
    will do that depends on the content only, and DuckDB sorts keys of up to 24 bytes a third faster than the columns
    themselves. Two different events of one user, moment and item have the same hash with a chance of 1 in 4 billion;
    only then may they come in either order.
    """
    fields = list(encoded_fields(database).values())
    codes = ", ".join(f"coalesce({f}_codes.code, 0)::SMALLINT AS {f}" for f in fields)
    joins = " ".join(f"LEFT JOIN {f}_codes ON {f}_codes.value = e.{f}" for f in fields)
    hashed = ", ".join(["value", "quantity", *fields])
    return database.reader(
        f"""SELECT epoch(ts)::BIGINT AS time, item, {hashed} FROM (
                SELECT u.row AS user, e.ts AS ts, coalesce(i.row, -1)::INTEGER AS item,
                       {_FLOAT.format("e.value")} AS value, {_FLOAT.format("e.quantity")} AS quantity, {codes}
                FROM events e JOIN user_rows u USING (user_id) LEFT JOIN item_rows i USING (item_id) {joins}
                WHERE e.ts < ?)
            ORDER BY user, ts, item, (hash({hashed}) >> 32)::UINTEGER""",
        cut.as_of,
    )


def encoded_fields(database: Database) -> dict[str, str]:
    """The coded fields: name -> column of `events`."""
    return dict(database.rows("SELECT name, field FROM encoded_fields ORDER BY position"))


def code_values(database: Database, field: str) -> list[str]:
    """The values of one column of `events` by code; the first has code 1."""
    assert field in (*CODED_FIELDS, *CONTEXT_SLOTS)
    return [value for (value,) in database.rows(f"SELECT value FROM {field}_codes ORDER BY code")]


def item_list(database: Database) -> list[str]:
    """The item ids by row."""
    return [item for (item,) in database.rows("SELECT item_id FROM item_rows ORDER BY row")]


# --- attributes --------------------------------------------------------------------------------------------------------


def item_attribute_codes(
    database: Database, limit: int, vocabulary: Vocabulary | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The (attribute, value) pairs of items by code, and which item has which: columns `row`, `code`, ascending.

    The pairs are those of the vocabulary, or else the `limit` most common of those that enough people have met; a pair of
    a single item tells no more than the item itself and has no code.
    """
    if vocabulary is not None:
        _write_numbered(database, "attribute_codes", _numbered_pairs(vocabulary.attributes))
    else:
        database.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE attribute_codes AS
                SELECT (row_number() OVER (ORDER BY n DESC, attribute, value) - 1)::INTEGER AS code, attribute, value
                FROM (SELECT attribute, value, sum(r.n) AS n FROM item_attributes a JOIN item_rows r USING (item_id)
                      GROUP BY attribute, value HAVING count(*) > 1)
                SEMI JOIN ({private_values.common_attributes()}) USING (attribute, value)
                WHERE NOT {private_values.is_personal("value")} AND NOT {private_values.is_personal("attribute")}
                ORDER BY code LIMIT $limit""",
            {"enough": private_values.MIN_USERS_PER_VALUE, "limit": limit},
        )
    return _coded_pairs(database, "attribute_codes"), database.frame(
        """SELECT DISTINCT r.row, c.code FROM item_attributes a JOIN item_rows r USING (item_id)
           JOIN attribute_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )


def user_attribute_codes(
    database: Database, limit: int, vocabulary: Vocabulary | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The (attribute, value) pairs of users by code, and which user has which: columns `row`, `code`, ascending.

    The pairs are those of the vocabulary, or else the `limit` most common of those that enough users have: most common
    among users with events, so that people without any do not crowd out what can be learned from.
    """
    if vocabulary is not None:
        _write_numbered(database, "profile_codes", _numbered_pairs(vocabulary.profile))
    else:
        database.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE profile_codes AS
                SELECT (row_number() OVER (ORDER BY active DESC, n DESC, attribute, value) - 1)::INTEGER AS code,
                       attribute, value
                FROM (SELECT attribute, value, count(*) AS n, count(*) FILTER (WHERE r.n > 0) AS active
                      FROM user_attributes a JOIN user_rows r USING (user_id)
                      GROUP BY attribute, value HAVING count(DISTINCT user_id) >= $enough)
                WHERE NOT {private_values.is_personal("value")} AND NOT {private_values.is_personal("attribute")}
                ORDER BY code LIMIT $limit""",
            {"enough": private_values.MIN_USERS_PER_VALUE, "limit": limit},
        )
    return _coded_pairs(database, "profile_codes"), database.frame(
        """SELECT DISTINCT r.row, c.code FROM user_attributes a JOIN user_rows r USING (user_id)
           JOIN profile_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )


def uncoded_user_values(database: Database) -> list[tuple[str, int, int]]:
    """The attributes of users with values that enough users have and that have no code: (attribute, values, those with a
    code). After `user_attribute_codes`; by attribute."""
    return database.rows(
        f"""SELECT attribute, count(*) AS n, count(code) AS coded
           FROM (SELECT attribute, value FROM user_attributes JOIN user_rows USING (user_id)
                 WHERE NOT {private_values.is_personal("value")}
                 GROUP BY attribute, value HAVING count(DISTINCT user_id) >= ?)
           LEFT JOIN profile_codes USING (attribute, value) GROUP BY attribute HAVING n > coded ORDER BY attribute""",
        private_values.MIN_USERS_PER_VALUE,
    )


def _coded_pairs(database: Database, table: str) -> list[tuple[str, str]]:
    rows = database.rows(f"SELECT attribute, value FROM {quoted(table)} ORDER BY code")
    return [(attribute, value) for attribute, value in rows]


def _numbered_pairs(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    frame = pl.DataFrame(pairs, {"attribute": pl.String, "value": pl.String}, orient="row")
    return frame.with_row_index("code", 0)

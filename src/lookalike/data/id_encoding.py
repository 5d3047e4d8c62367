"""Users, items and values as numbers, and the events as a stream of them: the queries behind `sequences`."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from pyarrow import RecordBatchReader

from lookalike.data.database import CODED_FIELDS, MAX_CODES, Cut, Database, coded_fields, quoted
from lookalike.data.schema import CONTEXT_SLOTS

MIN_USERS_PER_VALUE = 25  # with a value of a user attribute


@dataclass(frozen=True)
class KnownCodes:
    """Numbers given before: items by row, values of each coded field and attributes by code."""

    items: list[str]
    codes: dict[str, list[str]]
    attributes: list[tuple[str, str]]
    profile: list[tuple[str, str]]


def encoded_fields(store: Database) -> dict[str, str]:
    """The fields that `prepare` has coded, and their columns of `events`."""
    return dict(store.rows("SELECT name, field FROM prepared_fields ORDER BY place"))


def encode_ids(store: Database, cut: Cut, known: KnownCodes | None = None) -> None:
    """Makes the temporary tables that number users, items and codes; everything below reads them.

    Numbers follow from the content alone: users by id, items and values by count and then by name. With `known`, those
    numbers stay, new items follow them, and new values have none.
    """
    store.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n
           FROM (SELECT user_id, count(*) AS n
                 FROM events WHERE ts < ? GROUP BY user_id HAVING count(*) >= ?)""",
        [cut.as_of, cut.min_events],
    )
    _write_known_items(store, known.items if known else [])
    store.connection.execute(
        """CREATE OR REPLACE TEMP TABLE item_rows AS
           SELECT (coalesce(k.row, row_number() OVER (PARTITION BY k.row IS NULL ORDER BY n DESC, item_id) - 1
                   + (SELECT count(*) FROM known_items)))::INTEGER AS row, item_id, coalesce(n, 0) AS n
           FROM (SELECT item_id, count(*) AS n FROM events WHERE ts < ? AND item_id IS NOT NULL GROUP BY item_id)
           FULL JOIN known_items k USING (item_id)""",
        [cut.as_of],
    )
    store.connection.execute(
        "CREATE OR REPLACE TEMP TABLE prepared_fields (place INTEGER, name VARCHAR, field VARCHAR)"
    )
    for place, (name, field) in enumerate(coded_fields(store, known.codes if known else None).items()):
        store.connection.execute("INSERT INTO prepared_fields VALUES (?, ?, ?)", [place, name, field])
        if known is not None:
            values = pl.DataFrame({"value": known.codes[name]}, {"value": pl.String})
            _write_codes(store, f"{field}_codes", values, 1)
            continue
        store.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {field}_codes AS
                SELECT (row_number() OVER (ORDER BY n DESC, {field}))::INTEGER AS code, {field} AS value
                FROM (SELECT {field}, count(*) AS n FROM events WHERE ts < ? AND {field} IS NOT NULL GROUP BY ALL)
                ORDER BY code LIMIT {MAX_CODES}""",
            [cut.as_of],
        )


def _write_known_items(store: Database, items: list[str]) -> None:
    _write_codes(store, "known_items", pl.DataFrame({"item_id": items}, {"item_id": pl.String}), 0, "row")


def _write_codes(store: Database, table: str, values: pl.DataFrame, first: int, column: str = "code") -> None:
    """A temporary table of the values with their numbers in order, from `first`."""
    with store.registered(numbered=values.with_row_index(column, first)):
        store.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS SELECT * FROM numbered")


@dataclass(frozen=True)
class Watermark:
    """What an earlier embedding has read: the events before `as_of` of the first `files` files."""

    as_of: datetime
    files: int


def keep_changed_users(store: Database, cut: Cut, seen: Watermark) -> None:
    """After `prepare`: leaves those users of whom there are events that were not seen, and numbers them anew.

    `matched_rows` tells who of everybody they are.
    """
    store.connection.execute("DROP TABLE IF EXISTS all_user_rows")
    store.connection.execute("ALTER TABLE user_rows RENAME TO all_user_rows")
    store.connection.execute(
        """CREATE OR REPLACE TEMP TABLE user_rows AS
           SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM all_user_rows
           WHERE user_id IN (SELECT user_id FROM events WHERE ts < ? AND (ts >= ? OR file_id > ?))""",
        [cut.as_of, seen.as_of, seen.files],
    )


def matched_user_rows(store: Database, ids: Path) -> RecordBatchReader:
    """After `only_changed`, of everybody in order: the `row` in a file of ids (`old`) and among the `changed`, -1 for none."""
    return store.reader(
        """SELECT coalesce(o.row, -1)::BIGINT AS old, coalesce(c.row, -1)::BIGINT AS changed
           FROM all_user_rows e LEFT JOIN (SELECT row, user_id FROM read_parquet(?)) o USING (user_id)
           LEFT JOIN user_rows c USING (user_id) ORDER BY e.row""",
        str(ids),
    )


def keep_users(store: Database, users: pl.DataFrame) -> None:
    """After `prepare`: leaves the users of a column `user_id`, and numbers them anew."""
    with store.registered(chosen_users=users.select("user_id")):
        store.connection.execute(
            """CREATE OR REPLACE TEMP TABLE user_rows AS
               SELECT (row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS row, user_id, n FROM user_rows
               WHERE user_id IN (SELECT user_id FROM chosen_users)"""
        )


def user_rows(store: Database) -> RecordBatchReader:
    """`row`, `user_id`, `tie` (the hash that orders equal scores), `events`, in the order of `row`."""
    return store.reader(
        "SELECT row, user_id, md5_number_lower(user_id) AS tie, n AS events FROM user_rows ORDER BY row"
    )


_FLOAT = "(sign({0}) * least(abs({0}), 3e38))::FLOAT"  # a larger double would stop the cast


def event_stream(store: Database, cut: Cut) -> RecordBatchReader:
    """The events of the numbered users in the order of user and time, as codes: 0 is missing, -1 no item.

    Events of one user and moment go by item, then by 32 bits of a hash of the rest: any order will do that follows from the
    content, and DuckDB sorts keys of up to 24 bytes a third faster than the columns themselves. Of four billion pairs of
    different events of one user, moment and item, one may stand in either order.
    """
    fields = list(encoded_fields(store).values())
    codes = ", ".join(f"coalesce({f}_codes.code, 0)::SMALLINT AS {f}" for f in fields)
    joins = " ".join(f"LEFT JOIN {f}_codes ON {f}_codes.value = e.{f}" for f in fields)
    rest = ", ".join(["value", "quantity", *fields])
    return store.reader(
        f"""SELECT epoch(ts)::BIGINT AS time, item, {rest} FROM (
                SELECT u.row AS user, e.ts AS ts, coalesce(i.row, -1)::INTEGER AS item,
                       {_FLOAT.format("e.value")} AS value, {_FLOAT.format("e.quantity")} AS quantity, {codes}
                FROM events e JOIN user_rows u USING (user_id) LEFT JOIN item_rows i USING (item_id) {joins}
                WHERE e.ts < ?)
            ORDER BY user, ts, item, (hash({rest}) >> 32)::UINTEGER""",
        cut.as_of,
    )


def code_values(store: Database, field: str) -> list[str]:
    """What the codes of one column of `events` mean: code 1 is the first."""
    assert field in (*CODED_FIELDS, *CONTEXT_SLOTS)
    return [value for (value,) in store.rows(f"SELECT value FROM {field}_codes ORDER BY code")]


def item_list(store: Database) -> list[str]:
    return [item for (item,) in store.rows("SELECT item_id FROM item_rows ORDER BY row")]


def item_attribute_codes(
    store: Database, most: int, known: KnownCodes | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The most common (attribute, value) pairs among the numbered items, and which item (`row`) has which (`code`)."""
    if known is not None:
        _write_codes(store, "attribute_codes", _pairs(known.attributes), 0)
    else:
        store.connection.execute(
            """CREATE OR REPLACE TEMP TABLE attribute_codes AS
               SELECT (row_number() OVER (ORDER BY n DESC, attribute, value) - 1)::INTEGER AS code, attribute, value
               FROM (SELECT attribute, value, sum(r.n) AS n FROM item_attributes a JOIN item_rows r USING (item_id)
                     GROUP BY attribute, value HAVING count(*) > 1) ORDER BY code LIMIT ?""",
            [most],
        )
    names = store.rows("SELECT attribute, value FROM attribute_codes ORDER BY code")
    pairs = store.frame(
        """SELECT DISTINCT r.row, c.code FROM item_attributes a JOIN item_rows r USING (item_id)
           JOIN attribute_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )
    return [(attribute, value) for attribute, value in names], pairs


def user_attribute_codes(
    store: Database, most: int, known: KnownCodes | None = None
) -> tuple[list[tuple[str, str]], pl.DataFrame]:
    """The most common (attribute, value) pairs among the numbered users, and which user (`row`) has which (`code`).

    A value that few have is not named: it could be a person's.
    """
    if known is not None:
        _write_codes(store, "profile_codes", _pairs(known.profile), 0)
    else:
        store.connection.execute(
            """CREATE OR REPLACE TEMP TABLE profile_codes AS
               SELECT (row_number() OVER (ORDER BY n DESC, attribute, value) - 1)::INTEGER AS code, attribute, value
               FROM (SELECT attribute, value, count(*) AS n FROM user_attributes a JOIN user_rows USING (user_id)
                     GROUP BY attribute, value HAVING count(DISTINCT user_id) >= ?) ORDER BY code LIMIT ?""",
            [MIN_USERS_PER_VALUE, most],
        )
    names = store.rows("SELECT attribute, value FROM profile_codes ORDER BY code")
    pairs = store.frame(
        """SELECT DISTINCT r.row, c.code FROM user_attributes a JOIN user_rows r USING (user_id)
           JOIN profile_codes c USING (attribute, value) ORDER BY r.row, c.code"""
    )
    return [(attribute, value) for attribute, value in names], pairs


def _pairs(known: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(known, {"attribute": pl.String, "value": pl.String}, orient="row")

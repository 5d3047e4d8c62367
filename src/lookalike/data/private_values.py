"""What of a log may enter a run, which is copied to other workspaces and must tell of nobody.

- A value of a column (context, event type, attribute of an item or a user) that fewer than 25 people have, or that looks
  like an e-mail address or a phone number, has no code.
- An item may be rare: most of a catalogue is, and an id of a product tells of nobody. It is left out if its id looks
  personal, or it or a part of it names a user of the log, as a page of a profile does. That is not so by chance only: a
  short number names nobody, as products and customers are often numbered alike, and neither does what 25 people have met
  or many items have in their ids, as a section of a shop or an artist that a user calls himself by.
"""

from typing import Final

from lookalike.data.database import Cut, Database
from lookalike.data.ingest.personal_data import looks_personal

MIN_USERS_PER_VALUE = 25

_EMAIL: Final = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
_PHONE: Final = r"(^|[^0-9A-Za-z])\+[1-9][0-9 ()./-]{7,18}"
_SEPARATORS: Final = r"[/?&=:#,;|~\s]+"
_SHORT_NUMBER: Final = "[0-9]{1,8}"
_MIN_PART: Final = 4  # characters of a part of an item's id, below which it names a user by chance
_MAX_PAGES: Final = 100  # items with one part in their ids, above which it is a section and not somebody's pages


def contains_personal(text: str) -> str:
    """An SQL condition: there is an e-mail address or a phone number in the text expression. A number that begins with
    00 is none, as codes of products do."""
    return f"(regexp_matches({text}, '{_EMAIL}') OR regexp_matches({text}, '{_PHONE}'))"


def is_personal(text: str) -> str:
    """An SQL condition for values of columns: as `contains_personal`, or all of the text is a phone number."""
    return f"({contains_personal(text)} OR {looks_personal(text)})"


def write_personal_items(database: Database, cut: Cut) -> None:
    """Writes the temporary table `personal_items` with the `item_id` of items that no run may name."""
    database.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE personal_items AS
            WITH items AS MATERIALIZED (SELECT DISTINCT item_id FROM events WHERE ts < $as_of AND item_id IS NOT NULL),
            names AS (
                SELECT item_id, item_id AS name FROM items
                UNION
                SELECT item_id, name FROM (
                    SELECT item_id, unnest(regexp_split_to_array(item_id, '{_SEPARATORS}')) AS name FROM items)
                WHERE length(name) >= {_MIN_PART}),
            users_names AS MATERIALIZED (
                SELECT item_id, name FROM names
                WHERE NOT regexp_full_match(name, '{_SHORT_NUMBER}')
                  AND (name IN (SELECT user_id FROM events) OR name IN (SELECT user_id FROM users))),
            chance_names AS (
                SELECT name FROM users_names GROUP BY name HAVING count(*) > {_MAX_PAGES}
                UNION
                SELECT name FROM users_names JOIN events USING (item_id) WHERE ts < $as_of
                GROUP BY name HAVING count(DISTINCT user_id) >= $enough)
            SELECT item_id FROM items WHERE {contains_personal("item_id")}
            UNION
            SELECT item_id FROM users_names ANTI JOIN chance_names USING (name)""",
        {"as_of": cut.as_of, "enough": MIN_USERS_PER_VALUE},
    )


def count_personal_items(database: Database, cut: Cut) -> tuple[int, float]:
    """How many items were left out of the numbering, and their share of the events; after `write_personal_items`."""
    ((items, share),) = database.rows(
        """SELECT (SELECT count(*) FROM personal_items),
                  coalesce(avg((item_id IS NOT NULL AND item_id IN (FROM personal_items))::INT), 0)
           FROM events WHERE ts < ?""",
        cut.as_of,
    )
    return int(items), float(share)


def write_item_people(database: Database, cut: Cut) -> None:
    """Writes the temporary table `item_people` (`item`, `person`, both hashes): the people of each item that has attributes,
    at most as many as a value of an attribute needs. Which of them is all the same: whoever has so many has enough."""
    database.connection.execute(
        """CREATE OR REPLACE TEMP TABLE item_people AS
           SELECT item, person FROM (
               SELECT DISTINCT hash(item_id) AS item, hash(user_id) AS person FROM events
               WHERE ts < $as_of AND item_id IN (SELECT item_id FROM item_attributes))
           QUALIFY row_number() OVER (PARTITION BY item) <= $most""",
        {"as_of": cut.as_of, "most": MIN_USERS_PER_VALUE},
    )


def common_values(field: str) -> str:
    """A query for the `value` of a column of `events` before `$as_of` that `$enough` people have, and how many events have
    it, `n`. People are counted exactly only where an estimate leaves it open."""
    return f"""
        WITH counts AS MATERIALIZED (
            SELECT {field} AS value, count(*) AS n, approx_count_distinct(user_id) AS people
            FROM events WHERE ts < $as_of AND {field} IS NOT NULL GROUP BY {field})
        SELECT value, n FROM counts WHERE NOT {is_personal("value")} AND (people >= 2 * $enough OR value IN (
            SELECT {field} FROM events WHERE ts < $as_of AND {field} IN (SELECT value FROM counts WHERE people < 2 * $enough)
            GROUP BY {field} HAVING count(DISTINCT user_id) >= $enough))"""


def common_attributes() -> str:
    """A query for the `attribute` and `value` of items that `$enough` people have met: those of one item alone, which is
    the rule, or of all items with it together. After `write_item_people`."""
    return """
        WITH reach AS MATERIALIZED (SELECT item, count(*) AS people FROM item_people GROUP BY item),
        pairs AS MATERIALIZED (
            SELECT attribute, value, max(people) AS most FROM item_attributes JOIN reach ON item = hash(item_id)
            GROUP BY attribute, value)
        SELECT attribute, value FROM pairs WHERE most >= $enough
        UNION ALL
        SELECT attribute, value FROM item_attributes SEMI JOIN (FROM pairs WHERE most < $enough) USING (attribute, value)
        JOIN item_people ON item = hash(item_id)
        GROUP BY attribute, value HAVING count(DISTINCT person) >= $enough"""

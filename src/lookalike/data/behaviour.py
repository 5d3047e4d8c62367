"""What users did: counts behind the audience's profile, and what a prospect shares with the seed."""

import polars as pl

from lookalike.data.database import Cut, Database, coded_fields
from lookalike.data.schema import CONTEXT_FIELDS

# --- the profile of an audience ----------------------------------------------------------------------------------------


def behaviour_counts(database: Database, users: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """How many users of the audience and of the base did each thing at least once before the cut.

    `users` has the columns `user_id`, `audience` and `base` (0 or 1 each). Gives `title` (the group of things), `label`,
    `audience_count` and `base_count`.
    """
    context = {name: column for name, column in coded_fields(database).items() if column != "event_type"}
    context_columns = "".join(f", e.{column}" for column in context.values())
    with database.registered(counted_users=users.with_row_index("person")):  # numbers are counted faster than ids
        database.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE actions AS
               SELECT DISTINCT u.person, u.audience, u.base, e.item_id, e.event_type{context_columns},
                      date_part('hour', e.ts)::INTEGER AS hour, date_part('isodow', e.ts)::INTEGER AS weekday
               FROM events e JOIN counted_users u USING (user_id) WHERE e.ts < ?""",
            [cut.as_of],
        )
    groups = [
        ("?", "Items", "coalesce(i.title || ' (' || item_id || ')', item_id)", "LEFT JOIN items i USING (item_id)"),
        ("'Item ' || attribute || ?", "", "value", "JOIN item_attributes USING (item_id)"),
        ("?", "Event types", "event_type", ""),
        ("?", "Hours of the day (UTC)", "lpad(hour::VARCHAR, 2, '0') || ':00'", ""),
        ("?", "Weekdays", "['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][weekday]", ""),
        *(("?", _context_title(name), column, "") for name, column in context.items()),
    ]
    counts = [
        database.frame(_COUNT_USERS.format(title=expression, label=label, join=join), title)
        for expression, title, label, join in groups
    ]
    database.connection.execute("DROP TABLE actions")
    return pl.concat(counts)


_COUNT_USERS = """
WITH met AS (SELECT DISTINCT {title} AS title, {label} AS label, person, audience, base
             FROM actions {join} WHERE {label} IS NOT NULL)
SELECT title, label, count(*) FILTER (audience = 1) AS audience_count, count(*) FILTER (base = 1) AS base_count
FROM met GROUP BY ALL ORDER BY title, audience_count DESC, label"""


def _context_title(name: str) -> str:
    """The title of a context column; that of a declared one cannot be the same as any other title."""
    return name.capitalize() if name in CONTEXT_FIELDS else f"Context {name}"


# --- what a prospect shares with the seed ------------------------------------------------------------------------------

# The traits of the users in the table `requested`: the items they met before `until`, with an empty `attribute`, the
# attributes of those items, and the users' own attributes, of those named in the table `features`.
_TRAITS_OF_USERS = """
SELECT DISTINCT r.* EXCLUDE (until), '' AS attribute, e.item_id AS value FROM events e JOIN requested r USING (user_id)
WHERE e.ts < r.until AND e.item_id IS NOT NULL
UNION
SELECT DISTINCT r.* EXCLUDE (until), a.attribute, a.value FROM events e JOIN requested r USING (user_id)
    JOIN item_attributes a USING (item_id)
WHERE e.ts < r.until
UNION
SELECT r.* EXCLUDE (until), a.attribute, a.value FROM user_attributes a JOIN requested r USING (user_id)
WHERE a.attribute || '=' || a.value IN (SELECT name FROM features)"""


def traits_by_cluster(
    database: Database, seed: pl.DataFrame, base: pl.DataFrame, cut: Cut, features: tuple[str, ...] = ()
) -> pl.DataFrame:
    """How many users of each cluster of the seed, and of the base, have met each item and item attribute, or have an
    attribute that is among the `features`, as `NAME=VALUE`.

    `seed` has the columns `user_id`, `cluster` and `until` (the moment up to which the user's events count), `base`, a
    sample of all users, has `user_id`; its events count up to the cut. Gives `cluster`, `attribute` (empty for items),
    `value`, `label`, `inside` (users of the cluster) and `everybody` (users of the base).
    """
    everybody = base.select("user_id", cluster=pl.lit(-1, pl.Int64), until=pl.lit(cut.as_of, pl.Datetime("us")))
    requested = pl.concat([seed.select("user_id", "cluster", pl.col("until").cast(pl.Datetime("us"))), everybody])
    with database.registered(requested=requested, features=_features(features)):
        return database.frame(
            f"""WITH met AS ({_TRAITS_OF_USERS}),
            counted AS (SELECT cluster, attribute, value, count(*) AS users FROM met GROUP BY ALL)
            SELECT c.cluster, c.attribute, c.value, c.users AS inside, coalesce(b.users, 0) AS everybody,
                   CASE WHEN c.attribute = '' THEN 'item ' || coalesce(i.title, c.value)
                        ELSE c.attribute || ' ' || c.value END AS label
            FROM counted c LEFT JOIN counted b ON b.cluster = -1 AND b.attribute = c.attribute AND b.value = c.value
            LEFT JOIN items i ON c.attribute = '' AND i.item_id = c.value WHERE c.cluster >= 0"""
        )


def shared_traits(
    database: Database, prospects: pl.DataFrame, traits: pl.DataFrame, cut: Cut, max_traits: int
) -> pl.DataFrame:
    """Columns `user_id` and `shared`: the labels of the heaviest traits of a prospect's cluster that the prospect has.

    `prospects` has the columns `user_id` and `cluster`; `traits` has `cluster`, `attribute`, `value`, `label` and
    `weight`. Attributes are named only where no item is shared: most of them are words of the items.
    """
    of_users = traits.select(name=pl.col("attribute") + "=" + pl.col("value")).unique()
    requested = prospects.select("user_id", "cluster", until=pl.lit(cut.as_of, pl.Datetime("us")))
    with database.registered(requested=requested, traits=traits, features=of_users):
        return database.frame(
            f"""WITH met AS ({_TRAITS_OF_USERS}),
            heaviest AS (SELECT user_id, label, weight FROM met JOIN traits USING (cluster, attribute, value)
                QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY attribute <> '', weight DESC, label) <= ?
                    AND (attribute <> '') = min(attribute <> '') OVER (PARTITION BY user_id))
            SELECT user_id, string_agg(label, '; ' ORDER BY weight DESC, label) AS shared FROM heaviest GROUP BY user_id""",
            max_traits,
        )


def _features(names: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame({"name": list(names)}, {"name": pl.String})

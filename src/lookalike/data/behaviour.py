"""What users did: the queries behind the audience's profile and the reasons for a prospect."""

import polars as pl

from lookalike.data.database import Cut, Database, coded_fields
from lookalike.data.schema import CONTEXT_FIELDS


def behaviour_counts(store: Database, looked_at: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """How many users of the audience and of the base did each thing at least once before the cut.

    `looked_at` holds `user_id`, `audience` and `base` (0 or 1). Gives `title`, `label`, `audience_count`, `base_count`.
    """
    context = {name: column for name, column in coded_fields(store).items() if column != "event_type"}
    also = "".join(f", e.{column}" for column in context.values())
    with store.registered(looked_at=looked_at):
        store.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE deeds AS
               SELECT DISTINCT l.user_id, l.audience, l.base, e.item_id, e.event_type{also},
                      date_part('hour', e.ts)::INTEGER AS hour, date_part('isodow', e.ts)::INTEGER AS weekday
               FROM events e JOIN looked_at l USING (user_id) WHERE e.ts < ?""",
            [cut.as_of],
        )
    plain = [
        ("Items", "coalesce(i.title || ' (' || item_id || ')', item_id)", "LEFT JOIN items i USING (item_id)"),
        ("Event types", "event_type", ""),
        ("Hours of the day (UTC)", "lpad(hour::VARCHAR, 2, '0') || ':00'", ""),
        ("Weekdays", "['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][weekday]", ""),
        *((_context_title(name), column, "") for name, column in context.items()),
    ]
    counted = [
        store.frame(_COUNT_USERS.format(title="?", label=label, join=join), title) for title, label, join in plain
    ]
    by_attribute = _COUNT_USERS.format(
        title="'Item ' || attribute || ?", label="value", join="JOIN item_attributes USING (item_id)"
    )
    counted[1:1] = [store.frame(by_attribute, "")]
    store.connection.execute("DROP TABLE deeds")
    return pl.concat(counted)


def _context_title(name: str) -> str:
    """A declared column cannot take the title of another group."""
    return name.capitalize() if name in CONTEXT_FIELDS else f"Context {name}"


_COUNT_USERS = """
SELECT {title} AS title, {label} AS label, count(DISTINCT user_id) FILTER (audience = 1) AS audience_count,
       count(DISTINCT user_id) FILTER (base = 1) AS base_count
FROM deeds {join} WHERE {label} IS NOT NULL GROUP BY ALL ORDER BY title, audience_count DESC, label"""


# --- what a prospect has in common with the seed ---------------------------------------------------------------------

# the items somebody met, with the attributes of each; `attribute` is empty for the item itself
_TRAITS_OF_USERS = """
SELECT DISTINCT w.* EXCLUDE (until), '' AS attribute, e.item_id AS value FROM events e JOIN wanted w USING (user_id)
WHERE e.ts < w.until AND e.item_id IS NOT NULL
UNION
SELECT DISTINCT w.* EXCLUDE (until), a.attribute, a.value FROM events e JOIN wanted w USING (user_id)
    JOIN item_attributes a USING (item_id)
WHERE e.ts < w.until"""


def traits_by_cluster(store: Database, seed: pl.DataFrame, base: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """How many people of each part of a seed, and of everybody, have met each item and attribute before the cut.

    `seed` holds `user_id`, `cluster` and `until`, the moment up to which they are looked at, `base` a sample of everybody's
    `user_id`. Gives `cluster`, `attribute` (empty for
    items), `value`, `label`, `inside`, `everybody`.
    """
    everybody = base.select("user_id", cluster=pl.lit(-1, pl.Int64), until=pl.lit(cut.as_of, pl.Datetime("us")))
    wanted = pl.concat([seed.select("user_id", "cluster", pl.col("until").cast(pl.Datetime("us"))), everybody])
    with store.registered(wanted=wanted):
        return store.frame(
            f"""WITH met AS ({_TRAITS_OF_USERS}),
            counted AS (SELECT cluster, attribute, value, count(*) AS users FROM met GROUP BY ALL)
            SELECT c.cluster, c.attribute, c.value, c.users AS inside, coalesce(b.users, 0) AS everybody,
                   CASE WHEN c.attribute = '' THEN 'item ' || coalesce(i.title, c.value)
                        ELSE c.attribute || ' ' || c.value END AS label
            FROM counted c LEFT JOIN counted b ON b.cluster = -1 AND b.attribute = c.attribute AND b.value = c.value
            LEFT JOIN items i ON c.attribute = '' AND i.item_id = c.value WHERE c.cluster >= 0"""
        )


def shared_traits(store: Database, prospects: pl.DataFrame, marks: pl.DataFrame, cut: Cut, most: int) -> pl.DataFrame:
    """`user_id` and `shared`: the labels of the heaviest marks of a prospect's own part that they have met, most first.

    Attributes are named only where they share no item: most are words of the items.

    `prospects` holds `user_id` and `cluster`; `marks` `cluster`, `attribute`, `value`, `label` and `weight`.
    """
    wanted = prospects.select("user_id", "cluster", until=pl.lit(cut.as_of, pl.Datetime("us")))
    with store.registered(wanted=wanted, marks=marks):
        return store.frame(
            f"""WITH met AS ({_TRAITS_OF_USERS}),
            heaviest AS (SELECT user_id, label, weight FROM met JOIN marks USING (cluster, attribute, value)
                QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY attribute <> '', weight DESC, label) <= ?
                    AND (attribute <> '') = min(attribute <> '') OVER (PARTITION BY user_id))
            SELECT user_id, string_agg(label, '; ' ORDER BY weight DESC, label) AS shared FROM heaviest GROUP BY user_id""",
            most,
        )

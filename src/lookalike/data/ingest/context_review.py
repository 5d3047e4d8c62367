"""Decides which context columns are excluded from the features: identifiers, and what seems personal.

A column in which nearly every event or user has a value of its own says nothing about similarity: it would only let a
model recognise people. The decision is made on all stored events, so that the order of the files does not matter; in a
large log again only when it has grown by a tenth.
"""

import json
from dataclasses import dataclass
from typing import Final

from lookalike.data.database import EXCLUDED_PREFIX, Database, declared_context_columns, last_file_id
from lookalike.data.ingest import running_counts
from lookalike.data.ingest.context_columns import Review, has_unreviewed_columns, last_review, store_review
from lookalike.data.ingest.personal_data import is_personal_name, looks_personal
from lookalike.data.ingest.results import IdentifierContext, PersonalContext
from lookalike.data.schema import CONTEXT_FIELDS

Exclusion = PersonalContext | IdentifierContext

_MAX_EVENTS_EACH_TIME = 5_000_000  # up to which all events are looked at after every ingest; it takes a second
_GROWTH = 1.1  # since all events were last looked at, above which they are again
_SAMPLE_EVENTS = 100_000
_MAX_PERSONAL_SHARE = 0.1

_MAX_CATEGORY_VALUES = 20  # up to which a column is a category, however few events there are
_MANY_VALUES = 1_000
_MIN_SHARE = 0.5
_MIN_EVENTS_OF_VALUE = 3  # of the median value, below which many values may be identifiers
_APPROXIMATION_MARGIN = 2  # factor by which an approximate count may be too low


def review_columns(database: Database) -> list[Exclusion]:
    """Stores which context columns are excluded from the features, and returns why.

    Looked at are the declared columns and country, device and source: in all stored events, or, where those are many
    and have hardly grown, in the new ones only and only for personal data.
    """
    columns = {name: name for name in CONTEXT_FIELDS} | declared_context_columns(database)
    before = last_review(database)
    ((events,),) = database.rows("SELECT count(*) FROM events")
    if has_unreviewed_columns(database) or events < _MAX_EVENTS_EACH_TIME or events > _GROWTH * before.events:
        return _review_all_events(database, columns, events)
    new = _column_statistics(database, columns, before.file)
    if any(new[name].rows and column not in before.filled for name, column in columns.items()):
        return _review_all_events(database, columns, events)
    exclusions = _newly_personal(database, columns, new)
    review = before.model_copy(update={"file": last_file_id(database)})
    store_review(database, review, _reasons(exclusions), [])
    return list(exclusions.values())


def _review_all_events(database: Database, columns: dict[str, str], events: int) -> list[Exclusion]:
    statistics = _column_statistics(database, columns)
    exclusions = _exclusions(database, columns, statistics)
    review = Review(
        events=events,
        file=last_file_id(database),
        columns=tuple(columns.values()),
        filled=tuple(column for name, column in columns.items() if statistics[name].rows),
    )
    included = [column for column in columns.values() if column not in exclusions]
    store_review(database, review, _reasons(exclusions), included)
    return list(exclusions.values())


def _reasons(exclusions: dict[str, Exclusion]) -> dict[str, str]:
    return {column: exclusion.check for column, exclusion in exclusions.items()}


@dataclass(frozen=True)
class _ColumnStatistics:
    """Figures of one column; the numbers of values and users are approximate."""

    name: str
    rows: int
    values: int
    users: int
    personal_share: float  # of a spread sample


def _column_statistics(
    database: Database, columns: dict[str, str], last_checked_file: int = 0
) -> dict[str, _ColumnStatistics]:
    """The figures of each column, by its name, over the events of the files after a number."""
    events = running_counts.events_after(last_checked_file)
    counts_of = "count({0}), approx_count_distinct({0}), approx_count_distinct(user_id) FILTER ({0} IS NOT NULL)"
    counts = database.rows(f"SELECT {', '.join(map(counts_of.format, columns.values()))} FROM {events}")[0]
    ((total,),) = database.rows(f"SELECT count(*) FROM {events}")
    sample = running_counts.sample_condition(total, _SAMPLE_EVENTS)
    personal_share = ", ".join(
        f"count(*) FILTER ({looks_personal(column)}) / greatest(count({column}), 1)" for column in columns.values()
    )
    shares = database.rows(f"SELECT {personal_share} FROM {events} WHERE {sample}")[0]
    statistics = {}
    for place, name in enumerate(columns):
        rows, values, users = counts[3 * place : 3 * place + 3]
        statistics[name] = _ColumnStatistics(name, rows, values, users, shares[place])
    return statistics


def _exclusions(
    database: Database, columns: dict[str, str], statistics: dict[str, _ColumnStatistics]
) -> dict[str, Exclusion]:
    """Slot or field -> why it is excluded."""
    exclusions: dict[str, Exclusion] = {}
    for name, column in columns.items():
        if not statistics[name].rows:
            continue
        exclusion = _personal(database, statistics[name]) or _identifier(database, column, statistics[name])
        if exclusion:
            exclusions[column] = exclusion
    return exclusions


def _newly_personal(
    database: Database, columns: dict[str, str], statistics: dict[str, _ColumnStatistics]
) -> dict[str, Exclusion]:
    """Slot or field -> why it is excluded, of those that are not yet."""
    excluded = {key for (key,) in database.rows("SELECT key FROM meta WHERE starts_with(key, ?)", EXCLUDED_PREFIX)}
    exclusions: dict[str, Exclusion] = {}
    for name, column in columns.items():
        if EXCLUDED_PREFIX + column in excluded or not statistics[name].rows:
            continue
        if exclusion := _personal(database, statistics[name]):
            exclusions[column] = exclusion
    return exclusions


def _personal(database: Database, statistics: _ColumnStatistics) -> PersonalContext | None:
    """A warning when a column seems personal, by the name of what it was read from or by its content."""
    personal_names = tuple(column for column in _read_from(database, statistics.name) if is_personal_name(column))
    if not personal_names and statistics.personal_share <= _MAX_PERSONAL_SHARE:
        return None
    return PersonalContext(
        severity="warning", rows=statistics.rows, share=1.0, column=statistics.name, personal_names=personal_names
    )


def _read_from(database: Database, name: str) -> list[str]:
    """The columns of the files that a field was read from. A declared column has its own name."""
    if name not in CONTEXT_FIELDS:
        return [name]
    stored = database.rows("SELECT DISTINCT mapping FROM files WHERE kind = 'events'")
    mappings = [json.loads(text) for (text,) in stored]
    return sorted({mapping[name] for mapping in mappings if name in mapping})


# median_events: of the median value. head: events of the most common twentieth of the values; it is large where a long
# tail follows a few common values. own: events whose value only one user has.
_VALUE_FIGURES: Final = """
SELECT sum(n)::BIGINT AS rows, count(*) AS values,
       (SELECT count(DISTINCT user_id) FROM events WHERE {column} IS NOT NULL) AS users, median(n) AS median_events,
       sum(n) FILTER (part = 1)::BIGINT AS head, coalesce(sum(n) FILTER (one_user), 0)::BIGINT AS own
FROM (SELECT n, one_user, ntile(20) OVER (ORDER BY n DESC) AS part
      FROM (SELECT count(*) AS n, min(user_id) = max(user_id) AS one_user
            FROM events WHERE {column} IS NOT NULL GROUP BY {column}))"""


def _identifier(database: Database, column: str, statistics: _ColumnStatistics) -> IdentifierContext | None:
    """A warning when the values of a column identify single events or users. Exact, where the estimate leaves it open."""
    max_values = _APPROXIMATION_MARGIN * statistics.values
    fewest = min(_MIN_SHARE * statistics.rows, _MIN_SHARE * statistics.users, _MANY_VALUES)
    if max_values <= _MAX_CATEGORY_VALUES or max_values <= fewest:
        return None
    rows, values, users, median_events, head, own = database.rows(_VALUE_FIGURES.format(column=column))[0]
    of_events = values > _MIN_SHARE * rows
    rare_values = values > _MANY_VALUES and median_events < _MIN_EVENTS_OF_VALUE and head < _MIN_SHARE * rows
    of_users = values > _MIN_SHARE * users and own > _MIN_SHARE * rows
    if values <= _MAX_CATEGORY_VALUES or not (of_events or rare_values or of_users):
        return None
    return IdentifierContext(
        severity="warning", rows=rows, share=values / rows, column=statistics.name, values=values, users=users
    )

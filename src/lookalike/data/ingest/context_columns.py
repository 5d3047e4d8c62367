"""Columns that a caller declares to be kept with each event, and the review that decides which become features.

Each declared column has a slot in `events`; table `meta` holds which. Until a column has been reviewed it is excluded
from the features, and so is what `context_review` decides to exclude. An ingest ends with a review; a mark in `meta`,
or a file that is newer than the last review, shows that one did not get so far.
"""

import json
from typing import Final

from lookalike.data.database import EXCLUDED_PREFIX, Database, declared_context_columns, last_file_id
from lookalike.data.ingest.column_names import headings
from lookalike.data.ingest.options import did_you_mean
from lookalike.data.ingest.results import FileReport, MissingContext
from lookalike.data.schema import CONTEXT_FIELDS, CONTEXT_SLOTS
from lookalike.errors import DataError, StateError
from lookalike.workspace.records import Record

NOT_REVIEWED: Final = "not looked at yet"  # value of the mark in `meta`
_REVIEW_KEY: Final = "contexts_looked_at"


class Review(Record):
    """What the last review covered."""

    events: int = 0  # when all events were last looked at
    file: int = 0  # number of the last file
    columns: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()  # columns with any value


def with_declared(database: Database, requested: tuple[str, ...]) -> tuple[str, ...]:
    """The columns declared in this workspace, earlier ones first, in the order of their slots."""
    return tuple(dict.fromkeys((*declared_context_columns(database), *requested)))


def check_present(database: Database, requested: tuple[str, ...], columns: list[str]) -> None:
    """Raises DataError for a name that is new and not among the columns of the files: a misspelt one keeps nothing."""
    for name in requested:
        if name not in columns and name not in declared_context_columns(database):
            raise DataError(
                f"--context {name}: no file has such a column",
                f"{did_you_mean(name, headings(columns), 0.4)}--dry-run shows the columns",
            )


def declare(database: Database, names: tuple[str, ...]) -> None:
    """Gives each name its slot, once and for all, and marks the columns that no review has covered."""
    declared = declared_context_columns(database)
    with database.transaction():
        reviewed = last_review(database).columns
        to_review = [column for column in (*CONTEXT_FIELDS, *declared.values()) if column not in reviewed]
        if to_review:
            marks = [(EXCLUDED_PREFIX + column, NOT_REVIEWED) for column in to_review]
            database.connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", marks)
        for slot, name in zip(CONTEXT_SLOTS, names, strict=False):
            if name not in declared:
                database.connection.execute(f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {slot} VARCHAR")
                rows = [(slot, name), (EXCLUDED_PREFIX + slot, NOT_REVIEWED)]
                database.connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def missing_columns(report: FileReport, missing: tuple[str, ...]) -> list[MissingContext]:
    """A note for each declared column that a file lacks."""
    return [
        MissingContext(severity="note", rows=report.rows, share=1.0, file=report.name, column=name) for name in missing
    ]


def require_finished_ingest(database: Database) -> None:
    """Raises StateError when the last ingest was interrupted before it had reviewed the columns."""
    if has_unreviewed_columns(database) or last_file_id(database) > last_review(database).file:
        raise StateError(
            "the last ingest was interrupted",
            "run the same lookalike ingest command again: it finishes the work and skips files that were read",
        )


def has_unreviewed_columns(database: Database) -> bool:
    return bool(database.rows("SELECT 1 FROM meta WHERE value = ? LIMIT 1", NOT_REVIEWED))


def last_review(database: Database) -> Review:
    stored = database.rows("SELECT value FROM meta WHERE key = ?", _REVIEW_KEY)
    return Review.model_validate_json(stored[0][0]) if stored else Review()


def forget_review(database: Database) -> None:
    """Has the next review look at all events."""
    review = last_review(database)
    stored = json.dumps(review.model_copy(update={"events": 0}).as_json())
    database.connection.execute("UPDATE meta SET value = ? WHERE key = ?", [stored, _REVIEW_KEY])


def store_review(database: Database, review: Review, excluded: dict[str, str], included: list[str]) -> None:
    """Stores which columns are excluded, with the reason, and which are so no longer."""
    with database.transaction():
        keys = [EXCLUDED_PREFIX + column for column in included]
        database.connection.execute("DELETE FROM meta WHERE list_contains(?, key)", [keys])
        rows = [(EXCLUDED_PREFIX + column, reason) for column, reason in excluded.items()]
        rows.append((_REVIEW_KEY, json.dumps(review.as_json())))
        database.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

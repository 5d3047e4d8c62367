"""Taking the rows of one file out of the workspace again.

Rows that another file had dropped because this one had them first do not come back: the files that may miss some are
named. A removal takes a number of its own in the order of the files, by which stored vectors know that they are older.
"""

from pathlib import Path

from lookalike.data.database import REMOVAL_KEY, TIMEZONE_PREFIX, Database, last_file_id
from lookalike.data.ingest import context_columns, running_counts
from lookalike.data.ingest.context_review import review_columns
from lookalike.data.ingest.results import RemovedFile, RemoveResult
from lookalike.errors import StateError
from lookalike.workspace.files import sha256

_MIN_HASH_PREFIX = 6
_SHOWN_NAMES = 5


def remove_file(database: Database, what: str, dry_run: bool) -> RemoveResult:
    """Removes a file, all or nothing. `what` is its name as it was ingested, its path, or the beginning of its hash.

    Raises StateError when there is no such file or there are several, and for a table whose rows are mixed with others'.
    """
    numbers = _find_file(database, what)
    removed = tuple(_removed_file(database, number) for number in numbers)
    if not dry_run:
        with database.transaction():
            forget_files(database, numbers)
        running_counts.update_counts(database)
        review_columns(database)
    return RemoveResult(removed=removed, dry_run=dry_run)


def forget_files(database: Database, numbers: tuple[int, ...]) -> None:
    """Deletes all that the files brought. To be called in a transaction.

    A table of items or users goes with its file only if no other was read: its rows replaced those of others.
    """
    for number in numbers:
        kind, is_only = _kind(database, number)
        if kind != "events" and is_only:
            for table in (kind, f"{kind[:-1]}_attributes"):
                database.connection.execute(f"DELETE FROM {table}")
        for table in ("events", "rejects", "files"):
            database.connection.execute(f"DELETE FROM {table} WHERE file_id = ?", [number])
        database.connection.execute("DELETE FROM meta WHERE key = ?", [f"{TIMEZONE_PREFIX}{number}"])
    if numbers:
        last = max(last_file_id(database), *numbers)
        database.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [REMOVAL_KEY, str(last + 1)])
        running_counts.forget_counts(database)
        context_columns.forget_review(database)


def files_with_duplicates_of(database: Database, numbers: tuple[int, ...]) -> tuple[str, ...]:
    """The event files that were read after these and had duplicates, perhaps of these."""
    rows = database.rows(
        "SELECT DISTINCT name FROM files WHERE kind = 'events' AND duplicates > 0 AND file_id > ? "
        "AND NOT list_contains(?, file_id) ORDER BY name",
        min(numbers, default=2**31 - 1),
        list(numbers),
    )
    return tuple(name for (name,) in rows)


def _removed_file(database: Database, number: int) -> RemovedFile:
    ((name, digest, kind, rows, added),) = database.rows(
        "SELECT name, sha256, kind, rows, added FROM files WHERE file_id = ?", number
    )
    if kind != "events" and not _kind(database, number)[1]:
        raise StateError(
            f"{name}: several tables of {kind} were ingested, and their rows cannot be told apart",
            f"ingest a corrected table: lookalike ingest LOG --{kind} FILE",
        )
    again = files_with_duplicates_of(database, (number,)) if kind == "events" else ()
    return RemovedFile(name=name, sha256=digest, kind=kind, rows=rows, added=added, ingest_again=again)


def _kind(database: Database, number: int) -> tuple[str, bool]:
    """The kind of a file, and whether it is the only one of its kind."""
    ((kind, files),) = database.rows(
        "SELECT kind, (SELECT count(*) FROM files AS other WHERE other.kind = f.kind) FROM files AS f WHERE file_id = ?",
        number,
    )
    return kind, files == 1


def _find_file(database: Database, what: str) -> tuple[int, ...]:
    files = database.rows("SELECT file_id, name, sha256 FROM files ORDER BY file_id")
    path = Path(what)
    digest = sha256(path) if path.is_file() else ""
    is_hash = len(what) >= _MIN_HASH_PREFIX
    for found in (
        [file for file in files if file[1] == what],
        [file for file in files if file[2] == digest],
        [file for file in files if Path(file[1]).name == what],
        [file for file in files if is_hash and file[2].startswith(what.lower())],
    ):
        if len({digest for _, _, digest in found}) > 1:
            raise StateError(
                f"{what}: {len(found)} ingested files are called so",
                f"name one by its hash: {', '.join(digest[:12] for _, _, digest in found[:_SHOWN_NAMES])}",
            )
        if found:
            return tuple(number for number, _, _ in found)
    more = f" and {len(files) - _SHOWN_NAMES:,} more" if len(files) > _SHOWN_NAMES else ""
    names = ", ".join(name for _, name, _ in files[:_SHOWN_NAMES])
    raise StateError(f"{what}: no such file was ingested", f"ingested: {names or 'none'}{more}")

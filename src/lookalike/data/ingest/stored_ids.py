"""Ids that an earlier version of the program stored as they were written, in quotes or with a final `.0`."""

from typing import Final

from lookalike.data.database import Database
from lookalike.data.ingest import id_cells
from lookalike.errors import StateError

_CHECKED: Final = "ids_checked"  # key in `meta`
_COLUMNS: Final = (("events", "user_id"), ("events", "item_id"), ("users", "user_id"), ("items", "item_id"))


def check_stored_ids(database: Database) -> None:
    """Raises StateError if new files would make second people or items of those that are stored. Looks once."""
    if database.rows("SELECT 1 FROM meta WHERE key = ?", _CHECKED):
        return
    for table, column in _COLUMNS:
        if database.rows(f"SELECT 1 FROM {table} WHERE {id_cells.is_unclean(column)} LIMIT 1"):
            raise StateError(
                "this workspace has ids that an earlier version stored in quotes or with a final .0: in new files the same "
                "people would be others",
                "ingest all files again into a new --workspace",
            )
    database.connection.execute("INSERT INTO meta VALUES (?, '1')", [_CHECKED])

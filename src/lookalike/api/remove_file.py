"""The verb `remove-file`: takes out of the log what one file brought."""

from lookalike.data import database
from lookalike.data.ingest import removal
from lookalike.data.ingest.results import RemoveResult
from lookalike.workspace.paths import WorkspaceFolder


def remove_file(folder: WorkspaceFolder, what: str, dry_run: bool) -> RemoveResult:
    """What was removed, or would be. Raises StateError when no file, or more than one, is called so."""
    folder.require_database()
    with folder.locked(), database.open_in(folder) as opened:
        return removal.remove_file(opened, what, dry_run)

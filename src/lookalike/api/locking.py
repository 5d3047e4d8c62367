"""The lock of a workspace, as verbs take it that say what they do."""

import contextlib
from collections.abc import Iterator

from lookalike.data.ingest.results import SharedFolder
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress


@contextlib.contextmanager
def locked(folder: WorkspaceFolder, progress: Progress, *, create: bool = False) -> Iterator[None]:
    """Keeps other processes from writing. Says where others can look into the folder of a new workspace, or of one whose
    files they could read until now. Raises StateError as `WorkspaceFolder.locked`."""
    is_new = not folder.database.exists()
    with folder.locked(create=create) as made_private:
        if (is_new or made_private) and folder.is_shared():
            progress.say(SharedFolder(folder=str(folder.root)))
        yield

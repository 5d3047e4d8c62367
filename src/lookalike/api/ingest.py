"""Ingest: reads event logs and attribute tables into a workspace."""

from pathlib import Path

from lookalike.api.locking import locked
from lookalike.data import database
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.preview import preview_files
from lookalike.data.ingest.results import IngestPreview, IngestResult
from lookalike.data.ingest.sources import find_input_files
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress


def ingest(folder: WorkspaceFolder, paths: list[Path], options: IngestOptions, progress: Progress) -> IngestResult:
    """What became of each file, what the workspace holds now, and what looks wrong with the log.

    Raises DataError for a file that cannot be used; the files before it stay loaded.
    """
    find_input_files(paths, options)  # a missing file is an error before the workspace is created
    with locked(folder, progress, create=True), database.open_in(folder) as opened:
        return ingest_files(opened, paths, options, progress)


def preview(paths: list[Path], options: IngestOptions) -> IngestPreview:
    """How each file would be read, with its first rows. Writes nothing."""
    return preview_files(paths, options)

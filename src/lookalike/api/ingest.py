"""TODO"""

from pathlib import Path
from typing import Any

from lookalike.data import database
from lookalike.data.ingest.ingest import find_sources, ingest_files, preview_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import freshness, representation
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress

Result = dict[str, Any]


def ingest(workspace: WorkspaceFolder, paths: list[Path], options: IngestOptions, progress: Progress) -> Result:
    find_sources(paths, options)  # a file that is not there is said before the workspace is made
    with workspace.locked(create=True), database.open_in(workspace) as opened:
        return ingest_files(opened, paths, options, progress).as_dict()


def after_ingest(workspace: WorkspaceFolder) -> str:
    """The command that takes in what was ingested."""
    if not representation.has_live_version(workspace):
        return "train"
    with database.open_file(workspace.database, read_only=True) as opened:
        stale = freshness.newer_files(opened, representation.live_version(workspace))
    return "embed" if stale else "expand --seed seed.csv --size 5%"


def preview(paths: list[Path], options: IngestOptions) -> Result:
    return preview_files(paths, options).as_dict()

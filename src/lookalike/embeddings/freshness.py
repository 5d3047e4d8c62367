"""TODO"""

from lookalike.data import database
from lookalike.embeddings.representation import Representation
from lookalike.workspace.paths import WorkspaceFolder


def newer_files(workspace: WorkspaceFolder, representation: Representation) -> list[str]:
    """A warning when files were ingested that the stored vectors have not seen."""
    seen = representation.manifest.get("files")
    if seen is None or not workspace.database.exists():
        return []
    with database.open_file(workspace.database, read_only=True) as opened:
        newer = len(database.ingested_files(opened)) - len(seen)
    return [f"{newer:,} files were ingested after the training; lookalike embed takes them in"] if newer > 0 else []

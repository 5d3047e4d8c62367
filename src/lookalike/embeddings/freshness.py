"""Whether the stored vectors know everything that was ingested."""

from lookalike.data.database import Database, ingested_files
from lookalike.embeddings.representation import Representation


def newer_files(database: Database, representation: Representation) -> int:
    """How many files were ingested after the version was made."""
    return max(0, len(ingested_files(database)) - len(representation.manifest.files))

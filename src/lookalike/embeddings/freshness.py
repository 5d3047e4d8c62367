"""Whether files were ingested after the vectors were made."""

from lookalike.data import database
from lookalike.data.database import Database
from lookalike.embeddings.representation import Representation


def newer_files(db: Database, representation: Representation) -> int:
    """How many files were ingested that the stored vectors have not read."""
    return max(0, len(database.ingested_files(db)) - len(representation.manifest.files))

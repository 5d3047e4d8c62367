"""Whether the stored vectors know everything that was ingested."""

from lookalike.data.database import Database, last_removal
from lookalike.embeddings.representation import Representation


def newer_files(database: Database, representation: Representation) -> int:
    """How many files were ingested after the version was made; a removal counts as one."""
    last = representation.manifest.last_file
    ((ingested,),) = database.rows("SELECT count(*) FROM files WHERE file_id > ?", last)
    return int(ingested) + (last_removal(database) > last)

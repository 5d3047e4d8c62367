"""What a stored version of the users' vectors has read of the log, and what its manifest says about it."""

from dataclasses import dataclass
from datetime import datetime

from lookalike.data import database, id_encoding
from lookalike.data.database import Cut, Database
from lookalike.data.schema import SourceFile
from lookalike.data.sequence_builder import MAX_PROFILE
from lookalike.data.sequences import Vocabulary
from lookalike.embeddings.manifest import VersionFacts
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.results import UserValuesNotRead
from lookalike.workspace.provenance import library_versions, utc_now

ATTRIBUTES_NAMED = 5


@dataclass(frozen=True)
class LogSnapshot:
    """The part of the log that a training or an embedding reads."""

    cut: Cut
    files: tuple[SourceFile, ...]  # all that were ingested
    last_file: int
    last_removal: int = 0  # number of the last removal of a file

    @classmethod
    def read(cls, opened: Database, as_of: datetime | None, min_events: int) -> "LogSnapshot":
        """The log as it is now, up to `as_of` or its end."""
        cut = Cut(database.resolve_cutoff(opened, as_of), min_events)
        files = database.ingested_files(opened)
        return cls(cut, files, database.last_file_id(opened), database.last_removal(opened))


def user_values_not_read(opened: Database, vocabulary: Vocabulary) -> UserValuesNotRead | None:
    """What of the users table is not read because more common values are; None if all is. After `build_sequences`."""
    if len(vocabulary.profile) < MAX_PROFILE:
        return None
    uncoded = id_encoding.uncoded_user_values(opened)
    if not uncoded:
        return None
    unread = [attribute for attribute, _, coded in uncoded if not coded]
    return UserValuesNotRead(
        values=sum(values - coded for _, values, coded in uncoded),
        read=len(vocabulary.profile),
        attributes=tuple(unread[:ATTRIBUTES_NAMED]),
        attributes_not_read=len(unread),
    )


def manifest_facts(
    run: str, embedder: Embedder, snapshot: LogSnapshot, refreshed: int, everybody_as_of: datetime
) -> VersionFacts:
    """The part of a new version's manifest that its writer cannot know."""
    return VersionFacts(
        run=run,
        created=utc_now(),
        as_of=snapshot.cut.as_of,
        everybody_as_of=everybody_as_of,
        min_events=snapshot.cut.min_events,
        files=snapshot.files,
        last_file=snapshot.last_file,
        blocks=embedder.widths,
        columns={"aggregates": tuple(embedder.aggregate_names)},
        refreshed=refreshed,
        versions=library_versions(),
    )

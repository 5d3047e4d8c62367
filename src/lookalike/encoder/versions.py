"""What a stored version of the users' vectors has read of the log, and what its manifest says about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lookalike.data import database
from lookalike.data.database import Cut, Database
from lookalike.data.schema import SourceFile
from lookalike.embeddings.representation import Representation
from lookalike.encoder.embedder import Embedder
from lookalike.workspace.provenance import library_versions, utc_now


@dataclass(frozen=True)
class LogSnapshot:
    """The part of the log that a training or an embedding reads."""

    cut: Cut
    files: tuple[SourceFile, ...]  # all that were ingested
    last_file: int

    @classmethod
    def read(cls, opened: Database, as_of: datetime | None, min_events: int) -> "LogSnapshot":
        """The log as it is now, up to `as_of` or its end."""
        cut = Cut(database.resolve_cutoff(opened, as_of), min_events)
        files = database.ingested_files(opened)
        return cls(cut, files, database.last_file_id(opened))


@dataclass(frozen=True)
class StoredVersion:
    """What the live version was made with."""

    run: str
    as_of: datetime
    everybody_as_of: datetime  # when every user was last embedded: later refreshes keep the vectors of some
    files: tuple[SourceFile, ...]
    last_file: int


def stored_version(live: Representation) -> StoredVersion:
    """What the manifest of the live version says."""
    manifest = live.manifest
    return StoredVersion(
        run=str(manifest["run"]),
        as_of=datetime.fromisoformat(manifest["as_of"]),
        everybody_as_of=datetime.fromisoformat(manifest["everybody_as_of"]),
        files=tuple(SourceFile(**file) for file in manifest["files"]),
        last_file=int(manifest["last_file"]),
    )


def manifest_facts(
    run: str, embedder: Embedder, snapshot: LogSnapshot, refreshed: int, everybody_as_of: datetime
) -> dict[str, Any]:
    """The part of a new version's manifest that its writer cannot know."""
    return {
        "run": run,
        "created": utc_now(),
        "as_of": snapshot.cut.as_of.isoformat(),
        "everybody_as_of": everybody_as_of.isoformat(),
        "min_events": snapshot.cut.min_events,
        "files": [file.as_json() for file in snapshot.files],
        "last_file": snapshot.last_file,
        "blocks": embedder.widths,
        "columns": {"aggregates": embedder.aggregate_names},
        "refreshed": refreshed,
        "versions": library_versions(),
    }

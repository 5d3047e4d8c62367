"""The table of ingested files."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from lookalike.data.database import TIMEZONE_PREFIX, Database, last_file_id
from lookalike.data.ingest.results import FileKind, FileReport
from lookalike.data.ingest.staging import STAGED_EVENTS


@dataclass(frozen=True)
class FileEntry:
    """A file that is being ingested, as it is recorded."""

    name: str
    sha256: str
    kind: FileKind
    ingested_at: datetime  # with a zone
    timezone: str  # of times that name none
    max_rejected_share: float
    replaces: tuple[int, ...] = ()  # numbers of files that this one takes the place of


def recorded_as(database: Database, digest: str, kind: FileKind) -> tuple[int, ...]:
    """The numbers under which the same bytes were ingested before as the same kind of file."""
    rows = database.rows("SELECT file_id FROM files WHERE sha256 = ? AND kind = ? ORDER BY 1", digest, kind)
    return tuple(number for (number,) in rows)


def recorded_mapping(database: Database, digest: str, kind: FileKind) -> dict[str, str]:
    """field -> column of a file that was ingested before."""
    ((stored,),) = database.rows("SELECT mapping FROM files WHERE sha256 = ? AND kind = ? LIMIT 1", digest, kind)
    mapping: dict[str, str] = json.loads(stored)
    return mapping


def next_file_id(database: Database) -> int:
    return last_file_id(database) + 1


def record_file(database: Database, file_id: int, report: FileReport, entry: FileEntry) -> None:
    """Records the file as ingested. The span of its events comes from the staged ones."""
    first, last = (None, None)
    if report.kind == "events":
        first, last = database.rows(f"SELECT min(ts), max(ts) FROM {STAGED_EVENTS}")[0]
    database.connection.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            file_id, report.name, entry.sha256, report.kind, report.rows, report.added, sum(report.rejected.values()),
            report.duplicates, first, last, json.dumps(report.mapping, ensure_ascii=False),
            entry.ingested_at.astimezone(UTC).replace(tzinfo=None),
        ],
    )  # fmt: skip


def record_timezone(database: Database, file_id: int, timezone: str) -> None:
    """Records that times of the file that name no zone were read in this one."""
    database.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [f"{TIMEZONE_PREFIX}{file_id}", timezone])


def reject_counts(database: Database, file_id: int) -> dict[str, int]:
    """How many rows of the file were rejected, by reason."""
    rows = database.rows("SELECT reason, count(*) FROM rejects WHERE file_id = ? GROUP BY reason ORDER BY 1", file_id)
    return dict(rows)

"""The table of ingested files."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from lookalike.data.database import TIMEZONE_PREFIX, Database
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


def is_recorded(database: Database, digest: str, kind: FileKind) -> bool:
    """Whether the same bytes were ingested before as the same kind of file."""
    return bool(database.rows("SELECT 1 FROM files WHERE sha256 = ? AND kind = ?", digest, kind))


def recorded_mapping(database: Database, digest: str, kind: FileKind) -> dict[str, str]:
    """field -> column of a file that was ingested before."""
    ((stored,),) = database.rows("SELECT mapping FROM files WHERE sha256 = ? AND kind = ? LIMIT 1", digest, kind)
    mapping: dict[str, str] = json.loads(stored)
    return mapping


def next_file_id(database: Database) -> int:
    return int(database.rows("SELECT coalesce(max(file_id), 0) + 1 FROM files")[0][0])


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


def record_timezone(database: Database, timezone: str) -> None:
    """Records that times of the log that name no zone were read in this one."""
    database.connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", [TIMEZONE_PREFIX + timezone, timezone])


def reject_counts(database: Database, file_id: int) -> dict[str, int]:
    """How many rows of the file were rejected, by reason."""
    rows = database.rows("SELECT reason, count(*) FROM rejects WHERE file_id = ? GROUP BY reason ORDER BY 1", file_id)
    return dict(rows)

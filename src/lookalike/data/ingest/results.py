"""What an ingest gives back: counts and names of files and fields, never an id."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class FileReport:
    """What became of one file. rows = added + duplicates + the rejected, unless it was skipped."""

    name: str
    kind: str  # events, items or users
    rows: int = 0
    added: int = 0
    duplicates: int = 0
    rejected: dict[str, int] = field(default_factory=dict)  # reason -> rows
    skipped: bool = False  # the same bytes were ingested before
    mapping: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    unreadable_values: int = 0  # cells of value or quantity that are no number


@dataclass(frozen=True)
class Check:
    check: str
    severity: Severity
    rows: int
    share: float  # of what the message names, 0 to 1
    message: str


@dataclass(frozen=True)
class Totals:
    """What the workspace holds after the ingest."""

    events: int
    users: int
    items: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class IngestResult:
    files: list[FileReport]
    totals: Totals
    checks: list[Check]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it; times as ISO text in UTC."""
        made = asdict(self)
        for end in ("first", "last"):
            moment = made["totals"][end]
            made["totals"][end] = moment.isoformat() + "Z" if moment else None
        return made


@dataclass(frozen=True)
class FilePreview:
    """How one file would be read: the columns, the time, and its first rows as they are and as they would be stored."""

    name: str
    kind: str
    format: str
    mapping: dict[str, str]
    time: str
    unused: list[str]
    notes: list[str]
    columns: list[str]
    rows: list[list[str | None]]
    stored: list[dict[str, str | None]]


@dataclass(frozen=True)
class IngestPreview:
    files: list[FilePreview]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

"""What an ingest returns and reports: counts, names of files and columns, findings. Never an id.

The sentences for these records are made in `reporting.ingest_messages`.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from lookalike.workspace.progress import Message
from lookalike.workspace.records import Record

Severity = Literal["error", "warning", "note"]
FileKind = Literal["events", "items", "users"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # worst first


def _without_zone(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


# UTC without a zone, as in the database; ISO text that ends in Z in JSON.
UtcTime = Annotated[
    datetime,
    AfterValidator(_without_zone),
    PlainSerializer(lambda moment: moment.isoformat() + "Z", return_type=str, when_used="json"),
]


class FileReport(Record):
    """What became of one file: rows = added + duplicates + rejected rows, unless it was skipped."""

    name: str = Field(description="the file")
    kind: FileKind
    rows: int = Field(default=0, description="rows read")
    added: int = Field(default=0, description="rows stored")
    duplicates: int = Field(default=0, description="rows that repeat an event")
    rejected: dict[str, int] = Field(default_factory=dict, description="reason -> rows")
    skipped: bool = Field(default=False, description="the same bytes were ingested before")
    mapping: dict[str, str] = Field(default_factory=dict, description="field -> column, or the product of two")
    unused: tuple[str, ...] = Field(default=(), description="columns that are not stored")
    unreadable_values: int = Field(default=0, description="rows whose value or quantity is not a number")
    cut_texts: dict[str, int] = Field(default_factory=dict, description="column -> cells whose text was cut")
    encoding: str = Field(default="", description="of the text, as it was read; empty for Parquet")


class Totals(Record):
    """What the workspace holds after the ingest."""

    events: int = Field(description="stored now")
    users: int = Field(description="with events")
    items: int = Field(description="that events name")
    first: UtcTime | None = Field(description="time of the first event")
    last: UtcTime | None = Field(description="time of the last event")


class QualityCheck(Record):
    """One finding about the data. Each kind is a subclass with a `check` of its own."""

    check: str = Field(description="which kind of finding")
    severity: Severity
    rows: int = Field(description="how many rows (events, days) it is about")
    share: float = Field(description="0 to 1")


class RejectedRows(QualityCheck):
    """Rows that were left out for one reason; share of all rows."""

    check: Literal[
        "null_users",
        "placeholder_users",
        "empty_times",
        "unreadable_times",
        "early_times",
        "future_times",
        "malformed_lines",
    ]


class AssumedEncoding(QualityCheck):
    """A file has other bytes than UTF-8 and was read in an encoding that cannot be told from the bytes."""

    check: Literal["assumed_encoding"] = "assumed_encoding"
    file: str
    encoding: str


class LongIds(QualityCheck):
    """Rows that were left out because an id is too long; share of all rows."""

    check: Literal["long_ids"] = "long_ids"
    field: str


class LongTexts(QualityCheck):
    """Cells of a column that were cut because their text is too long; share of the rows of the file."""

    check: Literal["long_texts"] = "long_texts"
    file: str
    column: str


class DuplicatesOfRemoved(QualityCheck):
    """A file was read again. Other files had dropped rows that repeated its earlier events, which may be missing now."""

    check: Literal["duplicates_of_removed"] = "duplicates_of_removed"
    file: str
    files: tuple[str, ...]


class DuplicateRows(QualityCheck):
    """Rows that repeat an event of the file or of the log; share of all rows."""

    check: Literal["duplicates"] = "duplicates"


class UnreadableValues(QualityCheck):
    """Rows whose value or quantity is not a number; share of all rows."""

    check: Literal["unreadable_values"] = "unreadable_values"


class HeavyUser(QualityCheck):
    """One user made `rows` events; share of the events of this ingest or of the whole log."""

    check: Literal["heavy_user"] = "heavy_user"
    share_of: Literal["ingest", "log"]


class StaleLog(QualityCheck):
    """The last event is old."""

    check: Literal["stale_log"] = "stale_log"
    days: int


class StrayEvents(QualityCheck):
    """A few events long after all others; share of all events. Everybody's last event looks old beside them."""

    check: Literal["stray_events"] = "stray_events"
    days: int
    last: date


class ThinDays(QualityCheck):
    """Days with less than half the events that their weekday usually has; share of the days looked at."""

    check: Literal["thin_days"] = "thin_days"
    days: tuple[date, ...]
    days_checked: int


class NoItems(QualityCheck):
    """No event names an item."""

    check: Literal["no_items"] = "no_items"


class UnknownItems(QualityCheck):
    """Events about items that the items table does not have; share of the events that name an item.

    `ways` counts those of the items whose ids differ from the table's only by the way they are written, by difference.
    """

    check: Literal["unknown_items"] = "unknown_items"
    ways: dict[str, int] = Field(default={})


class PersonalData(QualityCheck):
    """A column of the events seems to hold personal data; rows and share are estimated from a sample."""

    check: Literal["personal_data"] = "personal_data"
    column: str
    content: Literal["email_addresses", "phone_numbers"]


class NegativeValues(QualityCheck):
    """Events with a negative value; share of the events with a value."""

    check: Literal["negative_values"] = "negative_values"


class ConstantEventType(QualityCheck):
    """All events have the same type."""

    check: Literal["constant_event_type"] = "constant_event_type"
    event_type: str


class RoundedIds(QualityCheck):
    """Ids are numbers that a program has rounded, such as 1.23457E+15; share of the events."""

    check: Literal["rounded_ids"] = "rounded_ids"
    column: Literal["user_id", "item_id"]


class MissingContext(QualityCheck):
    """A file lacks a declared context column."""

    check: Literal["missing_context"] = "missing_context"
    file: str
    column: str


class PersonalContext(QualityCheck):
    """A context column is excluded from the features because it seems personal.

    `personal_names` are the columns of the files, read into this one, whose names say so; empty when the content does.
    """

    check: Literal["personal_context"] = "personal_context"
    column: str
    personal_names: tuple[str, ...] = ()


class IdentifierContext(QualityCheck):
    """A context column is excluded from the features because its values identify single events or users."""

    check: Literal["identifier_context"] = "identifier_context"
    column: str
    values: int
    users: int


class DroppedColumns(QualityCheck):
    """Columns of an items or users table that were not stored."""

    check: Literal["personal_columns", "identifier_columns", "nested_columns"]
    table: Literal["items", "users"]
    columns: tuple[str, ...]


AnyCheck = Annotated[
    RejectedRows
    | AssumedEncoding
    | LongIds
    | LongTexts
    | DuplicateRows
    | DuplicatesOfRemoved
    | UnreadableValues
    | HeavyUser
    | StaleLog
    | StrayEvents
    | ThinDays
    | NoItems
    | UnknownItems
    | PersonalData
    | NegativeValues
    | ConstantEventType
    | RoundedIds
    | MissingContext
    | PersonalContext
    | IdentifierContext
    | DroppedColumns,
    Field(discriminator="check"),
]


class IngestResult(Record):
    """What an ingest did, and what looks wrong with the data."""

    files: tuple[FileReport, ...] = Field(description="what became of each file")
    totals: Totals = Field(description="what the workspace holds now")
    checks: tuple[AnyCheck, ...] = Field(description="worst first")


class RemovedFile(Record):
    """A file whose rows were taken out of the log, or would be."""

    name: str = Field(description="as it was ingested")
    sha256: str
    kind: FileKind
    rows: int = Field(description="of the file")
    added: int = Field(description="events, or rows of the table, that are removed")
    ingest_again: tuple[str, ...] = Field(
        description="files that may have dropped rows because this one had them first"
    )


class RemoveResult(Record):
    """What was removed, or with `--dry-run` would be."""

    removed: tuple[RemovedFile, ...] = Field(description="every file of these bytes")
    dry_run: bool = Field(description="nothing was changed")


class AmbiguousField(Record):
    """Several columns could have been a field; the first was taken."""

    code: Literal["ambiguous_field"] = "ambiguous_field"
    field: str
    column: str
    alternatives: tuple[str, ...]


class KeptAsContext(Record):
    """A declared context column would have been a field by its name."""

    code: Literal["kept_as_context"] = "kept_as_context"
    column: str
    field: str


class MissingColumn(Record):
    """The file lacks a declared context column."""

    code: Literal["missing_column"] = "missing_column"
    column: str


MappingNote = Annotated[AmbiguousField | KeptAsContext | MissingColumn, Field(discriminator="code")]


class FilePreview(Record):
    """How one file would be read, with its first rows as they are and as they would be stored."""

    name: str = Field(description="the file")
    kind: FileKind
    format: str = Field(description="csv, parquet or jsonl")
    encoding: str = Field(default="", description="of the text, as it is read; empty for Parquet")
    mapping: dict[str, str] = Field(description="field -> column, or the product of two")
    time: str = Field(default="", description="how times are written; event files only, as `unused` and `stored`")
    unused: tuple[str, ...] = Field(default=(), description="columns that would not be stored")
    notes: tuple[MappingNote, ...] = Field(description="choices that were made while columns were mapped")
    columns: tuple[str, ...] = Field(description="the file's columns")
    rows: tuple[tuple[str | None, ...], ...] = Field(description="first rows as they are")
    stored: tuple[dict[str, str | None], ...] = Field(default=(), description="first rows as they would be stored")


class IngestPreview(Record):
    """How files would be read."""

    files: tuple[FilePreview, ...] = Field(description="how each file would be read")


class SharedFolder(Message):
    """Others can look into the folder of a workspace that is new, or whose files they could read until now. What is in the
    files is the owner's alone."""

    code: Literal["shared_folder"] = "shared_folder"
    folder: str


class FileSkipped(Message):
    """The same bytes were ingested before."""

    code: Literal["file_skipped"] = "file_skipped"
    file: str


class FileLoaded(Message):
    code: Literal["file_loaded"] = "file_loaded"
    file: str
    added: int
    duplicates: int
    rejected: int


class MappingNoted(Message):
    """A choice that was made while the columns of a file were mapped."""

    code: Literal["mapping_noted"] = "mapping_noted"
    file: str
    note: MappingNote


class ColumnsUnused(Message):
    """Columns of an event file that are not stored, each reported once an ingest."""

    code: Literal["columns_unused"] = "columns_unused"
    file: str
    columns: tuple[str, ...]

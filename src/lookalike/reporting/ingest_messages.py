"""Sentences about an ingest: its messages, the notes on how columns were mapped, and the findings about the data."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from lookalike.data.ingest.results import (
    AmbiguousField,
    AssumedEncoding,
    ColumnsUnused,
    ConstantEventType,
    DroppedColumns,
    DuplicateRows,
    DuplicatesOfRemoved,
    FileLoaded,
    FileSkipped,
    HeavyUser,
    IdentifierContext,
    KeptAsContext,
    LongIds,
    LongTexts,
    MappingNote,
    MappingNoted,
    MissingColumn,
    MissingContext,
    NegativeValues,
    NoItems,
    PersonalContext,
    PersonalData,
    QualityCheck,
    RejectedRows,
    RoundedIds,
    SharedFolder,
    StaleLog,
    StrayEvents,
    ThinDays,
    UnknownItems,
    UnreadableValues,
)
from lookalike.expansion.suppression_figures import differences
from lookalike.workspace.progress import Message

_SHOWN_DAYS: Final = 5


def check_sentence(check: QualityCheck) -> str:
    """What a finding means, in one sentence."""
    return _CHECK_SENTENCES[type(check)](check)


def note_sentence(note: MappingNote) -> str:
    """A choice that was made while columns were mapped, without the name of the file."""
    return _NOTE_SENTENCES[type(note)](note)


_REJECTED: Final = {
    "null_users": "rows without a user were left out: guests, or a failed join?",
    "placeholder_users": "rows with a placeholder such as 'unknown' as the user were left out",
    "unreadable_times": "rows with a time that cannot be read were left out",
    "empty_times": "rows without a time were left out",
    "early_times": "rows from before 2000 were left out",
    "future_times": "rows from the future were left out",
    "malformed_lines": "lines that cannot be read were left out",
}


def _rejected_rows(check: RejectedRows) -> str:
    return _of_the_rows(check, _REJECTED[check.check])


def _assumed_encoding(check: AssumedEncoding) -> str:
    encoding = {"cp1252": "Windows-1252"}.get(check.encoding, check.encoding)
    return f"{check.file}: is not UTF-8 and was read as {encoding}; if that is wrong, save it as UTF-8"


def _long_ids(check: LongIds) -> str:
    return _of_the_rows(check, f"rows were left out because their {check.field} has more than 10,000 characters")


def _long_texts(check: LongTexts) -> str:
    return f"{check.file}: {check.rows:,} texts of {check.column} are longer than what is kept of one, and were cut"


def _duplicate_rows(check: DuplicateRows) -> str:
    return _of_the_rows(check, "rows repeat an event that is in the file or was there before, and were dropped")


def _duplicates_of_removed(check: DuplicatesOfRemoved) -> str:
    return f"{check.file}: was read again. {missing_rows(check.files)}"


def missing_rows(files: tuple[str, ...]) -> str:
    """What is to be done about files that dropped rows as duplicates of a file that is no longer as it was."""
    return (
        f"Rows of other files that repeated its earlier events were dropped, and may be missing now: "
        f"lookalike ingest --again {' '.join(files)}"
    )


def _unreadable_values(check: UnreadableValues) -> str:
    return _of_the_rows(check, "rows have a value or quantity that is not a number; the events are kept without it")


def _of_the_rows(check: QualityCheck, text: str) -> str:
    return f"{check.rows:,} {text} ({_percent(check.share)} of the rows)"


def _heavy_user(check: HeavyUser) -> str:
    events = "the events in these files" if check.share_of == "ingest" else "all events"
    return (
        f"one user made {check.rows:,} events ({_percent(check.share)} of {events}): "
        "a robot, a test account or a shared device?"
    )


def _stale_log(check: StaleLog) -> str:
    return f"the last event is {check.days:,} days old"


def _stray_events(check: StrayEvents) -> str:
    events, come = ("one event", "comes") if check.rows == 1 else (f"{check.rows:,} events", "come")
    return (
        f"{events} {come} {check.days:,} days after all others, which end on {check.last}: a wrong date? Beside it everybody "
        f"looks long gone; train --as-of {check.last + timedelta(days=1)} leaves {'it' if check.rows == 1 else 'them'} out"
    )


def _thin_days(check: ThinDays) -> str:
    shown = ", ".join(day.isoformat() for day in check.days[:_SHOWN_DAYS])
    more = " ..." if len(check.days) > _SHOWN_DAYS else ""
    return (
        f"{check.rows:,} of {check.days_checked:,} days have less than half the events that their weekday usually has: "
        f"{shown}{more}"
    )


def _no_items(check: NoItems) -> str:
    return "no event names an item: only when users were active is known"


def _unknown_items(check: UnknownItems) -> str:
    text = f"{check.rows:,} events are about items that the items table does not have ({_percent(check.share)})"
    if not check.ways:
        return text
    return f"{text}; {sum(check.ways.values()):,} of these items it has in another spelling ({differences(check.ways)})"


def _personal_data(check: PersonalData) -> str:
    content = check.content.replace("email", "e-mail").replace("_", " ")
    advice = "hash the ids before the export" if check.column == "user_id" else "remove them from the export"
    return f"{check.column} seems to hold {content} (about {_percent(check.share)} of the events): {advice}"


def _negative_values(check: NegativeValues) -> str:
    return f"{check.rows:,} events have a negative value ({_percent(check.share)} of those with one): refunds?"


def _constant_event_type(check: ConstantEventType) -> str:
    return f"all events are of one type: {check.event_type}"


def _rounded_ids(check: RoundedIds) -> str:
    kind = {"user_id": "people", "item_id": "items"}[check.column]
    return (
        f"{check.rows:,} events have a {check.column} that a spreadsheet or a program has rounded, such as 1.23457E+15: "
        f"different {kind} have been merged and cannot be told apart; export the ids as text"
    )


def _missing_context(check: MissingContext) -> str:
    return f"{check.file}: {_no_context_column(check.column)}"


def _personal_context(check: PersonalContext) -> str:
    if check.personal_names == (check.column,):
        reason = "is personal by its name"
    elif check.personal_names:
        reason = f"is read from {', '.join(check.personal_names)}"
    else:
        reason = "seems to hold e-mail addresses or phone numbers"
    return f"{check.column} {reason}, and is left out of the features"


def _identifier_context(check: IdentifierContext) -> str:
    return (
        f"{check.column} looks like an identifier and is left out of the features: {check.values:,} different values "
        f"in {check.rows:,} events of {check.users:,} users"
    )


_DROPPED: Final = {
    "personal_columns": "seem to hold personal data and were not stored",
    "identifier_columns": "have a different value in nearly every row, which says nothing about similarity, "
    "and were not stored",
    "nested_columns": "hold nested values and were not stored",
}


def _dropped_columns(check: DroppedColumns) -> str:
    return f"{check.table}: columns that {_DROPPED[check.check]}: {', '.join(check.columns)}"


def _ambiguous_field(note: AmbiguousField) -> str:
    others = ", ".join(note.alternatives)
    return f"{note.field} is taken from {note.column}; it could also be {others} (--map {note.field}=COLUMN)"


def _kept_as_context(note: KeptAsContext) -> str:
    return f"{note.column} is kept as context, not as {note.field} (--map {note.field}={note.column} makes it both)"


def _missing_column(note: MissingColumn) -> str:
    return _no_context_column(note.column)


def _no_context_column(column: str) -> str:
    return f"there is no column {column}, declared with --context; the events are kept without it"


def _shared_folder(message: SharedFolder) -> str:
    return (
        f"{message.folder}: others can look into this folder; they see the names of files, and only you can read the files "
        "(chmod 700 hides the names too)"
    )


def _file_skipped(message: FileSkipped) -> str:
    return f"{message.file}: ingested before, skipped"


def _file_loaded(message: FileLoaded) -> str:
    return f"{message.file}: {message.added:,} added, {message.duplicates:,} duplicates, {message.rejected:,} rejected"


def _mapping_noted(message: MappingNoted) -> str:
    return f"{message.file}: {note_sentence(message.note)}"


def _columns_unused(message: ColumnsUnused) -> str:
    columns = ", ".join(message.columns)
    return f"{message.file}: not used: {columns} (--context COLUMN keeps a column with each event)"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"


_CHECK_SENTENCES: Final[dict[type[QualityCheck], Callable[[Any], str]]] = {
    RejectedRows: _rejected_rows,
    AssumedEncoding: _assumed_encoding,
    LongIds: _long_ids,
    LongTexts: _long_texts,
    DuplicateRows: _duplicate_rows,
    DuplicatesOfRemoved: _duplicates_of_removed,
    UnreadableValues: _unreadable_values,
    HeavyUser: _heavy_user,
    StaleLog: _stale_log,
    StrayEvents: _stray_events,
    ThinDays: _thin_days,
    NoItems: _no_items,
    UnknownItems: _unknown_items,
    PersonalData: _personal_data,
    NegativeValues: _negative_values,
    ConstantEventType: _constant_event_type,
    RoundedIds: _rounded_ids,
    MissingContext: _missing_context,
    PersonalContext: _personal_context,
    IdentifierContext: _identifier_context,
    DroppedColumns: _dropped_columns,
}
_NOTE_SENTENCES: Final[dict[type, Callable[[Any], str]]] = {
    AmbiguousField: _ambiguous_field,
    KeptAsContext: _kept_as_context,
    MissingColumn: _missing_column,
}
SENTENCES: Final[dict[type[Message], Callable[..., str]]] = {
    SharedFolder: _shared_folder,
    FileSkipped: _file_skipped,
    FileLoaded: _file_loaded,
    MappingNoted: _mapping_noted,
    ColumnsUnused: _columns_unused,
}

"""The sentences about an ingest: they name the figures, the columns and what helps."""

from datetime import date, timedelta

import pytest

from lookalike.data.ingest.results import (
    AmbiguousField,
    ColumnsUnused,
    DroppedColumns,
    FileLoaded,
    FileSkipped,
    HeavyUser,
    IdentifierContext,
    KeptAsContext,
    LongIds,
    MappingNote,
    MappingNoted,
    MissingColumn,
    MissingContext,
    PersonalContext,
    PersonalData,
    QualityCheck,
    RejectedRows,
    StrayEvents,
    ThinDays,
)
from lookalike.reporting.ingest_messages import SENTENCES, check_sentence, note_sentence
from lookalike.workspace.progress import Message


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (
            RejectedRows(check="null_users", severity="warning", rows=1_234, share=0.123),
            "1,234 rows without a user were left out: guests, or a failed join? (12.3% of the rows)",
        ),
        (
            LongIds(severity="note", rows=1, share=0.00001, field="item_id"),
            "1 rows were left out because their item_id has more than 10,000 characters (less than 0.1% of the rows)",
        ),
        (
            HeavyUser(severity="warning", rows=5_000, share=0.05, share_of="log"),
            "one user made 5,000 events (5.0% of all events): a robot, a test account or a shared device?",
        ),
        (
            StrayEvents(severity="warning", rows=1, share=0.001, days=711, last=date(2024, 5, 19)),
            "one event comes 711 days after all others, which end on 2024-05-19: a wrong date? Beside it everybody looks long "
            "gone; train --as-of 2024-05-20 leaves it out",
        ),
        (
            PersonalData(severity="error", rows=9, share=0.5, column="user_id", content="email_addresses"),
            "user_id seems to hold e-mail addresses (about 50.0% of the events): hash the ids before the export",
        ),
        (
            MissingContext(severity="note", rows=9, share=1, file="a.csv", column="shop"),
            "a.csv: there is no column shop, declared with --context; the events are kept without it",
        ),
        (
            PersonalContext(severity="warning", rows=9, share=1, column="email", personal_names=("email",)),
            "email is personal by its name, and is left out of the features",
        ),
        (
            PersonalContext(severity="warning", rows=9, share=1, column="source", personal_names=("e_mail",)),
            "source is read from e_mail, and is left out of the features",
        ),
        (
            PersonalContext(severity="warning", rows=9, share=1, column="c"),
            "c seems to hold e-mail addresses or phone numbers, and is left out of the features",
        ),
        (
            IdentifierContext(severity="warning", rows=4_000, share=1, column="c", values=4_000, users=400),
            "c looks like an identifier and is left out of the features: 4,000 different values in 4,000 events "
            "of 400 users",
        ),
        (
            DroppedColumns(
                check="personal_columns",
                severity="warning",
                rows=9,
                share=1,
                table="users",
                columns=("E-Mail", "phone"),
            ),
            "users: columns that seem to hold personal data and were not stored: E-Mail, phone",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, QualityCheck) else "",
)
def test_a_check_is_a_sentence(check: QualityCheck, sentence: str) -> None:
    assert check_sentence(check) == sentence


def test_of_many_thin_days_the_first_five_are_named() -> None:
    days = tuple(date(2024, 3, 1) + timedelta(days=n) for n in range(7))
    sentence = check_sentence(ThinDays(severity="warning", rows=7, share=0.07, days=days, days_checked=100))
    assert sentence.startswith("7 of 100 days have less than half the events that their weekday usually has: ")
    assert sentence.endswith("2024-03-04, 2024-03-05 ...")
    few = ThinDays(severity="warning", rows=1, share=0.01, days=days[:1], days_checked=100)
    assert check_sentence(few).endswith("has: 2024-03-01")


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (
            AmbiguousField(field="user_id", column="client_id", alternatives=("visitorid", "uid")),
            "user_id is taken from client_id; it could also be visitorid, uid (--map user_id=COLUMN)",
        ),
        (
            KeptAsContext(column="campaign_id", field="item_id"),
            "campaign_id is kept as context, not as item_id (--map item_id=campaign_id makes it both)",
        ),
        (
            MissingColumn(column="shop"),
            "there is no column shop, declared with --context; the events are kept without it",
        ),
    ],
    ids=["ambiguous_field", "kept_as_context", "missing_column"],
)
def test_a_note_is_a_sentence_with_the_flag_that_changes_it(note: MappingNote, sentence: str) -> None:
    assert note_sentence(note) == sentence
    assert SENTENCES[MappingNoted](MappingNoted(file="a.csv", note=note)) == f"a.csv: {sentence}"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (FileSkipped(file="a.csv"), "a.csv: ingested before, skipped"),
        (
            FileLoaded(file="a.csv", added=1_000, duplicates=2, rejected=3),
            "a.csv: 1,000 added, 2 duplicates, 3 rejected",
        ),
        (
            ColumnsUnused(file="a.csv", columns=("colour", "size")),
            "a.csv: not used: colour, size (--context COLUMN keeps a column with each event)",
        ),
    ],
    ids=["file_skipped", "file_loaded", "columns_unused"],
)
def test_a_message_is_a_sentence(message: Message, sentence: str) -> None:
    assert SENTENCES[type(message)](message) == sentence

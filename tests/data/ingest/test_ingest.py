"""Ingest as a whole: what a caller gets for each kind of file, good or bad."""

import contextlib
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from log_files import TWO_EVENTS, ingest, refused, stored_events, stored_tables, write
from lookalike.data.database import Database
from lookalike.data.ingest.context_columns import require_finished_ingest
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import (
    AmbiguousField,
    ColumnsUnused,
    FileLoaded,
    FileSkipped,
    MappingNoted,
)
from lookalike.errors import DataError
from lookalike.workspace.progress import Advance, Message

ANN = ("ann", datetime(2024, 3, 1, 10), "view", "a")
BOB = ("bob", datetime(2024, 3, 2, 11, 30), "purchase", "b")
TWO_LINES = "".join(
    json.dumps(dict(zip(("user_id", "ts", "event_type", "item_id"), line.split(","), strict=True))) + "\n"
    for line in TWO_EVENTS.splitlines()[1:]
)

# Tests are named by these keys: an id must not hold content, since gzip writes the time of day into it.
GOOD_FILES = {
    "csv": ("log.csv", TWO_EVENTS),
    "tab": ("log.tsv", TWO_EVENTS.replace(",", "\t")),
    "bar": ("log.txt", TWO_EVENTS.replace(",", "|")),
    "semicolon": ("log.csv", TWO_EVENTS.replace(",", ";")),
    "windows line ends": ("log.csv", TWO_EVENTS.replace("\n", "\r\n")),
    "old mac line ends": ("log.csv", TWO_EVENTS.replace("\n", "\r")),
    "mixed line ends": ("log.csv", TWO_EVENTS.replace("10:00:00,view,a\n", "10:00:00,view,a\r\n")),
    "no last line end": ("log.csv", TWO_EVENTS.rstrip("\n")),
    "blank lines above": ("log.csv", "\n\n" + TWO_EVENTS),
    "utf-8 with a mark": ("log.csv", b"\xef\xbb\xbf" + TWO_EVENTS.encode()),
    "utf-16": ("log.csv", TWO_EVENTS.encode("utf-16")),
    "utf-16-le without a mark": ("log.csv", TWO_EVENTS.encode("utf-16-le")),
    "utf-16-be": ("log.csv", b"\xfe\xff" + TWO_EVENTS.encode("utf-16-be")),
    "gzip": ("log.csv.gz", gzip.compress(TWO_EVENTS.encode())),
    "gzip without its suffix": ("log", gzip.compress(TWO_EVENTS.encode())),
    "jsonl": ("log.jsonl", TWO_LINES),
    "jsonl with windows line ends": ("log.ndjson", TWO_LINES.replace("\n", "\r\n")),
    "jsonl with a mark": ("log.jsonl", b"\xef\xbb\xbf" + TWO_LINES.encode()),
    "json array": ("log.json", "[" + TWO_LINES.strip().replace("\n", ",\n") + "]"),
    "jsonl as gzip": ("log.jsonl.gz", gzip.compress(TWO_LINES.encode())),
    "odd file name": ("o'clock [1] *?.csv", TWO_EVENTS),
}


@pytest.mark.parametrize("kind", GOOD_FILES)
def test_every_kind_of_text_file_gives_the_same_events(database: Database, tmp_path: Path, kind: str) -> None:
    name, content = GOOD_FILES[kind]
    result = ingest(database, write(tmp_path / name, content))
    assert stored_events(database) == [ANN, BOB]
    assert result.totals.events == 2
    assert result.files[0].rejected == {}


def test_the_same_file_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TWO_EVENTS)
    ingest(database, path)
    before = stored_tables(database)
    result = ingest(database, path, write(tmp_path / "copy.csv", TWO_EVENTS))
    assert stored_tables(database) == before
    assert [file.skipped for file in result.files] == [True, True]


BAD_FILES = {
    "empty.csv": (b"", "the file is empty"),
    "blank.csv": (b"\n \n", "the file is empty"),
    "header.csv": (b"user_id,ts\n", "no rows"),
    "empty.csv.gz": (gzip.compress(b""), "the file is empty"),
    "cut.csv.gz": (gzip.compress(os.urandom(30_000).hex().encode() + TWO_EVENTS.encode())[:-40], "cannot be"),
    "garbage.parquet": (b"PAR1 no parquet at all PAR1", "cannot be read as parquet"),
    "renamed.parquet": (TWO_EVENTS.encode() * 2, "cannot be read as parquet"),
    "book.xlsx": (b"PK\x03\x04" + bytes(300), "an Excel workbook"),
    "binary.csv": (b"user_id,ts\n" + bytes(300), "is not a text file"),
    "cut.json": (b'[{"user_id": "a", "ts": 1700000000},', "cut off"),
    "plain.jsonl": (b"just words\n", "no JSON object"),
    "nouser.csv": (b"shoe,ts\n1,2024-01-01\n", "no column could be the user (user_id); columns: shoe, ts"),
    "notime.csv": (b"user_id,colour\n1,red\n", "no column could be the time (ts); columns: user_id, colour"),
    "noheader.csv": (b"u1,2024-01-01 10:00:00\nu2,2024-01-01 10:00:00\n", "no column could be the user"),
    "quote.csv": (b'user_id,ts,sku\nann,2024-01-01,"a\nbob,2024-01-01,b\neve,2024-01-01,c\n', "line 2: a quote"),
    "alltime.csv": (b"user_id,ts\na,2024-13-45\nb,2024-13-46\n", "all 2 rows are rejected (unreadable time 2)"),
    "nulls.csv": (b"user_id,ts\n,2024-01-01\nnull,2024-01-01\n", "all 2 rows are rejected"),
    "ragged.csv": (b"user_id,ts\na,2024-01-01\nb\nc\nd\n", "3 of 4 rows are rejected"),
    "words.csv": (b"user_id,ts\na,soon\nb,later\n", "the times cannot be read"),
    "notimes.csv": (b"user_id,ts\na,\nb,\n", "every time is empty"),
    "mixed.csv": (b"user_id,ts\na,1700000000\nb,1700000000000\n", "the times mix units: 1 in s, 1 in ms"),
    "small.csv": (b"user_id,ts\na,1\nb,2\n", "these numbers are not times"),
    "open.csv": (b"user_id,ts\na,01/02/2024\nb,03/04/2024\n", "may be day/month or month/day"),
    "both.csv": (b"user_id,ts\na,01/22/2024\nb,23/04/2024\n", "some dates have the day first"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_and_changes_nothing(database: Database, tmp_path: Path, name: str) -> None:
    content, message = BAD_FILES[name]
    ingest(database, write(tmp_path / "before.csv", TWO_EVENTS))
    path = write(tmp_path / name, content)
    error = refused(database, path, max_rejected_share=0.5)
    assert isinstance(error, DataError)
    assert error.exit_code == 3
    assert message in error.message
    assert str(path) in error.message


def test_a_bad_file_leaves_a_finished_ingest_of_the_files_before_it(database: Database, tmp_path: Path) -> None:
    good = write(tmp_path / "a.csv", TWO_EVENTS)
    bad = write(tmp_path / "b.csv", "user_id,ts\n,2024-01-01\n")
    with pytest.raises(DataError, match=r"b\.csv: all 1 rows are rejected"):
        ingest(database, good, bad)
    assert stored_events(database) == [ANN, BOB]
    require_finished_ingest(database)


def test_the_hint_names_the_dry_run(database: Database, tmp_path: Path) -> None:
    error = refused(database, write(tmp_path / "a.csv", "user_id,ts\n,2024-01-01\n"))
    assert "--dry-run" in error.hint


@dataclass
class RecordingProgress:
    messages: list[Message] = field(default_factory=list)

    def say(self, message: Message) -> None:
        self.messages.append(message)

    def note(self, text: str) -> None:
        pytest.fail(f"a text instead of a message: {text}")

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Advance]:
        yield lambda done, detail="", /: None


def test_messages_tell_what_became_of_each_file(database: Database, tmp_path: Path) -> None:
    text = "client_id,visitorid,ts,colour\nann,1,2024-03-01,red\nann,1,2024-03-01,red\n,2,2024-03-01,red\n"
    first, second = write(tmp_path / "a.csv", text), write(tmp_path / "b.csv", text.replace("ann", "bob"))
    copy = write(tmp_path / "c.csv", text)
    progress = RecordingProgress()
    ingest_files(database, [first, second, copy], IngestOptions(), progress)
    note = AmbiguousField(field="user_id", column="client_id", alternatives=("visitorid",))
    assert progress.messages == [
        FileLoaded(file=str(first), added=1, duplicates=1, rejected=1),
        MappingNoted(file=str(first), note=note),
        ColumnsUnused(file=str(first), columns=("visitorid", "colour")),
        FileLoaded(file=str(second), added=1, duplicates=1, rejected=1),
        MappingNoted(file=str(second), note=note),
        FileSkipped(file=str(copy)),
    ]

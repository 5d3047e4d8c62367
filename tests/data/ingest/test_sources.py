"""Which files are found under a path, and how they are recognised."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from log_files import TWO_EVENTS, ingest, refused, stored_events, write
from lookalike.data.database import Database
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.sources import describe_source, find_input_files
from lookalike.errors import DataError


def write_zstd(path: Path, text: str) -> Path:
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(text.encode())
    return path


def test_zstd_files_are_read(database: Database, tmp_path: Path) -> None:
    ingest(database, write_zstd(tmp_path / "a.csv.zst", TWO_EVENTS))
    line = json.dumps({"user_id": "eve", "ts": "2024-03-01 10:00:00"})
    ingest(database, write_zstd(tmp_path / "b.jsonl.zst", line))
    assert [row[0] for row in stored_events(database)] == ["ann", "bob", "eve"]


def test_a_folder_and_a_pattern_give_each_readable_file_once(database: Database, tmp_path: Path) -> None:
    write(tmp_path / "in" / "deep" / "a.csv", TWO_EVENTS)
    write(tmp_path / "in" / "b.csv", TWO_EVENTS.replace("ann", "eve"))
    write(tmp_path / "in" / "notes.pdf", "no log")
    write(tmp_path / "in" / "_SUCCESS", "")
    result = ingest(database, tmp_path / "in", tmp_path / "in" / "*.csv", tmp_path / "in" / "b.csv")
    assert [Path(file.name).name for file in result.files] == ["b.csv", "a.csv"]
    assert result.totals.users == 3


def test_a_missing_path_and_a_folder_without_a_log_are_refused(database: Database, tmp_path: Path) -> None:
    assert "no such file or folder" in refused(database, tmp_path / "gone.csv").message
    pattern = refused(database, tmp_path / "*.csv")
    assert "no such file or folder" in pattern.message
    assert pattern.hint.startswith("no file matches the pattern")
    write(tmp_path / "in" / "picture.png", "x")
    assert "no file in this folder can be read" in refused(database, tmp_path / "in").message


def test_a_table_in_the_folder_of_the_events_is_no_event_file(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", TWO_EVENTS)
    items = write(tmp_path / "items.csv", "item_id\na\n")
    files = find_input_files([tmp_path], IngestOptions(items=items))
    assert [(file.source.path.name, file.kind) for file in files] == [("events.csv", "events"), ("items.csv", "items")]
    with pytest.raises(DataError, match="no such file"):
        find_input_files([tmp_path], IngestOptions(users=tmp_path / "users.csv"))


@pytest.mark.parametrize(
    ("name", "start", "expected"),
    [
        ("log.csv", b"user_id,ts\n", "csv"),
        ("log.txt", b'{"user_id": 1}', "jsonl"),
        ("log.json", b"[{}]", "json"),
        ("log", b"PAR1", "parquet"),
    ],
    ids=["csv", "objects in a txt file", "array", "parquet without its suffix"],
)
def test_the_content_decides_before_the_suffix(tmp_path: Path, name: str, start: bytes, expected: str) -> None:
    assert describe_source(write(tmp_path / name, start)).format == expected

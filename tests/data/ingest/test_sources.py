"""Which files are found under a path, and how they are recognised."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from log_files import TWO_EVENTS, ingest, refused, stored_events, write
from lookalike.data.database import Database
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.sources import describe_source, expand_paths, find_input_files
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


def test_a_pattern_below_folders_whose_names_look_like_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "Client [EU] *? 2024"
    for name in ("a.csv", "deep [1]/b.csv", ".hidden/c.csv", ".d.csv"):
        write(folder / name, TWO_EVENTS)
    for pattern, names in (("*.csv", ["a.csv"]), ("**/*.csv", ["a.csv", "b.csv"]), ("deep [1]/*.csv", ["b.csv"])):
        assert [source.path.name for source in expand_paths([folder / pattern])] == names
    with pytest.raises(DataError, match="is not a pattern"):
        expand_paths([folder / "a**b.csv"])


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.csv", TWO_EVENTS)
    for number in range(8):
        (tmp_path / "in" / f"loop{number}").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "itself.csv").symlink_to(tmp_path / "in" / "itself.csv")
    for path in (tmp_path / "in", tmp_path / "in" / "**" / "*.csv", tmp_path / "*"):
        assert {source.path.name for source in expand_paths([path])} == {"a.csv"}


@pytest.mark.parametrize("name", [b"\xff.csv", b"back\\slash.csv"])
def test_a_name_that_duckdb_cannot_open_is_refused_before_anything_is_read(tmp_path: Path, name: bytes) -> None:
    path = write(tmp_path / "in" / os.fsdecode(name), TWO_EVENTS)
    for given in (path, path.parent):
        with pytest.raises(DataError, match="backslash or is not UTF-8") as raised:
            expand_paths([given])
        assert raised.value.message.encode()  # it can be printed

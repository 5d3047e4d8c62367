"""Encodings that are not UTF-8."""

from pathlib import Path

import pytest

from log_files import ingest, stored_events, write
from lookalike.data.database import Database
from lookalike.data.ingest.readers import text_encoding
from lookalike.data.ingest.sources import describe_source


def test_latin_1_is_read_even_when_it_shows_late(database: Database, tmp_path: Path) -> None:
    early = "user_id,ts,country\nzoë,2024-01-01,Österreich €\n".encode("cp1252")
    late = b"user_id,ts,country\n" + b"ann,2024-01-01,DE\n" * 20000 + "zoë,2024-01-01,x\n".encode("cp1252")
    ingest(database, write(tmp_path / "early.csv", early))
    ingest(database, write(tmp_path / "late.csv", late))
    assert ("zoë", "Österreich €") in stored_events(database, "user_id, country")
    assert ("zoë", "x") in stored_events(database, "user_id, country")


@pytest.mark.parametrize("block", [3, 7, 1 << 22])
def test_unreadable_lines_are_found_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text_encoding, "_BLOCK_SIZE", block)
    lines = [
        b"short",
        b"",
        "zoë".encode(),
        b"m\xfcller",
        b"x" * 20,
        b"x" * 19,
        b"y" * 19 + b"\r",
        b"z" * 90,
        b"last\xff",
    ]
    source = describe_source(write(tmp_path / "a.jsonl", b"\n".join(lines)))
    assert text_encoding.unreadable_lines(source, 20) == [4, 5, 8, 9]
    source = describe_source(write(tmp_path / "b.jsonl", b"\n".join(lines) + b"\n"))
    assert text_encoding.unreadable_lines(source, 20) == [4, 5, 8, 9]

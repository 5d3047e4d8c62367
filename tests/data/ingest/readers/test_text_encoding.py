"""Encodings that are not UTF-8."""

from pathlib import Path

from log_files import ingest, stored_events, write
from lookalike.data.database import Database


def test_latin_1_is_read_even_when_it_shows_late(database: Database, tmp_path: Path) -> None:
    early = "user_id,ts,country\nzoë,2024-01-01,Österreich €\n".encode("cp1252")
    late = b"user_id,ts,country\n" + b"ann,2024-01-01,DE\n" * 20000 + "zoë,2024-01-01,x\n".encode("cp1252")
    ingest(database, write(tmp_path / "early.csv", early))
    ingest(database, write(tmp_path / "late.csv", late))
    assert ("zoë", "Österreich €") in stored_events(database, "user_id, country")
    assert ("zoë", "x") in stored_events(database, "user_id, country")

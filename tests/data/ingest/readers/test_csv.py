"""Delimited text: quotes and escapes."""

from pathlib import Path

from log_files import ingest, refused, stored_events, write
from lookalike.data.database import Database


def test_backslash_quotes_are_read_where_a_file_uses_them(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "a.csv", 'user_id,ts,sku\n"an\\"n",2024-01-01,"x,y"\n'))
    assert stored_events(database, "user_id, item_id") == [('an"n', "x,y")]


def test_an_unclosed_quote_far_down_is_refused(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts\n" + "ann,2024-01-01\n" * 400_000 + '"bob,2024-01-01\n' + "eve,2024-01-01\n" * 400_000
    assert "line 400002: a quote" in refused(database, write(tmp_path / "a.csv", text)).message

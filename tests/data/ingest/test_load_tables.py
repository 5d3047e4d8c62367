"""Tables of items and users: keys, repeated rows, and what a second table replaces."""

from pathlib import Path

import pytest

from log_files import ingest, write
from lookalike.data.database import Database
from lookalike.errors import DataError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log.csv", "user_id,ts,item_id\nann,2024-03-01,a\n")


def test_a_second_table_replaces_the_rows_of_its_keys(database: Database, log: Path, tmp_path: Path) -> None:
    ingest(database, log, items=write(tmp_path / "1.csv", "item_id,colour,price\na,red,1\nb,blue,2\n"))
    ingest(database, log, items=write(tmp_path / "2.csv", "item_id,colour,price\nb,green,3\nc,black,4\n"))
    colours = database.rows("SELECT item_id, value FROM item_attributes WHERE attribute = 'colour' ORDER BY 1")
    assert colours == [("a", "red"), ("b", "green"), ("c", "black")]
    assert database.rows("SELECT item_id, price FROM items ORDER BY 1") == [("a", 1.0), ("b", 3.0), ("c", 4.0)]


def test_the_same_table_again_changes_nothing(database: Database, log: Path, tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,colour\na,red\n")
    ingest(database, log, items=items)
    result = ingest(database, log, items=items)
    assert result.files[1].skipped
    assert database.rows("SELECT count(*) FROM files") == [(2,)]


def test_repeated_keys_are_one_item_with_all_their_values(database: Database, log: Path, tmp_path: Path) -> None:
    text = "item_id,title,category\na,Old hat,x\na,New hat,y\n,lost,z\n"
    file = ingest(database, log, items=write(tmp_path / "items.csv", text)).files[1]
    categories = database.rows("SELECT item_id, value FROM item_attributes WHERE attribute = 'category' ORDER BY ALL")
    assert categories == [("a", "x"), ("a", "y")]
    assert database.rows("SELECT title FROM items") == [("New hat",)]
    assert (file.added, file.duplicates, file.rejected) == (1, 1, {"empty item_id": 1})
    assert database.rows("SELECT line, reason FROM rejects") == [(4, "empty item_id")]


def test_users_keep_their_plain_columns(database: Database, log: Path, tmp_path: Path) -> None:
    ingest(database, log, users=write(tmp_path / "users.csv", "customer_id;age;country\nann;25-34;DE\nbob;;FR\n"))
    attributes = database.rows("SELECT user_id, attribute, value FROM user_attributes ORDER BY ALL")
    assert attributes == [("ann", "age", "25-34"), ("ann", "country", "DE"), ("bob", "country", "FR")]
    assert database.rows("SELECT user_id FROM users ORDER BY 1") == [("ann",), ("bob",)]


def test_a_table_without_a_key_is_refused_before_anything_is_loaded(
    database: Database, log: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"items\.csv: no column could be the item \(item_id\); columns: colour"):
        ingest(database, log, items=write(tmp_path / "items.csv", "colour\nred\n"))
    assert database.rows("SELECT count(*) FROM events") == [(0,)]


@pytest.mark.parametrize("rows", ["", ",red\n"], ids=["no rows", "no key in a row"])
def test_a_table_without_a_usable_row_is_refused(database: Database, log: Path, tmp_path: Path, rows: str) -> None:
    with pytest.raises(DataError, match=r"items\.csv: "):
        ingest(database, log, items=write(tmp_path / "items.csv", f"item_id,colour\n{rows}"))
    assert database.rows("SELECT count(*) FROM items") == [(0,)]
    assert database.rows("SELECT count(*) FROM duckdb_tables() WHERE temporary") == [(0,)]

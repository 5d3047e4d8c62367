"""Items and users tables: what a column becomes, what is never stored, and what a second table changes."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lookalike.data.database import Database, open_file
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import IngestResult
from lookalike.errors import DataError
from lookalike.workspace.progress import QuietProgress

LOG = "user_id,ts,item_id\nann,2024-03-01,a\n"


@pytest.fixture
def store(tmp_path):
    with open_file(tmp_path / "lookalike.duckdb") as one:
        yield one


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def load(store: Database, log: Path, **tables: Path) -> IngestResult:
    return ingest_files(store, [log], IngestOptions(**tables), QuietProgress())


def wrote(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def attributes(store: Database, kind: str = "item") -> list[tuple[Any, ...]]:
    return store.rows(f"SELECT {kind}_id, attribute, value FROM {kind}_attributes ORDER BY ALL")


def of(store: Database, attribute: str, kind: str = "item") -> list[tuple[Any, ...]]:
    query = f"SELECT {kind}_id, value FROM {kind}_attributes WHERE attribute = ? ORDER BY ALL"
    return store.rows(query, attribute)


def test_titles_become_words_and_prices_tenths(store, log, tmp_path):
    names = ["The Red Hat & Shoe 7", "Über-Schuh für Kinder", "red  HAT"]
    rows = "".join(f'{i},"{names[i % 3]} model{i}",{i}.5,cat{i % 2}\n' for i in range(100))
    report = load(store, log, items=wrote(tmp_path / "items.csv", "sku,Product Name,price,Category\n" + rows))
    assert [value for item, value in of(store, "word") if item == "0"] == ["hat", "model", "red", "shoe"]
    assert [value for item, value in of(store, "word") if item == "1"] == ["kinder", "model", "schuh", "über"]
    assert ("0", "q01") in of(store, "price")
    assert ("99", "q10") in of(store, "price")
    assert len({value for _, value in of(store, "price")}) == 10
    assert ("3", "cat1") in of(store, "Category")
    assert store.rows("SELECT title, price FROM items WHERE item_id = '2'") == [("red  HAT model2", 2.5)]
    assert report.files[1].kind == "items"
    assert report.files[1].added == 100


def test_a_list_gives_one_row_an_element(store, log, tmp_path):
    query = "SELECT 'a' AS item_id, ['x', 'y', 'x', NULL, ''] AS tags, [1, 2] AS numbers"
    duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/items.parquet'")
    load(store, log, items=tmp_path / "items.parquet")
    assert attributes(store) == [("a", "numbers", "1"), ("a", "numbers", "2"), ("a", "tags", "x"), ("a", "tags", "y")]


def test_lists_in_json_lines_are_lists_too(store, log, tmp_path):
    lines = '{"item_id": "a", "tags": ["x", "y"], "deep": {"k": 1}}\n{"item_id": "b", "tags": [], "deep": null}\n'
    report = load(store, log, items=wrote(tmp_path / "items.jsonl", lines))
    assert attributes(store) == [("a", "tags", "x"), ("a", "tags", "y")]
    assert [check.check for check in report.checks if "nested" in check.check] == ["nested_columns"]


def test_identifiers_are_left_out_with_a_note_and_codes_are_no_amounts(store, log, tmp_path):
    rows = "".join(f"{i},ean{i:06},{i % 30},{i % 4}\n" for i in range(100))
    report = load(store, log, items=wrote(tmp_path / "items.csv", "item_id,ean,brand_id,size\n" + rows))
    assert {attribute for _, attribute, _ in attributes(store)} == {"brand_id", "size"}
    assert ("29", "29") in of(store, "brand_id")
    (note,) = [check for check in report.checks if check.check == "identifier_columns"]
    assert note.severity == "note"
    assert "ean" in note.message


def test_personal_data_are_not_stored_and_warned_of(store, log, tmp_path):
    text = "user_id,E-Mail,contact,last_name,plan,mobile_phone\n" + "".join(
        f"u{i},u{i}@example.com,+49 170 12345{i:02},Smith,gold,0\n" for i in range(30)
    )
    report = load(store, log, users=wrote(tmp_path / "users.csv", text))
    assert {attribute for _, attribute, _ in attributes(store, "user")} == {"plan"}
    (warning,) = [check for check in report.checks if check.check == "personal_columns"]
    assert warning.severity == "warning"
    assert "E-Mail, contact, last_name, mobile_phone" in warning.message
    assert "example.com" not in str(report.as_dict())


def test_a_second_table_replaces_the_rows_of_its_keys(store, log, tmp_path):
    load(store, log, items=wrote(tmp_path / "one.csv", "item_id,colour,price\na,red,1\nb,blue,2\n"))
    load(store, log, items=wrote(tmp_path / "two.csv", "item_id,colour,price\nb,green,3\nc,black,4\n"))
    assert of(store, "colour") == [("a", "red"), ("b", "green"), ("c", "black")]
    assert store.rows("SELECT item_id, price FROM items ORDER BY 1") == [("a", 1.0), ("b", 3.0), ("c", 4.0)]


def test_the_same_table_again_changes_nothing(store, log, tmp_path):
    items = wrote(tmp_path / "one.csv", "item_id,colour\na,red\n")
    load(store, log, items=items)
    report = load(store, log, items=items)
    assert report.files[1].skipped
    assert store.rows("SELECT count(*) FROM files") == [(2,)]


def test_repeated_keys_are_one_item_with_all_their_values(store, log, tmp_path):
    text = "item_id,title,category\na,Old hat,x\na,New hat,y\n,lost,z\n"
    report = load(store, log, items=wrote(tmp_path / "items.csv", text))
    assert of(store, "category") == [("a", "x"), ("a", "y")]
    assert store.rows("SELECT title FROM items") == [("New hat",)]
    assert (report.files[1].added, report.files[1].duplicates, report.files[1].rejected) == (1, 1, {"empty item_id": 1})
    assert store.rows("SELECT line, reason FROM rejects") == [(4, "empty item_id")]


def test_keys_and_values_are_kept_as_they_are_written(store, log, tmp_path):
    load(store, log, items=wrote(tmp_path / "items.csv", "item_id,label\n007,\"<b>'x'; --\"\n"))
    assert attributes(store) == [("007", "label", "<b>'x'; --")]


def test_users_keep_their_plain_columns(store, log, tmp_path):
    load(store, log, users=wrote(tmp_path / "users.csv", "customer_id;age;country\nann;25-34;DE\nbob;;FR\n"))
    assert attributes(store, "user") == [("ann", "age", "25-34"), ("ann", "country", "DE"), ("bob", "country", "FR")]
    assert store.rows("SELECT user_id FROM users ORDER BY 1") == [("ann",), ("bob",)]


def test_a_table_without_a_key_is_refused_before_anything_is_loaded(store, log, tmp_path):
    with pytest.raises(DataError, match=r"items\.csv: no column could be the item \(item_id\); columns: colour"):
        load(store, log, items=wrote(tmp_path / "items.csv", "colour\nred\n"))
    assert store.rows("SELECT count(*) FROM events") == [(0,)]


@pytest.mark.parametrize("text", ["item_id,colour\n", "item_id,colour\n,red\n"])
def test_a_table_without_a_usable_row_is_refused(store, log, tmp_path, text):
    with pytest.raises(DataError, match=r"items\.csv: "):
        load(store, log, items=wrote(tmp_path / "items.csv", text))
    assert store.rows("SELECT count(*) FROM items") == [(0,)]
    assert store.rows("SELECT count(*) FROM duckdb_tables() WHERE temporary") == [(0,)]

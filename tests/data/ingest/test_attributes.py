"""What the columns of items and users tables become, and what is never stored."""

import re
from pathlib import Path
from typing import Any

import pytest

from log_files import find_check, ingest, write, write_parquet
from lookalike.data.database import Database
from lookalike.data.ingest import attributes


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log.csv", "user_id,ts,item_id\nann,2024-03-01,a\n")


def stored_attributes(database: Database, kind: str = "item") -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT {kind}_id, attribute, value FROM {kind}_attributes ORDER BY ALL")


def values_of(database: Database, attribute: str) -> list[tuple[Any, ...]]:
    query = "SELECT item_id, value FROM item_attributes WHERE attribute = ? ORDER BY ALL"
    return database.rows(query, attribute)


def test_titles_become_words_and_prices_tenths(database: Database, log: Path, tmp_path: Path) -> None:
    titles = ["The Red Hat & Shoe 7", "Über-Schuh für Kinder", "red  HAT"]
    rows = "".join(f'{i},"{titles[i % 3]} model{i}",{i}.5,cat{i % 2}\n' for i in range(100))
    items = write(tmp_path / "items.csv", "sku,Product Name,price,Category\n" + rows)
    result = ingest(database, log, items=items)
    assert [value for item, value in values_of(database, "word") if item == "0"] == ["hat", "model", "red", "shoe"]
    assert [value for item, value in values_of(database, "word") if item == "1"] == [
        "kinder",
        "model",
        "schuh",
        "über",
    ]
    assert ("0", "q01") in values_of(database, "price")
    assert ("99", "q10") in values_of(database, "price")
    assert len({value for _, value in values_of(database, "price")}) == 10
    assert ("3", "cat1") in values_of(database, "Category")
    assert database.rows("SELECT title, price FROM items WHERE item_id = '2'") == [("red  HAT model2", 2.5)]
    assert result.files[1].kind == "items"
    assert result.files[1].added == 100


def test_a_list_gives_one_row_for_each_element(database: Database, log: Path, tmp_path: Path) -> None:
    query = "SELECT 'a' AS item_id, ['x', 'y', 'x', NULL, ''] AS tags, [1, 2] AS numbers"
    ingest(database, log, items=write_parquet(tmp_path / "items.parquet", query))
    assert stored_attributes(database) == [
        ("a", "numbers", "1"),
        ("a", "numbers", "2"),
        ("a", "tags", "x"),
        ("a", "tags", "y"),
    ]


def test_lists_in_json_lines_are_lists_too(database: Database, log: Path, tmp_path: Path) -> None:
    lines = '{"item_id": "a", "tags": ["x", "y"], "deep": {"k": 1}}\n{"item_id": "b", "tags": [], "deep": null}\n'
    result = ingest(database, log, items=write(tmp_path / "items.jsonl", lines))
    assert stored_attributes(database) == [("a", "tags", "x"), ("a", "tags", "y")]
    assert find_check(result, "nested_columns").columns == ("deep",)


def test_identifiers_are_left_out_with_a_note_and_codes_are_no_amounts(
    database: Database, log: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{i},ean{i:06},{i % 30},{i % 4}\n" for i in range(100))
    result = ingest(database, log, items=write(tmp_path / "items.csv", "item_id,ean,brand_id,size\n" + rows))
    assert {attribute for _, attribute, _ in stored_attributes(database)} == {"brand_id", "size"}
    assert ("29", "29") in values_of(database, "brand_id")
    (check,) = [check for check in result.checks if check.check == "identifier_columns"]
    assert check.severity == "note"
    assert check.columns == ("ean",)


def test_personal_data_is_not_stored_and_gives_a_warning(database: Database, log: Path, tmp_path: Path) -> None:
    text = "user_id,E-Mail,contact,last_name,plan,mobile_phone\n" + "".join(
        f"u{i},u{i}@example.com,+49 170 12345{i:02},Smith,gold,0\n" for i in range(30)
    )
    result = ingest(database, log, users=write(tmp_path / "users.csv", text))
    assert {attribute for _, attribute, _ in stored_attributes(database, "user")} == {"plan"}
    (check,) = [check for check in result.checks if check.check == "personal_columns"]
    assert (check.severity, check.table) == ("warning", "users")
    assert check.columns == ("E-Mail", "contact", "last_name", "mobile_phone")
    assert "example.com" not in str(result.as_json())


def test_keys_and_values_are_stored_as_they_are_written(database: Database, log: Path, tmp_path: Path) -> None:
    ingest(database, log, items=write(tmp_path / "items.csv", "item_id,label\n007,\"<b>'x'; --\"\n"))
    assert stored_attributes(database) == [("007", "label", "<b>'x'; --")]


def test_a_long_word_is_cut_by_no_pattern_that_counts(database: Database, log: Path, tmp_path: Path) -> None:
    """A pattern that counts characters is many times slower, and makes several words of a long one."""
    items = write(tmp_path / "items.csv", f"item_id,title\na,red {'ä' * 450} hat\n")
    ingest(database, log, items=items)
    assert [value for _, value in values_of(database, "word")] == ["hat", "red", "ä" * 200]
    attribute, query = attributes.attribute_values("title", "VARCHAR", "words") or ("", "")
    assert attribute == "word"
    assert not re.search(r"[\])]\{\d", query)

"""No stored text is without a bound, and what was cut or rejected is counted."""

import json
from pathlib import Path

import pytest

from log_files import find_check, ingest, refused, stored_rejects, write
from lookalike.data.database import Database
from lookalike.data.schema import EVENT_FIELDS, ID_FIELDS, MAX_ID_LENGTH, MAX_TEXT_LENGTH

LONG = "ü" * 1_000_000
TEXT_FIELDS = [name for name, kind in EVENT_FIELDS.items() if kind == "VARCHAR" and name not in ID_FIELDS]


def log(path: Path, cell: str, text: str) -> Path:
    event = {"user_id": "ann", "ts": "2024-03-01"}
    return write(path, "\n".join(json.dumps(event | {cell: value}) for value in (text, "short")))


@pytest.mark.parametrize("field", [*TEXT_FIELDS, "campaign"])
def test_texts_of_events_are_cut_and_counted(database: Database, tmp_path: Path, field: str) -> None:
    context = ("campaign",) if field == "campaign" else ()
    result = ingest(database, log(tmp_path / "a.jsonl", field, LONG), context=context)
    stored = "context_1" if field == "campaign" else field
    texts = [text for (text,) in database.rows(f"SELECT {stored} FROM events")]
    assert sorted(texts) == ["short", "ü" * (MAX_TEXT_LENGTH - 1) + "…"]
    assert result.files[0].cut_texts == {field: 1}
    check = find_check(result, "long_texts")
    assert (check.column, check.rows, check.share) == (field, 1, 0.5)


@pytest.mark.parametrize("field", ID_FIELDS)
def test_rows_with_long_ids_are_rejected_and_counted(database: Database, tmp_path: Path, field: str) -> None:
    result = ingest(database, log(tmp_path / "a.jsonl", field, "ü" * (MAX_ID_LENGTH + 1)))
    assert stored_rejects(database) == [(1, f"{field} over 10,000 characters")]
    assert find_check(result, "long_ids").field == field
    assert find_check(ingest(database, log(tmp_path / "b.jsonl", field, "ü" * MAX_ID_LENGTH)), "long_ids") is None


def test_texts_of_tables_are_cut_and_counted(database: Database, tmp_path: Path) -> None:
    words = " ".join(f"{chr(97 + number % 26)}word{chr(97 + number // 26 % 26)}" for number in range(3_000))
    rows = [
        {
            "item_id": f"i{number}",
            "title": words,
            "about": f"{words} {number}",
            "tags": ["y" * 201, "x"],
            "code": LONG[:999],
        }
        for number in range(30)
    ]
    items = write(tmp_path / "items.jsonl", "\n".join(map(json.dumps, [*rows, {"item_id": "i9", "title": "a lamp"}])))
    result = ingest(database, log(tmp_path / "a.jsonl", "item_id", "i1"), items=items)
    assert result.files[1].cut_texts == {"title": 30, "about": 30, "tags": 30}
    ((title,), *_) = database.rows("SELECT DISTINCT title FROM items WHERE item_id = 'i1'")
    assert len(title) == MAX_TEXT_LENGTH
    assert database.rows("SELECT max(length(value)) <= 200, max(length(attribute)) < 20 FROM item_attributes") == [
        (True, True)
    ]


def test_a_header_with_a_name_without_end_is_refused(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"user_id,ts,{'x' * (MAX_ID_LENGTH + 1)}\nann,2024-01-01,x\n")
    error = refused(database, path)
    assert "a column whose name has more than 10,000 characters" in error.message

"""The results of an ingest as JSON: no id in them, and the same records when they are read again."""

import json
from datetime import datetime
from pathlib import Path
from typing import get_args

from log_files import TWO_EVENTS, ingest, write
from lookalike.data.database import Database
from lookalike.data.ingest import results
from lookalike.data.ingest.results import AnyCheck, IngestResult, QualityCheck


def test_the_result_as_json_holds_no_id(database: Database, tmp_path: Path) -> None:
    log = TWO_EVENTS + "secret@example.com,2024-03-02,view,a\n,2024-01-01,view,a\n"
    result = ingest(database, write(tmp_path / "a.csv", log))
    text = json.dumps(result.as_json()["files"]) + json.dumps(result.as_json()["checks"])
    assert "secret" not in text
    assert "ann" not in text
    assert result.as_json()["totals"] == {
        "events": 3, "users": 3, "items": 2, "first": "2024-03-01T10:00:00Z", "last": "2024-03-02T11:30:00Z",
    }  # fmt: skip


def test_the_keys_of_the_json_are_the_documented_ones(database: Database, tmp_path: Path) -> None:
    as_json = ingest(database, write(tmp_path / "a.csv", TWO_EVENTS + ",2024-01-01,view,a\n")).as_json()
    assert list(as_json) == ["files", "totals", "checks"]
    assert list(as_json["files"][0]) == [
        "name", "kind", "rows", "added", "duplicates", "rejected", "skipped", "mapping", "unused", "unreadable_values",
        "cut_texts", "encoding",
    ]  # fmt: skip
    null_users = next(check for check in as_json["checks"] if check["check"] == "null_users")
    assert null_users == {"check": "null_users", "severity": "warning", "rows": 1, "share": 1 / 3}


def test_a_result_is_read_again_as_it_was(database: Database, tmp_path: Path) -> None:
    rows = "".join(f"u{i},2024-03-01 00:00:{i:02},x{i}@example.com\n" for i in range(60))
    log = write(tmp_path / "a.csv", f"user_id,ts,email\n{rows},2024-03-01,x\n")
    result = ingest(database, log, context=("email",))
    assert {type(check).__name__ for check in result.checks} >= {"PersonalData", "PersonalContext", "RejectedRows"}
    assert IngestResult.model_validate_json(json.dumps(result.as_json())) == result
    assert result.totals.first == datetime(2024, 3, 1)


def test_an_empty_log_has_no_first_and_last_time() -> None:
    totals = results.Totals(events=0, users=0, items=0, first=None, last=None)
    assert totals.as_json()["first"] is None


def test_every_kind_of_check_can_be_part_of_a_result() -> None:
    union, *_ = get_args(AnyCheck)
    assert set(get_args(union)) == set(QualityCheck.__subclasses__())

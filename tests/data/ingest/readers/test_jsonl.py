"""JSON lines: malformed ones are rejected with their line."""

from pathlib import Path

from log_files import ingest, stored_events, stored_rejects, write
from lookalike.data.database import Database


def test_malformed_json_lines_are_rejects_with_their_line(database: Database, tmp_path: Path) -> None:
    lines = [
        '{"user_id": "ann", "ts": 1700000000}', "{bad", "", '{"user_id": "bob", "ts": 1700000001}', "[1, 2]",
        '{"user_id": null, "ts": 1700000002}', '{"other": 1}', '{"user_id": "cut", "ts": 17000',
    ]  # fmt: skip
    result = ingest(database, write(tmp_path / "a.jsonl", "\n".join(lines)), max_rejected_share=0.9)
    assert [row[0] for row in stored_events(database)] == ["ann", "bob"]
    assert stored_rejects(database) == [
        (2, "malformed line: no JSON object"),
        (5, "malformed line: no JSON object"),
        (6, "empty user_id"),
        (7, "empty user_id"),
        (8, "malformed line: no JSON object"),
    ]
    assert result.files[0].rows == 7

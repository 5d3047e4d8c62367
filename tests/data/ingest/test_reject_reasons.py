"""Every reason for which a row is rejected."""

from pathlib import Path

from log_files import ingest, stored_rejects, write
from lookalike.data.database import Database


def test_rejected_rows_are_stored_with_line_and_reason(database: Database, tmp_path: Path) -> None:
    text = (
        "user_id,ts,item_id\n"
        "ann,2024-01-01,a\n"
        ",2024-01-01,a\n"
        "bob,2024-01-01\n"
        "null,2024-01-01,a\n"
        "00000000-0000-0000-0000-000000000000,2024-01-01,a\n"
        "eve,yesterday,a\n"
        "eve,2024-01-01,a,too,many\n"
        "eve,1999-12-31,a\n"
        "eve,2999-01-01,a\n"
        "eve,,a\n"
        f"{'x' * 10_001},2024-01-01,a\n"
        "dan,2024-01-01,a\n"
    )
    result = ingest(database, write(tmp_path / "a.csv", text), max_rejected_share=1)
    assert stored_rejects(database) == [
        (3, "empty user_id"),
        (4, "malformed line: missing columns"),
        (5, "placeholder user_id"),
        (6, "placeholder user_id"),
        (7, "unreadable time"),
        (8, "malformed line: too many columns"),
        (9, "time before 2000"),
        (10, "time in the future"),
        (11, "empty time"),
        (12, "user_id over 10,000 characters"),
    ]
    assert result.files[0].rows == 12
    assert result.files[0].added == 2
    assert database.rows("SELECT rejected FROM files") == [(10,)]

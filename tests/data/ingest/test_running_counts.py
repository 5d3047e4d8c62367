"""Counts that are carried from ingest to ingest."""

from pathlib import Path

import pytest

from log_files import ingest, write_parquet
from lookalike.data.database import Database, open_file

LOG = """SELECT 'u' || (i * 7919 % 1500) AS user_id, ['view', 'buy'][1 + (i % 2)::INTEGER] AS event_type,
         now()::TIMESTAMP - INTERVAL 1 HOUR - to_minutes(i * 4) AS ts, 'i' || (i % 50) AS item_id, 1.5 AS value
         FROM range(15000) t(i)"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_totals_of_many_files_are_those_of_one_log(database: Database, tmp_path: Path, interrupted: bool) -> None:
    """In any order of the files, also after an ingest that was killed before it had counted."""
    whole = ingest(database, write_parquet(tmp_path / "log.parquet", LOG)).totals
    with open_file(tmp_path / "parts.duckdb") as parts_database:
        for part in (2, 0, 1):
            query = f"SELECT * FROM '{tmp_path}/log.parquet' WHERE hash(ts) % 3 = {part}"
            result = ingest(parts_database, write_parquet(tmp_path / f"part{part}.parquet", query))
            if interrupted and part == 0:  # as if the third file were the first that is counted
                for table in ("seen_users", "seen_items", "days"):
                    parts_database.connection.execute(f"DELETE FROM {table}")
                parts_database.connection.execute("UPDATE meta SET value = '0' WHERE key = 'tallied'")
    assert result.totals == whole
    assert result.checks == ()

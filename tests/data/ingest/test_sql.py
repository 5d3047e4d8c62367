"""Nothing in a file or its name becomes SQL."""

import csv
import io
from pathlib import Path

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from log_files import ingest, write
from lookalike.data.database import Database
from lookalike.data.ingest import sql


@given(st.text())
def test_a_literal_is_the_text_it_was_made_from(value: str) -> None:
    assert duckdb.execute(f"SELECT {sql.literal(value)}").fetchone() == (value,)


def test_names_of_files_and_columns_are_never_read_as_sql(database: Database, tmp_path: Path) -> None:
    column = "cust\"omer'); DROP TABLE events; --"
    cells = io.StringIO()
    csv.writer(cells).writerows([(column, "ts"), ("ann", "2024-03-01")])
    path = write(tmp_path / "x'); DROP TABLE events; --.csv", cells.getvalue())
    ingest(database, path, mapping={"user_id": column})
    assert database.rows("SELECT user_id FROM events") == [("ann",)]

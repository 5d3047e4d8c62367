"""All files are planned before the first is loaded."""

from pathlib import Path

from log_files import TWO_EVENTS, ingest, refused, write
from lookalike.data.database import Database


def test_a_bad_file_among_good_ones_stops_before_the_first_is_loaded(database: Database, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.csv", TWO_EVENTS)
    write(tmp_path / "in" / "b.csv", "shoe\n1\n")
    assert "b.csv" in refused(database, tmp_path / "in").message


def test_a_file_ingested_with_another_mapping_is_refused(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "a.csv", "user_id,shopper,ts\nx,ann,2024-01-01\n")
    ingest(database, log)
    error = refused(database, log, mapping={"user_id": "shopper"})
    assert "was read before with another column as user_id" in error.message


def test_a_column_that_a_file_lacks_is_named_when_the_file_was_ingested_too(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "a.csv", "user_id,shopper,ts\nx,ann,2024-01-01\n")
    ingest(database, log)
    for field in ("user_id", "value"):
        error = refused(database, log, mapping={field: "shoper"})
        assert f"--map {field}=shoper: there is no column 'shoper'" in error.message
        assert error.hint.startswith("did you mean shopper?")

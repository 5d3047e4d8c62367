"""Cells: ids of any kind are stored as they are written, numbers are read as people write them."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clean_ids import clean_ids
from log_files import ingest, stored_events, write, write_parquet
from lookalike.data.database import Database, open_file

NASTY_IDS = [
    "=1+1", "+1", "-2x", "@sum", "<script>alert(1)</script>", "O'Brien", 'say "hi"', "a,b;c\td|e", "two\nlines",
    "two\r\nlines", "a\x00b", "日本語", "🙂", "é", "e\u0301", "x" * 10_000, "x'; DROP TABLE events; --", "back\\slash",
    "%s", "{}", "007", "1e5",
]  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
FEW_EXAMPLES = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))

Writer = Callable[[Path, list[str]], Path]


@pytest.fixture(scope="module")
def shared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with open_file(tmp_path_factory.mktemp("space") / "lookalike.duckdb") as opened:
        yield opened


def stored_ids(database: Database, path: Path) -> set[str]:
    """The ids of a log that is ingested into the emptied database."""
    for table in ("events", "files", "rejects"):
        database.connection.execute(f"DELETE FROM {table}")
    ingest(database, path, max_rejected_share=1)
    return {row[0] for row in database.rows("SELECT user_id FROM events")}


def as_csv(folder: Path, ids: list[str]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("user_id", "ts"), *((user_id, "2024-03-01") for user_id in ids)])
    return write(folder / "log.csv", text.getvalue())


def as_jsonl(folder: Path, ids: list[str]) -> Path:
    lines = (json.dumps({"user_id": user_id, "ts": "2024-03-01"}) for user_id in ids)
    return write(folder / "log.jsonl", "\n".join(lines))


def as_parquet(folder: Path, ids: list[str]) -> Path:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (user_id VARCHAR, ts TIMESTAMP)")
    connection.executemany("INSERT INTO t VALUES (?, '2024-03-01')", [[user_id] for user_id in ids])
    connection.execute(f"COPY t TO '{folder}/log.parquet' (FORMAT parquet)")
    return folder / "log.parquet"


@pytest.mark.parametrize("write_ids", [as_csv, as_jsonl, as_parquet])
def test_nasty_ids_are_kept(shared_database: Database, tmp_path: Path, write_ids: Writer) -> None:
    assert stored_ids(shared_database, write_ids(tmp_path, NASTY_IDS)) == set(NASTY_IDS)


@pytest.mark.parametrize("user_id", ["\\", "ends in \\", "\\\\"])
def test_a_backslash_at_the_end_of_quoted_cells_escapes_nothing(
    shared_database: Database, tmp_path: Path, user_id: str
) -> None:
    assert stored_ids(shared_database, as_csv(tmp_path, ["anchor", user_id])) == {"anchor", user_id}


def test_backslash_before_a_quote_escapes_it_where_only_that_reading_fits(
    shared_database: Database, tmp_path: Path
) -> None:
    rows = ['"say \\"hi\\"","2024-03-01",""', '"anchor","2024-03-01","x"']
    path = write(tmp_path / "log.csv", "\n".join(['"user_id","ts","note"', *rows]))
    assert stored_ids(shared_database, path) == {"anchor", 'say "hi"'}


@FEW_EXAMPLES
@given(ids=st.lists(TEXTS, min_size=1, max_size=30), write_ids=st.sampled_from([as_csv, as_jsonl, as_parquet]))
def test_any_id_is_kept_but_for_what_programs_put_around_it(
    shared_database: Database, tmp_path: Path, ids: list[str], write_ids: Writer
) -> None:
    assert stored_ids(shared_database, write_ids(tmp_path, ["anchor", *ids])) == {"anchor", *clean_ids(ids)}


def test_decimal_commas_currencies_and_thousands_are_read(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "a.csv", "user;time;revenue\nann;2024-01-01;1.234,50\nbob;2024-01-01;7,5 €\n"))
    rows = ['eve,2024-01-01,"$1,234.50"', "dan,2024-01-01,(2.50)", "fay,2024-01-01,EUR 3", "guy,2024-01-01,room 4"]
    ingest(database, write(tmp_path / "b.csv", "\n".join(["user,time,revenue", *rows])))
    expected = [("ann", 1234.5), ("bob", 7.5), ("dan", -2.5), ("eve", 1234.5), ("fay", 3.0), ("guy", None)]
    assert stored_events(database, "user_id, value") == expected


def test_leading_zeros_and_long_numbers_stay_as_written(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "a.csv", "user_id,ts,sku\n007,2024-01-01,00012345678901234567890\n"))
    line = '{"user_id": 12345678901234567890123, "ts": "2024-01-01", "sku": 1.50}\n'
    ingest(database, write(tmp_path / "b.jsonl", line))
    assert stored_events(database, "user_id, item_id") == [
        ("007", "00012345678901234567890"),
        ("12345678901234567890123", "1.5"),
    ]


def test_whole_floats_of_parquet_lose_their_fraction(database: Database, tmp_path: Path) -> None:
    rows = "(12345.0::DOUBLE, DATE '2024-01-01', 7::FLOAT), (1.5, DATE '2024-01-02', NULL)"
    query = f"SELECT * FROM (VALUES {rows}) t(user_id, date, sku)"
    ingest(database, write_parquet(tmp_path / "a.parquet", query))
    assert stored_events(database, "user_id, item_id") == [("1.5", None), ("12345", "7")]

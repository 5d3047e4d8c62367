"""Ids of any kind come out as they went in; nothing in a file or its name becomes SQL."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.data.database import Database, open_file
from lookalike.data.ingest import sql
from lookalike.data.ingest.event_plan import WHITESPACE
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.synonyms import word_list
from lookalike.workspace.progress import QuietProgress

NASTY = [
    "=1+1", "+1", "-2x", "@sum", "<script>alert(1)</script>", "O'Brien", 'say "hi"', "a,b;c\td|e", "two\nlines",
    "two\r\nlines", "a\x00b", "日本語", "🙂", "é", "e\u0301", "x" * 10_000, "'; DROP TABLE events; --", "back\\slash",
    "%s", "{}", "007", "1e5",
]  # fmt: skip
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SLOWLY = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with open_file(tmp_path_factory.mktemp("space") / "lookalike.duckdb") as one:
        yield one


def usable(value: str) -> bool:
    bare = value.strip(WHITESPACE)
    placeholder = bare.lower() in word_list("placeholder_ids") or (bare.startswith("0") and not bare.strip("0-"))
    return bool(bare) and not placeholder


def loaded(store: Database, path: Path) -> set[str]:
    for table in ("events", "files", "rejects"):
        store.connection.execute(f"DELETE FROM {table}")
    ingest_files(store, [path], IngestOptions(max_rejected_share=1), QuietProgress())
    return {row[0] for row in store.rows("SELECT user_id FROM events")}


def as_csv(folder: Path, ids: list[str]) -> Path:
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("user_id", "ts"), *((one, "2024-03-01") for one in ids)])
    (folder / "log.csv").write_bytes(made.getvalue().encode())
    return folder / "log.csv"


def as_jsonl(folder: Path, ids: list[str]) -> Path:
    lines = (json.dumps({"user_id": one, "ts": "2024-03-01"}) for one in ids)
    (folder / "log.jsonl").write_text("\n".join(lines))
    return folder / "log.jsonl"


def as_parquet(folder: Path, ids: list[str]) -> Path:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (user_id VARCHAR, ts TIMESTAMP)")
    connection.executemany("INSERT INTO t VALUES (?, '2024-03-01')", [[one] for one in ids])
    connection.execute(f"COPY t TO '{folder}/log.parquet' (FORMAT parquet)")
    return folder / "log.parquet"


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
def test_nasty_ids_are_kept(store, tmp_path, write):
    assert loaded(store, write(tmp_path, NASTY)) == set(NASTY)


@SLOWLY
@given(ids=st.lists(text, min_size=1, max_size=30), write=st.sampled_from([as_csv, as_jsonl, as_parquet]))
def test_any_id_comes_back_but_for_the_white_space_around_it(store, tmp_path, ids, write):
    assert loaded(store, write(tmp_path, ["anchor", *ids])) == {"anchor"} | {
        one.strip(WHITESPACE) for one in ids if usable(one)
    }


@given(st.text())
def test_a_literal_is_the_text_it_was_made_from(value):
    assert duckdb.execute(f"SELECT {sql.literal(value)}").fetchone() == (value,)


def test_names_of_files_and_columns_are_never_read_as_sql(store, tmp_path):
    path = tmp_path / "x'); DROP TABLE events; --.csv"
    column = "cust\"omer'); DROP TABLE events; --"
    cells = io.StringIO()
    csv.writer(cells).writerows([(column, "ts"), ("ann", "2024-03-01")])
    path.write_text(cells.getvalue())
    for table in ("events", "files"):
        store.connection.execute(f"DELETE FROM {table}")
    ingest_files(store, [path], IngestOptions(mapping={"user_id": column}), QuietProgress())
    assert store.rows("SELECT user_id FROM events") == [("ann",)]

"""Ingest as a whole: what a caller sees after each kind of file, good or bad."""

import gzip
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lookalike.data.database import Database, open_file
from lookalike.data.ingest.ingest import ingest_files, preview_files
from lookalike.data.ingest.options import IngestOptions, parse_mapping
from lookalike.data.ingest.results import IngestResult
from lookalike.errors import DataError, LookalikeError, SettingsError
from lookalike.workspace.progress import QuietProgress

TABLES = ("events", "files", "rejects", "items", "item_attributes", "users", "user_attributes")
GOOD = "user_id,ts,event_type,item_id\nann,2024-03-01 10:00:00,view,a\nbob,2024-03-02 11:30:00,purchase,b\n"


@pytest.fixture
def store(tmp_path):
    with open_file(tmp_path / "space" / "lookalike.duckdb") as one:
        yield one


def load(store: Database, *paths: Path, **options: Any) -> IngestResult:
    return ingest_files(store, list(paths), IngestOptions(**options), QuietProgress())


def wrote(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, query: str) -> Path:
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def held(store: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: store.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}


def events(store: Database, fields: str = "user_id, ts, event_type, item_id") -> list[tuple[Any, ...]]:
    return store.rows(f"SELECT {fields} FROM events ORDER BY ALL")


def rejects(store: Database) -> list[tuple[Any, ...]]:
    return store.rows("SELECT line, reason FROM rejects ORDER BY ALL")


def check(report: IngestResult, name: str) -> Any:
    return next((one for one in report.checks if one.check == name), None)


ANN = ("ann", datetime(2024, 3, 1, 10), "view", "a")
BOB = ("bob", datetime(2024, 3, 2, 11, 30), "purchase", "b")


# --- good files ------------------------------------------------------------------------------------------------------


def _zstd(text: str) -> bytes:
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


def _zst_file(path: Path, text: str) -> Path:
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(text.encode())
    return path


LINES = "".join(
    json.dumps(dict(zip(("user_id", "ts", "event_type", "item_id"), line.split(","), strict=True))) + "\n"
    for line in GOOD.splitlines()[1:]
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", GOOD),
        ("log.tsv", GOOD.replace(",", "\t")),
        ("log.txt", GOOD.replace(",", "|")),
        ("log.csv", GOOD.replace(",", ";")),
        ("log.csv", GOOD.replace("\n", "\r\n")),
        ("log.csv", GOOD.replace("\n", "\r")),
        ("log.csv", GOOD.replace("10:00:00,view,a\n", "10:00:00,view,a\r\n")),
        ("log.csv", GOOD.rstrip("\n")),
        ("log.csv", "\n\n" + GOOD),
        ("log.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("log.csv", GOOD.encode("utf-16")),
        ("log.csv", GOOD.encode("utf-16-le")),
        ("log.csv", b"\xfe\xff" + GOOD.encode("utf-16-be")),
        ("log.csv.gz", gzip.compress(GOOD.encode())),
        ("no_suffix_says_gzip", gzip.compress(GOOD.encode())),
        ("log.jsonl", LINES),
        ("log.ndjson", LINES.replace("\n", "\r\n")),
        ("log.jsonl", b"\xef\xbb\xbf" + LINES.encode()),
        ("log.json", "[" + LINES.strip().replace("\n", ",\n") + "]"),
        ("log.jsonl.gz", gzip.compress(LINES.encode())),
        ("o'clock [1] *?.csv", GOOD),
    ],
)
def test_every_kind_of_text_file_gives_the_same_events(store, tmp_path, name, content):
    report = load(store, wrote(tmp_path / name, content))
    assert events(store) == [ANN, BOB]
    assert report.totals.events == 2
    assert report.files[0].rejected == {}


def test_zstd_files_are_read(store, tmp_path):
    load(store, _zst_file(tmp_path / "a.csv.zst", GOOD))
    load(store, _zst_file(tmp_path / "b.jsonl.zst", LINES.replace("ann", "eve")))
    assert [row[0] for row in events(store)] == ["ann", "bob", "eve"]


def test_a_folder_and_a_pattern_find_the_known_files_each_once(store, tmp_path):
    wrote(tmp_path / "in" / "deep" / "a.csv", GOOD)
    wrote(tmp_path / "in" / "b.csv", GOOD.replace("ann", "eve"))
    wrote(tmp_path / "in" / "notes.pdf", "no log")
    wrote(tmp_path / "in" / "_SUCCESS", "")
    report = load(store, tmp_path / "in", tmp_path / "in" / "*.csv", tmp_path / "in" / "b.csv")
    assert [Path(file.name).name for file in report.files] == ["b.csv", "a.csv"]
    assert report.totals.users == 3


def test_columns_are_found_by_the_names_of_common_exports(store, tmp_path):
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
        "C536379,D,Discount,-1,12/13/2010 9:41,27.5,14527,France\n"
    )
    report = load(store, wrote(tmp_path / "retail.csv", text))
    assert events(store, "user_id, ts, event_type, item_id, value, quantity, session_id, country") == [
        ("14527", datetime(2010, 12, 13, 9, 41), "event", "D", -27.5, -1.0, "C536379", "France"),
        (
            "17850",
            datetime(2010, 12, 1, 8, 26),
            "event",
            "85123A",
            pytest.approx(15.3),
            6.0,
            "536365",
            "United Kingdom",
        ),
    ]
    assert report.files[0].mapping["value"] == "Quantity * UnitPrice"
    assert report.files[0].unused == ["Description"]


def test_a_given_column_wins_over_a_synonym(store, tmp_path):
    path = wrote(tmp_path / "log.csv", "user_id,shopper,ts\nx,ann,2024-01-01\n")
    load(store, path, mapping={"user_id": "shopper"})
    assert events(store, "user_id") == [("ann",)]


def test_decimal_commas_currencies_and_thousands_are_read(store, tmp_path):
    load(store, wrote(tmp_path / "a.csv", "user;time;revenue\nann;2024-01-01;1.234,50\nbob;2024-01-01;7,5 €\n"))
    rows = ['eve,2024-01-01,"$1,234.50"', "dan,2024-01-01,(2.50)", "fay,2024-01-01,EUR 3", "guy,2024-01-01,room 4"]
    load(store, wrote(tmp_path / "b.csv", "\n".join(["user,time,revenue", *rows])))
    expected = [("ann", 1234.5), ("bob", 7.5), ("dan", -2.5), ("eve", 1234.5), ("fay", 3.0), ("guy", None)]
    assert events(store, "user_id, value") == expected


def test_a_value_that_is_no_number_is_counted_and_the_event_kept(store, tmp_path):
    report = load(store, wrote(tmp_path / "a.csv", "user,time,revenue\nann,2024-01-01,much\nbob,2024-01-01,2\n"))
    assert events(store, "user_id, value") == [("ann", None), ("bob", 2.0)]
    assert check(report, "unreadable_values").rows == 1


def test_leading_zeros_and_long_numbers_stay_as_written(store, tmp_path):
    load(store, wrote(tmp_path / "a.csv", "user_id,ts,sku\n007,2024-01-01,00012345678901234567890\n"))
    load(store, wrote(tmp_path / "b.jsonl", '{"user_id": 12345678901234567890123, "ts": "2024-01-01", "sku": 1.50}\n'))
    assert events(store, "user_id, item_id") == [
        ("007", "00012345678901234567890"),
        ("12345678901234567890123", "1.5"),
    ]


def test_whole_floats_of_parquet_lose_their_point(store, tmp_path):
    rows = "(12345.0::DOUBLE, DATE '2024-01-01', 7::FLOAT), (1.5, DATE '2024-01-02', NULL)"
    load(store, parquet(tmp_path / "a.parquet", f"SELECT * FROM (VALUES {rows}) t(user_id, date, sku)"))
    assert events(store, "user_id, item_id") == [("1.5", None), ("12345", "7")]


def test_backslash_quotes_are_read_where_a_file_uses_them(store, tmp_path):
    load(store, wrote(tmp_path / "a.csv", 'user_id,ts,sku\n"an\\"n",2024-01-01,"x,y"\n'))
    assert events(store, "user_id, item_id") == [('an"n', "x,y")]


def test_latin_1_is_read_even_when_it_shows_late(store, tmp_path):
    early = wrote(tmp_path / "early.csv", "user_id,ts,country\nzoë,2024-01-01,Österreich €\n".encode("cp1252"))
    late = wrote(
        tmp_path / "late.csv",
        b"user_id,ts,country\n" + b"ann,2024-01-01,DE\n" * 20000 + "zoë,2024-01-01,x\n".encode("cp1252"),
    )
    load(store, early)
    load(store, late)
    assert ("zoë", "Österreich €") in events(store, "user_id, country")
    assert ("zoë", "x") in events(store, "user_id, country")


# --- doing it twice --------------------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(store, tmp_path):
    path = wrote(tmp_path / "a.csv", GOOD)
    load(store, path)
    before = held(store)
    report = load(store, path, wrote(tmp_path / "copy.csv", GOOD))
    assert held(store) == before
    assert [file.skipped for file in report.files] == [True, True]


def test_overlapping_files_do_not_double_events(store, tmp_path):
    load(store, wrote(tmp_path / "a.csv", GOOD))
    report = load(store, wrote(tmp_path / "b.csv", GOOD + "eve,2024-03-02 11:00:00,view,c\n"))
    assert report.totals.events == 3
    assert report.files[0].duplicates == 2
    assert report.files[0].added == 1


def test_duplicates_within_a_file_are_dropped_and_counted(store, tmp_path):
    report = load(store, wrote(tmp_path / "a.csv", GOOD + "ann,2024-03-01 10:00:00,view,a\n" * 3))
    assert events(store) == [ANN, BOB]
    assert (report.files[0].rows, report.files[0].added, report.files[0].duplicates) == (5, 2, 3)
    assert check(report, "duplicates").rows == 3


def test_duplicates_are_found_slice_by_slice(store, tmp_path, monkeypatch):
    monkeypatch.setattr("lookalike.ingest.loading._AT_ONCE", 7)
    rows = "".join(f"u{i % 9},2024-01-01 00:{i % 30:02}:00,view,a\n" for i in range(180))
    report = load(store, wrote(tmp_path / "a.csv", GOOD.splitlines()[0] + "\n" + rows))
    assert report.totals.events == store.rows("SELECT count(*) FROM (SELECT DISTINCT * FROM events)")[0][0] == 90
    assert report.files[0].duplicates == 90


def test_the_same_event_id_is_the_same_event(store, tmp_path):
    text = "user_id,ts,item_id,event_id\nann,2024-01-01,b,1\nann,2024-01-01,a,1\nann,2024-01-01,a,2\n"
    report = load(store, wrote(tmp_path / "a.csv", text))
    assert events(store, "item_id, event_id") == [("a", "1"), ("a", "2")]
    assert report.files[0].duplicates == 1


# --- rejects ---------------------------------------------------------------------------------------------------------


def test_rejected_rows_are_written_down_with_line_and_reason(store, tmp_path):
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
    report = load(store, wrote(tmp_path / "a.csv", text), max_rejected_share=1)
    assert rejects(store) == [
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
    assert report.files[0].rows == 12
    assert report.files[0].added == 2
    assert store.rows("SELECT rejected FROM files") == [(10,)]


def test_malformed_json_lines_are_rejects_with_their_line(store, tmp_path):
    lines = [
        '{"user_id": "ann", "ts": 1700000000}', "{bad", "", '{"user_id": "bob", "ts": 1700000001}', "[1, 2]",
        '{"user_id": null, "ts": 1700000002}', '{"other": 1}', '{"user_id": "cut", "ts": 17000',
    ]  # fmt: skip
    report = load(store, wrote(tmp_path / "a.jsonl", "\n".join(lines)), max_rejected_share=0.9)
    assert [row[0] for row in events(store)] == ["ann", "bob"]
    assert rejects(store) == [
        (2, "malformed line: no JSON object"),
        (5, "malformed line: no JSON object"),
        (6, "empty user_id"),
        (7, "empty user_id"),
        (8, "malformed line: no JSON object"),
    ]
    assert report.files[0].rows == 7


def test_rejects_of_parquet_carry_the_row(store, tmp_path):
    user = "CASE WHEN i % 4 > 0 THEN 'u' || i END AS user_id"
    load(store, parquet(tmp_path / "a.parquet", f"SELECT {user}, DATE '2024-01-01' AS ts FROM range(10) t(i)"))
    assert rejects(store) == [(1, "empty user_id"), (5, "empty user_id"), (9, "empty user_id")]


def test_many_rows_without_a_user_load_with_a_loud_warning(store, tmp_path):
    text = "user_id,ts\n" + "".join(f"{'' if i % 3 else i + 1},2024-01-01 00:00:{i:02}\n" for i in range(60))
    report = load(store, wrote(tmp_path / "a.csv", text))
    assert report.totals.events == 20
    assert check(report, "null_users").severity in ("warning", "error")
    assert check(report, "null_users").rows == 40


# --- bad files: two lines, the exit code, nothing changed -------------------------------------------------------------


def refused(store: Database, *paths: Path, **options: Any) -> LookalikeError:
    """The error, after a look that nothing was changed."""
    before = held(store)
    with pytest.raises(LookalikeError) as caught:
        load(store, *paths, **options)
    assert held(store) == before
    assert not [row for row in store.rows("SELECT table_name FROM duckdb_tables() WHERE temporary")]
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def bad_parquet(path: Path, keep: int) -> bytes:
    return parquet(path, "SELECT 'u' || i AS user_id, DATE '2024-01-01' AS ts FROM range(1000) t(i)").read_bytes()[
        :keep
    ]


# A test's id must not hold content: gzip writes the time of day, and workers would collect different tests.
BAD_FILES = {
    "empty.csv": (b"", "the file is empty"),
    "blank.csv": (b"\n \n", "the file is empty"),
    "header.csv": (b"user_id,ts\n", "no rows"),
    "empty.csv.gz": (gzip.compress(b""), "the file is empty"),
    "cut.csv.gz": (gzip.compress(os.urandom(30_000).hex().encode() + GOOD.encode())[:-40], "cannot be"),
    "garbage.parquet": (b"PAR1 no parquet at all PAR1", "cannot be read as parquet"),
    "renamed.parquet": (GOOD.encode() * 2, "cannot be read as parquet"),
    "book.xlsx": (b"PK\x03\x04" + bytes(300), "an Excel workbook"),
    "binary.csv": (b"user_id,ts\n" + bytes(300), "is no text file"),
    "cut.json": (b'[{"user_id": "a", "ts": 1700000000},', "cut off"),
    "plain.jsonl": (b"just words\n", "no JSON object"),
    "nouser.csv": (b"shoe,ts\n1,2024-01-01\n", "no column could be the user (user_id); columns: shoe, ts"),
    "notime.csv": (b"user_id,colour\n1,red\n", "no column could be the time (ts); columns: user_id, colour"),
    "noheader.csv": (b"u1,2024-01-01 10:00:00\nu2,2024-01-01 10:00:00\n", "no column could be the user"),
    "quote.csv": (b'user_id,ts,sku\nann,2024-01-01,"a\nbob,2024-01-01,b\neve,2024-01-01,c\n', "line 2: a quote"),
    "alltime.csv": (b"user_id,ts\na,2024-13-45\nb,2024-13-46\n", "all 2 rows are rejected (unreadable time 2)"),
    "nulls.csv": (b"user_id,ts\n,2024-01-01\nnull,2024-01-01\n", "all 2 rows are rejected"),
    "ragged.csv": (b"user_id,ts\na,2024-01-01\nb\nc\nd\n", "3 of 4 rows are rejected"),
    "words.csv": (b"user_id,ts\na,soon\nb,later\n", "the times cannot be read"),
    "notimes.csv": (b"user_id,ts\na,\nb,\n", "every time is empty"),
    "mixed.csv": (b"user_id,ts\na,1700000000\nb,1700000000000\n", "the times mix units: 1 in s, 1 in ms"),
    "small.csv": (b"user_id,ts\na,1\nb,2\n", "these numbers are no times"),
    "open.csv": (b"user_id,ts\na,01/02/2024\nb,03/04/2024\n", "may be day/month or month/day"),
    "both.csv": (b"user_id,ts\na,01/22/2024\nb,23/04/2024\n", "some dates have the day first"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_and_changes_nothing(store, tmp_path, name):
    content, message = BAD_FILES[name]
    load(store, wrote(tmp_path / "before.csv", GOOD))
    path = wrote(tmp_path / name, content)
    error = refused(store, path, max_rejected_share=0.5)
    assert isinstance(error, DataError)
    assert error.exit_code == 3
    assert message in error.message
    assert str(path) in error.message


@pytest.mark.parametrize("keep", [100, 2000])
def test_a_truncated_parquet_is_refused(store, tmp_path, keep):
    path = wrote(tmp_path / "cut.parquet", bad_parquet(tmp_path / "whole.parquet", keep))
    assert f"{path}: cannot be read as parquet" in refused(store, path).message


def test_parquet_damaged_in_the_middle_is_refused(store, tmp_path):
    whole = bytearray(bad_parquet(tmp_path / "whole.parquet", 10**9))
    whole[20:600] = os.urandom(580)
    error = refused(store, wrote(tmp_path / "hurt.parquet", bytes(whole)))
    assert error.exit_code == 3
    assert "hurt.parquet" in error.message


def test_a_missing_path_and_a_folder_without_a_log_are_refused(store, tmp_path):
    assert "no such file or folder" in refused(store, tmp_path / "gone.csv").message
    assert "no such file or folder" in refused(store, tmp_path / "*.csv").message
    wrote(tmp_path / "in" / "picture.png", "x")
    assert "no file in this folder can be read" in refused(store, tmp_path / "in").message


def test_a_bad_file_among_good_ones_stops_before_the_first_is_loaded(store, tmp_path):
    wrote(tmp_path / "in" / "a.csv", GOOD)
    wrote(tmp_path / "in" / "b.csv", "shoe\n1\n")
    assert "b.csv" in refused(store, tmp_path / "in").message


def test_a_mapping_to_a_column_that_is_not_there_names_the_nearest(store, tmp_path):
    error = refused(store, wrote(tmp_path / "a.csv", "customer,when\n1,2024-01-01\n"), mapping={"user_id": "custmer"})
    assert "no column 'custmer'" in error.message
    assert "did you mean customer?" in error.hint


def test_mixed_units_are_refused_when_they_show_late(store, tmp_path):
    rows = "".join(f"u{i},{1_700_000_000 + i}\n" for i in range(5000))
    error = refused(store, wrote(tmp_path / "a.csv", f"user_id,ts\n{rows}late,1700000000000\n"))
    assert "mix units: 5,000 in s, 1 in ms" in error.message


def test_an_unclosed_quote_far_down_is_refused(store, tmp_path):
    text = "user_id,ts\n" + "ann,2024-01-01\n" * 400_000 + '"bob,2024-01-01\n' + "eve,2024-01-01\n" * 400_000
    assert "line 400002: a quote" in refused(store, wrote(tmp_path / "a.csv", text)).message


def test_an_error_in_the_middle_leaves_the_store_as_it_was(store, tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr("lookalike.ingest.loading._drop_duplicates", full)
    before = held(store)
    with pytest.raises(duckdb.IOException):
        load(store, wrote(tmp_path / "a.csv", GOOD))
    assert held(store) == before


def test_an_unknown_zone_names_the_nearest():
    with pytest.raises(SettingsError, match="unknown time zone") as caught:
        IngestOptions(timezone="Europe/Berlim")
    assert "Europe/Berlin" in caught.value.hint


@pytest.mark.parametrize(
    ("pair", "message"),
    [("user_id", "is not FIELD=COLUMN"), ("=x", "is not FIELD=COLUMN"), ("user_di=x", "unknown field 'user_di'")],
)
def test_a_wrong_pair_is_refused(pair, message):
    with pytest.raises(SettingsError, match=message) as caught:
        parse_mapping([pair])
    assert "user_id" in caught.value.hint


def test_pairs_become_a_mapping():
    assert parse_mapping(["user_id=Customer ID", "ts = a=b"]) == {"user_id": "Customer ID", "ts": "a=b"}
    with pytest.raises(SettingsError, match="twice"):
        parse_mapping(["ts=a", "ts=b"])


# --- explain and the report ------------------------------------------------------------------------------------------


def test_explain_shows_mapping_time_and_first_rows(tmp_path):
    path = wrote(tmp_path / "a.csv", "visitorid,client_id,timestamp,event,colour\n1,9,1433221332117,view,red\n")
    (shown,) = preview_files([path], IngestOptions()).files
    assert shown.mapping == {"user_id": "client_id", "ts": "timestamp", "event_type": "event"}
    assert shown.time == "epoch in ms"
    assert shown.unused == ["visitorid", "colour"]
    assert shown.notes == ["user_id is taken from client_id; it could also be visitorid (--map user_id=COLUMN)"]
    assert shown.rows == [["1", "9", "1433221332117", "view", "red"]]
    assert shown.stored[0]["ts"] == "2015-06-02 05:02:12.117"
    json.dumps(preview_files([path], IngestOptions()).as_dict())


def test_the_report_is_json_and_holds_no_id(store, tmp_path):
    report = load(store, wrote(tmp_path / "a.csv", GOOD + "secret@example.com,2024-03-02,view,a\n,2024-01-01,view,a\n"))
    text = json.dumps(report.as_dict())
    assert "secret" not in text
    assert "ann" not in text
    assert report.as_dict()["totals"] == {
        "events": 3, "users": 3, "items": 2, "first": "2024-03-01T10:00:00Z", "last": "2024-03-02T11:30:00Z",
    }  # fmt: skip

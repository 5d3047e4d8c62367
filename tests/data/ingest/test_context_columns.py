"""Declared context columns: where they are stored, and how an interrupted ingest is recognised."""

from pathlib import Path

import polars as pl
import pytest

from log_files import find_check, ingest, stored_events, write, write_parquet
from lookalike.data import behaviour, sequence_queries
from lookalike.data.database import EXCLUDED_PREFIX, Cut, Database, coded_fields, declared_context_columns, end_of_log
from lookalike.data.ingest import context_columns
from lookalike.data.ingest.context_columns import require_finished_ingest
from lookalike.data.ingest.context_review import review_columns
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.preview import preview_files
from lookalike.data.ingest.results import MissingColumn
from lookalike.data.schema import CONTEXT_SLOTS
from lookalike.errors import DataError, SettingsError, StateError
from planted_log import built

HOSTILE_NAMES = (
    'a"b',
    "a'b",
    "x; DROP TABLE events; --",
    "../../etc",
    "utm/campaign",
    "n" * 300,
    "naïve ☃",
    "{0}",
    "select",
    "e.user_id",
    "context_2",
    "Items",
    "*",
)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_declared_column_is_stored_with_each_event_cleaned_as_other_text(database: Database, tmp_path: Path) -> None:
    text = (
        "user_id,ts,campaign\nann,2024-03-01, spring \nbob,2024-03-02,NaN\ncy,2024-03-03,\ndee,2024-03-04,(not set)\n"
    )
    result = ingest(database, write(tmp_path / "log.csv", text), context=("campaign",))
    assert stored_events(database, "user_id, context_1") == [
        ("ann", "spring"),
        ("bob", None),
        ("cy", None),
        ("dee", None),
    ]
    assert result.files[0].mapping["context_1"] == "campaign"
    assert "campaign" not in result.files[0].unused


def test_whole_floats_are_stored_as_text(database: Database, tmp_path: Path) -> None:
    query = "SELECT 'u' || i AS user_id, TIMESTAMP '2024-03-01' AS ts, (i % 3)::DOUBLE AS c FROM range(9) t(i)"
    ingest(database, write_parquet(tmp_path / "log.parquet", query), context=("c",))
    assert database.rows("SELECT DISTINCT context_1 FROM events ORDER BY 1") == [("0",), ("1",), ("2",)]


def test_a_workspace_without_declared_columns_has_none(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "log.csv", "user_id,ts\nann,2024-03-01\n"))
    assert declared_context_columns(database) == {}
    assert "context_1" not in database.frame("SELECT * FROM events").columns


def test_a_name_keeps_its_slot_in_whatever_order_names_are_given(database: Database, tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", "user_id,ts,shop,page\nann,2024-03-01,s1,p1\n")
    ingest(database, first, context=("shop", "page"))
    second = write(tmp_path / "2.csv", "user_id,ts,page,extra,shop\nbob,2024-03-02,p2,e2,s2\n")
    ingest(database, second, context=("extra", "page", "shop"))
    assert declared_context_columns(database) == {"shop": "context_1", "page": "context_2", "extra": "context_3"}
    fields = ", ".join(("user_id", *CONTEXT_SLOTS[:3]))
    assert stored_events(database, fields) == [("ann", "s1", "p1", None), ("bob", "s2", "p2", "e2")]


def test_a_column_declared_once_is_stored_of_later_files_too(database: Database, tmp_path: Path) -> None:
    ingest(database, write(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n"), context=("shop",))
    ingest(database, write(tmp_path / "2.csv", "user_id,ts,shop\nbob,2024-03-02,s2\n"))
    assert stored_events(database, "user_id, context_1") == [("ann", "s1"), ("bob", "s2")]


def test_a_file_that_lacks_a_declared_column_is_loaded_with_a_note(database: Database, tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    second = write(tmp_path / "2.csv", "user_id,ts,store\nbob,2024-03-02,s2\n")
    result = ingest(database, first, second, context=("shop",))
    assert stored_events(database, "user_id, context_1") == [("ann", "s1"), ("bob", None)]
    check = find_check(result, "missing_context")
    assert (check.severity, check.rows, check.file, check.column) == ("note", 1, str(second), "shop")
    (preview,) = preview_files([second], IngestOptions(context=("shop",))).files
    assert MissingColumn(column="shop") in preview.notes


def test_a_name_that_no_file_has_is_refused_before_anything_is_loaded(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "1.csv", "user_id,ts,campaign\nann,2024-03-01,c\n")
    with pytest.raises(DataError, match="--context kampaign: no file has such a column") as raised:
        ingest(database, log, context=("kampaign",))
    assert raised.value.hint == "did you mean campaign? --dry-run shows the columns"
    assert database.rows("SELECT count(*) FROM events") == [(0,)]
    assert declared_context_columns(database) == {}


def test_a_ninth_name_is_refused_in_one_call_and_over_two(database: Database, tmp_path: Path) -> None:
    names = tuple(f"n{number}" for number in range(1, 10))
    with pytest.raises(SettingsError, match="at most 8") as raised:
        IngestOptions(context=names)
    assert raised.value.hint
    header = f"user_id,ts,{','.join(names)}\n"
    ingest(database, write(tmp_path / "1.csv", f"{header}ann,2024-03-01{',v' * 9}\n"), context=names[:8])
    second = write(tmp_path / "2.csv", f"{header}bob,2024-03-02{',v' * 9}\n")
    with pytest.raises(SettingsError, match="--context: 9 columns, and a workspace keeps at most 8: n1, n2"):
        ingest(database, second, context=("n9",))
    assert stored_events(database, "user_id, context_8") == [("ann", "v")]
    ingest(database, second, context=("n8", "n1"))
    assert stored_events(database, "user_id, context_8") == [("ann", "v"), ("bob", "v")]


def test_a_file_read_before_without_the_column_is_refused(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    ingest(database, log)
    with pytest.raises(DataError, match=r"1\.csv: was read before without --context shop"):
        ingest(database, log, context=("shop",))
    assert declared_context_columns(database) == {}


def test_the_same_call_again_skips_the_files(database: Database, tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    second = write(tmp_path / "2.csv", "user_id,ts\nbob,2024-03-02\n")
    ingest(database, first, second, context=("shop",))
    again = ingest(database, first, second, context=("shop",))
    assert [file.skipped for file in again.files] == [True, True]


def test_a_declared_column_is_no_longer_taken_for_a_field(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts,campaign_id,product_id\nann,2024-03-01,c1,p1\n"
    result = ingest(database, write(tmp_path / "1.csv", text), context=("campaign_id",))
    assert stored_events(database, "user_id, item_id, context_1") == [("ann", "p1", "c1")]
    assert result.files[0].mapping["item_id"] == "product_id"
    second = write(tmp_path / "2.csv", text.replace("ann", "bob"))
    ingest(database, second, context=("campaign_id",), mapping={"item_id": "campaign_id"})
    assert stored_events(database, "user_id, item_id, context_1") == [("ann", "p1", "c1"), ("bob", "c1", "c1")]


def test_a_column_of_nested_values_is_refused(database: Database, tmp_path: Path) -> None:
    query = "SELECT 'u' || i AS user_id, TIMESTAMP '2024-03-01' AS ts, [i] AS c FROM range(9) t(i)"
    with pytest.raises(DataError, match="--context c: the column holds nested values"):
        ingest(database, write_parquet(tmp_path / "log.parquet", query), context=("c",))


def test_events_that_differ_only_in_a_declared_column_are_two(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts,shop\nann,2024-03-01,s1\nann,2024-03-01,s2\nann,2024-03-01,s2\n"
    first = ingest(database, write(tmp_path / "1.csv", text), context=("shop",))
    assert stored_events(database, "user_id, context_1") == [("ann", "s1"), ("ann", "s2")]
    second = ingest(database, write(tmp_path / "2.csv", text + "bob,2024-03-01,s1\n"))
    assert (first.files[0].duplicates, second.files[0].duplicates) == (1, 3)


@pytest.mark.usefixtures("rare_values")
@pytest.mark.parametrize("first", range(0, len(HOSTILE_NAMES), 8))
def test_any_name_of_a_column_is_only_a_name(database: Database, tmp_path: Path, first: int) -> None:
    names = HOSTILE_NAMES[first : first + 8]
    table = {"user_id": ["ann", "bob"], "ts": ["2024-03-01", "2024-03-02"]} | {name: ["x", "y"] for name in names}
    pl.DataFrame(table).write_parquet(tmp_path / "log.parquet")
    ingest(database, tmp_path / "log.parquet", context=names)
    arrays, vocabulary = built(database, tmp_path / "arrays")
    for name in names:
        assert vocabulary.codes[name] == ["x", "y"]
        assert arrays[name].tolist() == [1, 2]
    (tmp_path / "copy").mkdir()
    copied = sequence_queries.events_before(arrays, arrays.as_of, tmp_path / "copy")
    assert all(copied[name].tolist() == [1, 2] for name in names)
    assert {path.parent for path in tmp_path.rglob("*.bin")} == {tmp_path / "arrays", tmp_path / "copy"}
    assert len(list((tmp_path / "copy").iterdir())) == len(copied.columns)
    groups = pl.DataFrame({"user_id": ["ann", "bob"], "audience": [1, 0], "base": [0, 1]})
    counts = behaviour.behaviour_counts(database, groups, Cut(end_of_log(database)))
    for name in names:
        rows = counts.filter(pl.col("title") == f"Context {name}").drop("title").rows()
        assert sorted(rows) == [("x", 1, 0), ("y", 0, 1)]


@pytest.mark.usefixtures("rare_values")
def test_values_are_never_part_of_a_statement(database: Database, tmp_path: Path) -> None:
    value = "'); DROP TABLE events; --"
    log = write(tmp_path / "1.csv", f'user_id,ts,shop\nann,2024-03-01,"{value}"\n')
    ingest(database, log, context=("shop",))
    _, vocabulary = built(database, tmp_path / "arrays")
    assert vocabulary.codes["shop"] == [value]


def test_a_column_that_was_never_reviewed_is_not_coded(database: Database) -> None:
    context_columns.declare(database, ("c",))  # and the ingest is killed
    assert "c" not in coded_fields(database)
    review_columns(database)
    assert "c" in coded_fields(database)


def test_an_ingest_that_was_killed_before_its_review_is_recognised_and_finished_by_the_same_ingest(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "1.csv", "user_id,ts,country\nann,2024-03-01,DE\n")
    with monkeypatch.context() as patched:
        patched.setattr("lookalike.data.ingest.ingest.review_columns", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest(database, log)
    with pytest.raises(StateError, match="the last ingest was interrupted") as raised:
        require_finished_ingest(database)
    assert "lookalike ingest" in raised.value.hint
    assert "country" not in coded_fields(database)
    assert [file.skipped for file in ingest(database, log).files] == [True]
    require_finished_ingest(database)
    assert "country" in coded_fields(database)


def test_an_ingest_that_was_killed_between_two_files_is_recognised(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(database, write(tmp_path / "1.csv", "user_id,ts\nann,2024-03-01\n"))
    require_finished_ingest(database)
    files = [write(tmp_path / f"{day}.csv", f"user_id,ts\nann,2024-03-0{day}\n") for day in (2, 3)]
    with monkeypatch.context() as patched:
        patched.setattr("lookalike.data.ingest.ingest._report_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest(database, *files)
    with pytest.raises(StateError):
        require_finished_ingest(database)
    assert [file.skipped for file in ingest(database, *files).files] == [True, False]
    require_finished_ingest(database)


def test_a_mark_is_not_removed_by_the_commands_that_find_it(database: Database) -> None:
    database.connection.execute(
        "INSERT INTO meta VALUES (?, ?)", [EXCLUDED_PREFIX + "country", context_columns.NOT_REVIEWED]
    )
    for _ in range(2):
        with pytest.raises(StateError):
            require_finished_ingest(database)
    assert "country" not in coded_fields(database)


def test_a_database_without_an_ingest_is_not_called_interrupted(database: Database) -> None:
    require_finished_ingest(database)
    assert declared_context_columns(database) == {}

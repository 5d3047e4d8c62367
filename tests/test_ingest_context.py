"""Declared context columns: where they are kept, and which of them never become features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from lookalike.data import behaviour, database
from lookalike.data.database import Cut, Database, coded_fields, declared_context_columns, end_of_log
from lookalike.data.ingest import context_columns
from lookalike.data.ingest.ingest import ingest_files, preview_files
from lookalike.data.ingest.options import IngestOptions, parse_context
from lookalike.data.ingest.results import IngestResult
from lookalike.data.schema import CONTEXT_SLOTS
from lookalike.embeddings.aggregates import MAX_CODE_COLUMNS, fit_aggregates
from lookalike.errors import DataError, LookalikeError, SettingsError
from lookalike.workspace.progress import QuietProgress
from planted_log import built

HOSTILE = (
    'a"b',
    "a'b",
    "x; DROP TABLE events; --",
    "../../etc",
    "naïve ☃",
    "{0}",
    "select",
    "e.user_id",
    "context_2",
    "Items",
    "*",
)


def load(store: Database, *paths: Path, context: tuple[str, ...] = (), **options: Any) -> IngestResult:
    return ingest_files(store, list(paths), IngestOptions(context=context, **options), QuietProgress())


def wrote(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def slots(store: Database, *columns: str) -> list[tuple[Any, ...]]:
    return store.rows(f"SELECT user_id, {', '.join(columns)} FROM events ORDER BY ALL")


def check(report: IngestResult, name: str) -> Any:
    return next((one for one in report.checks if one.check == name), None)


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Writes 4,000 events of 400 users in Parquet, with a further column `c` made by an expression of `i`."""

    def make(expression: str, name: str = "log", where: str = "true") -> Path:
        query = (
            f"SELECT 'u' || (i % 400) AS user_id, TIMESTAMP '2024-03-01' + to_minutes(i) AS ts, "
            f"'i' || (i % 9) AS item_id, {expression} AS c FROM range(4000) t(i) WHERE {where}"
        )
        duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/{name}.parquet' (FORMAT parquet)")
        return tmp_path / f"{name}.parquet"

    return make


# --- where they are kept ---------------------------------------------------------------------------------------------


def test_a_declared_column_is_kept_with_each_event_cleaned_as_other_text(store: Database, tmp_path: Path) -> None:
    text = (
        "user_id,ts,campaign\nann,2024-03-01, spring \nbob,2024-03-02,NaN\ncy,2024-03-03,\ndee,2024-03-04,(not set)\n"
    )
    report = load(store, wrote(tmp_path / "log.csv", text), context=("campaign",))
    assert slots(store, "context_1") == [("ann", "spring"), ("bob", None), ("cy", None), ("dee", None)]
    assert report.files[0].mapping["context_1"] == "campaign"
    assert "campaign" not in report.files[0].unused


def test_whole_floats_and_other_kinds_are_text(store: Database, tmp_path: Path, log: Callable[..., Path]) -> None:
    load(store, log("(i % 3)::DOUBLE"), context=("c",))
    assert store.rows("SELECT DISTINCT context_1 FROM events ORDER BY 1") == [("0",), ("1",), ("2",)]


def test_a_workspace_without_declared_columns_has_none(store: Database, tmp_path: Path) -> None:
    load(store, wrote(tmp_path / "log.csv", "user_id,ts\nann,2024-03-01\n"))
    assert declared_context_columns(store) == {}
    assert "context_1" not in store.frame("SELECT * FROM events").columns


def test_a_name_keeps_its_slot_whatever_the_order_it_is_named_in(store: Database, tmp_path: Path) -> None:
    load(store, wrote(tmp_path / "1.csv", "user_id,ts,shop,page\nann,2024-03-01,s1,p1\n"), context=("shop", "page"))
    second = wrote(tmp_path / "2.csv", "user_id,ts,page,extra,shop\nbob,2024-03-02,p2,e2,s2\n")
    load(store, second, context=("extra", "page", "shop"))
    assert declared_context_columns(store) == {"shop": "context_1", "page": "context_2", "extra": "context_3"}
    assert slots(store, *CONTEXT_SLOTS[:3]) == [("ann", "s1", "p1", None), ("bob", "s2", "p2", "e2")]


def test_what_was_declared_once_is_kept_of_later_files_too(store: Database, tmp_path: Path) -> None:
    load(store, wrote(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n"), context=("shop",))
    load(store, wrote(tmp_path / "2.csv", "user_id,ts,shop\nbob,2024-03-02,s2\n"))
    assert slots(store, "context_1") == [("ann", "s1"), ("bob", "s2")]


def test_a_file_that_lacks_a_declared_column_is_loaded_with_a_note(store: Database, tmp_path: Path) -> None:
    one = wrote(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    other = wrote(tmp_path / "2.csv", "user_id,ts,store\nbob,2024-03-02,s2\n")
    report = load(store, one, other, context=("shop",))
    assert slots(store, "context_1") == [("ann", "s1"), ("bob", None)]
    note = check(report, "missing_context")
    assert (note.severity, note.rows) == ("note", 1)
    assert "2.csv: there is no column shop" in note.message
    (shown,) = preview_files([other], IngestOptions(context=("shop",))).files
    assert any("there is no column shop" in text for text in shown.notes)


def test_a_name_that_no_file_has_is_refused_before_anything_is_loaded(store: Database, tmp_path: Path) -> None:
    one = wrote(tmp_path / "1.csv", "user_id,ts,campaign\nann,2024-03-01,c\n")
    with pytest.raises(DataError, match="--context kampaign: no file has such a column") as raised:
        load(store, one, context=("kampaign",))
    assert "did you mean campaign?" in (raised.value.hint or "")
    assert store.rows("SELECT count(*) FROM events") == [(0,)]
    assert declared_context_columns(store) == {}


def test_a_ninth_name_is_refused_in_one_call_and_over_two(store: Database, tmp_path: Path) -> None:
    names = tuple(f"n{number}" for number in range(1, 10))
    with pytest.raises(SettingsError, match="at most 8") as raised:
        IngestOptions(context=names)
    assert raised.value.hint
    header = f"user_id,ts,{','.join(names)}\n"
    load(store, wrote(tmp_path / "1.csv", f"{header}ann,2024-03-01{',v' * 9}\n"), context=names[:8])
    second = wrote(tmp_path / "2.csv", f"{header}bob,2024-03-02{',v' * 9}\n")
    with pytest.raises(SettingsError, match="--context: 9 columns, and a workspace keeps at most 8: n1, n2"):
        load(store, second, context=("n9",))
    assert slots(store, "context_8") == [("ann", "v")]
    load(store, second, context=("n8", "n1"))
    assert slots(store, "context_8") == [("ann", "v"), ("bob", "v")]


@pytest.mark.parametrize("name", ["", "  ", "device", "value", "ts", "item", "time"])
def test_no_name_of_a_field_and_no_empty_name_is_taken(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_context([name])
    assert raised.value.hint


def test_a_name_given_twice_is_one() -> None:
    assert parse_context(["a", " a ", "b"]) == ("a", "b")


def test_a_file_read_before_without_the_column_is_refused(store: Database, tmp_path: Path) -> None:
    one = wrote(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    load(store, one)
    with pytest.raises(DataError, match=r"1\.csv: was read before without --context shop"):
        load(store, one, context=("shop",))
    assert declared_context_columns(store) == {}


def test_the_same_call_again_skips_the_files(store: Database, tmp_path: Path) -> None:
    one = wrote(tmp_path / "1.csv", "user_id,ts,shop\nann,2024-03-01,s1\n")
    other = wrote(tmp_path / "2.csv", "user_id,ts\nbob,2024-03-02\n")
    load(store, one, other, context=("shop",))
    assert [file.skipped for file in load(store, one, other, context=("shop",)).files] == [True, True]


def test_a_declared_column_is_no_longer_taken_for_a_field(store: Database, tmp_path: Path) -> None:
    text = "user_id,ts,campaign_id,product_id\nann,2024-03-01,c1,p1\n"
    report = load(store, wrote(tmp_path / "1.csv", text), context=("campaign_id",))
    assert slots(store, "item_id", "context_1") == [("ann", "p1", "c1")]
    assert report.files[0].mapping["item_id"] == "product_id"
    given = {"item_id": "campaign_id"}
    load(store, wrote(tmp_path / "2.csv", text.replace("ann", "bob")), context=("campaign_id",), mapping=given)
    assert slots(store, "item_id", "context_1") == [("ann", "p1", "c1"), ("bob", "c1", "c1")]


def test_a_column_of_nested_values_is_refused(store: Database, log: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="--context c: the column holds nested values"):
        load(store, log("[i]"), context=("c",))


def test_events_that_differ_only_in_a_declared_column_are_two(store: Database, tmp_path: Path) -> None:
    text = "user_id,ts,shop\nann,2024-03-01,s1\nann,2024-03-01,s2\nann,2024-03-01,s2\n"
    report = load(store, wrote(tmp_path / "1.csv", text), context=("shop",))
    assert slots(store, "context_1") == [("ann", "s1"), ("ann", "s2")]
    again = load(store, wrote(tmp_path / "2.csv", text + "bob,2024-03-01,s1\n"))
    assert (report.files[0].duplicates, again.files[0].duplicates) == (1, 3)


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 8))
def test_any_name_of_a_column_is_only_a_name(store: Database, tmp_path: Path, first: int) -> None:
    names = HOSTILE[first : first + 8]
    table = {"user_id": ["ann", "bob"], "ts": ["2024-03-01", "2024-03-02"]} | {name: ["x", "y"] for name in names}
    pl.DataFrame(table).write_parquet(tmp_path / "log.parquet")
    load(store, tmp_path / "log.parquet", context=names)
    arrays, vocabulary = built(store, tmp_path / "arrays")
    for name in names:
        assert vocabulary.codes[name] == ["x", "y"]
        assert arrays[name].tolist() == [1, 2]
    assert {path.parent for path in tmp_path.rglob("*.bin")} == {tmp_path / "arrays"}
    looked_at = pl.DataFrame({"user_id": ["ann", "bob"], "audience": [1, 0], "base": [0, 1]})
    counts = behaviour.behaviour_counts(store, looked_at, Cut(end_of_log(store)))
    for name in names:
        rows = counts.filter(pl.col("title") == f"Context {name}").drop("title").rows()
        assert sorted(rows) == [("x", 1, 0), ("y", 0, 1)]


def test_values_are_never_part_of_a_statement(store: Database, tmp_path: Path) -> None:
    value = "'); DROP TABLE events; --"
    load(store, wrote(tmp_path / "1.csv", f'user_id,ts,shop\nann,2024-03-01,"{value}"\n'), context=("shop",))
    _, vocabulary = built(store, tmp_path / "arrays")
    assert vocabulary.codes["shop"] == [value]


# --- which become features -------------------------------------------------------------------------------------------


def test_a_category_is_coded_and_counted_in_the_features(
    store: Database, tmp_path: Path, log: Callable[..., Path]
) -> None:
    report = load(store, log("'c' || (i % 30)"), context=("c",))
    assert [one.check for one in report.checks if "context" in one.check] == []
    arrays, vocabulary = built(store, tmp_path / "arrays")
    assert arrays["c"].dtype == np.int16
    codes = np.asarray(arrays["c"])
    assert np.bincount(codes).tolist()[1:] == sorted(np.bincount(codes)[1:].tolist(), reverse=True)
    aggregates = fit_aggregates(arrays, vocabulary, 8)
    named = [name for name in aggregates.names if name.startswith("c=")]
    assert named == [f"c={value}" for value in vocabulary.codes["c"][:MAX_CODE_COLUMNS]]
    columns = [aggregates.names.index(name) for name in named]
    owner = np.repeat(np.arange(arrays.users), np.diff(arrays.offsets))
    expected = [np.log1p(np.bincount(owner[codes == code + 1], minlength=400)) for code in range(len(named))]
    assert np.allclose(aggregates.transform(arrays)[:, columns], np.column_stack(expected))


@pytest.mark.parametrize(
    "expression",
    [
        "'session' || i",  # one for each event
        "CASE WHEN i % 3 = 0 THEN 'session' || i END",  # where there is one
        "'household' || (i % 400)",  # one for each user
        "'visit' || (i // 2)",  # two events each, of different users
    ],
)
def test_an_identifier_is_left_out_with_a_line_of_its_figures(
    store: Database, tmp_path: Path, log: Callable[..., Path], expression: str
) -> None:
    report = load(store, log(expression), context=("c",))
    line = check(report, "identifier_context")
    ((rows, values, users),) = store.rows(
        "SELECT count(context_1), count(DISTINCT context_1), count(DISTINCT user_id) FILTER (context_1 IS NOT NULL) "
        "FROM events"
    )
    assert line.severity == "warning"
    assert line.message == (
        "c looks like an identifier and is left out of the features: "
        f"{values:,} different values in {rows:,} events of {users:,} users"
    )
    assert "c" not in coded_fields(store)
    arrays, vocabulary = built(store, tmp_path / "arrays")
    assert "c" not in vocabulary.codes
    assert "c" not in arrays.columns
    assert not any(name.startswith("c=") for name in fit_aggregates(arrays, vocabulary, 8).names)
    looked_at = pl.DataFrame({"user_id": ["u0", "u1"], "audience": [1, 0], "base": [0, 1]})
    counts = behaviour.behaviour_counts(store, looked_at, Cut(end_of_log(store)))
    assert "Context c" not in counts["title"].to_list()


def test_an_identifier_of_users_is_one_where_few_users_make_most_events(store: Database, tmp_path: Path) -> None:
    query = (
        "SELECT 'u' || n AS user_id, 'cookie' || n AS c, ts FROM (SELECT i % CASE WHEN i < 3000 THEN 10 ELSE 400 END AS n, "
        "TIMESTAMP '2024-03-01' + to_minutes(i) AS ts FROM range(4000) t(i))"
    )
    duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/log.parquet' (FORMAT parquet)")
    report = load(store, tmp_path / "log.parquet", context=("c",))
    assert check(report, "identifier_context").message.endswith("400 different values in 4,000 events of 400 users")


@pytest.mark.parametrize(
    "expression",
    [
        "'c' || (i % 300)",  # many values, each of many users
        "CASE WHEN i % 10 < 6 THEN 'shop' || (i % 10) ELSE 'tail' || i END",  # a long tail behind a few common values
        "NULL",
        "CASE WHEN i < 15 THEN 'c' || i END",  # few events have one
    ],
)
def test_a_category_of_many_values_is_no_identifier(store: Database, log: Callable[..., Path], expression: str) -> None:
    report = load(store, log(expression), context=("c",))
    assert check(report, "identifier_context") is None
    assert coded_fields(store)["c"] == "context_1"


@pytest.mark.parametrize("field", ["country", "device", "source"])
def test_a_mapped_context_field_is_looked_at_too(
    store: Database, tmp_path: Path, log: Callable[..., Path], field: str
) -> None:
    report = load(store, log("'click' || i"), mapping={field: "c"})
    assert check(report, "identifier_context").message.startswith(f"{field} looks like an identifier")
    arrays, vocabulary = built(store, tmp_path / "arrays")
    assert field not in vocabulary.codes
    assert field not in arrays.columns


def test_the_order_of_the_files_changes_neither_decision_nor_line(tmp_path: Path, log: Callable[..., Path]) -> None:
    # each file by itself would be a category; together they are not, and the other way round
    parts = [log("'v' || (i // 2)", f"part{n}", f"i % 2 = {n}") for n in range(2)] + [
        log("'w' || (i % 3)", "few", "i < 30")
    ]
    said = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        with database.open_file(tmp_path / f"{order}" / "lookalike.duckdb") as made:
            for place in order:
                report = load(made, parts[place], context=("c",))
            said.append((check(report, "identifier_context").message, sorted(coded_fields(made))))
    assert said[0] == said[1] == said[2]
    assert "c" not in said[0][1]


def test_a_decision_is_taken_back_when_later_files_speak_against_it(store: Database, log: Callable[..., Path]) -> None:
    load(store, log("'c' || i", "first", "i < 60"), context=("c",))
    assert "c" not in coded_fields(store)
    report = load(store, log("'c' || (i % 60)", "second", "i >= 60"))
    assert "c" in coded_fields(store)
    assert check(report, "identifier_context") is None


@pytest.mark.parametrize("name", ["email", "Last Name", "phone_number"])
def test_a_column_that_is_personal_by_name_is_left_out_however_few_its_values(
    store: Database, tmp_path: Path, name: str
) -> None:
    rows = "".join(f"u{i % 9},2024-03-01 00:00:{i:02},x{i % 3}\n" for i in range(60))
    report = load(store, wrote(tmp_path / "1.csv", f"user_id,ts,{name}\n{rows}"), context=(name,))
    line = check(report, "personal_context")
    assert (line.severity, line.rows) == ("warning", 60)
    assert line.message == f"{name} is personal by its name, and is left out of the features"
    assert name not in coded_fields(store)


def test_a_field_made_of_a_personal_column_is_left_out(store: Database, tmp_path: Path) -> None:
    text = "user_id,ts,e_mail\nann,2024-03-01,a\nbob,2024-03-02,b\n"
    report = load(store, wrote(tmp_path / "1.csv", text), mapping={"source": "e_mail"})
    assert check(report, "personal_context").message.startswith("source is made of e_mail,")
    assert "source" not in coded_fields(store)


def test_a_column_of_addresses_is_left_out_and_an_error_without_showing_one(
    store: Database, log: Callable[..., Path]
) -> None:
    report = load(store, log("'rep' || (i % 5) || '@example.com'"), context=("c",))
    assert check(report, "personal_context").message.startswith("c holds what looks like e-mail addresses")
    assert check(report, "personal_data_in_c").severity == "error"
    assert "example" not in str(report.as_dict())
    assert "c" not in coded_fields(store)


def test_a_file_that_stops_the_ingest_does_not_stop_the_decision(
    store: Database, tmp_path: Path, log: Callable[..., Path]
) -> None:
    bad = wrote(tmp_path / "zz.csv", "user_id,ts,c\n,2024-03-01,x\n")
    with pytest.raises(LookalikeError):
        load(store, log("'c' || (i % 5)"), bad, context=("c",))
    assert "c" in coded_fields(store)


def test_a_column_that_was_never_looked_at_is_not_coded(store: Database) -> None:
    from lookalike.data.ingest import context_columns

    context_columns.declare(store, ("c",))  # and killed
    assert "c" not in coded_fields(store)
    context_columns.decide_exclusions(store)
    assert "c" in coded_fields(store)


def test_the_fields_of_a_vocabulary_stay_whatever_was_found_since(store: Database, log: Callable[..., Path]) -> None:
    load(store, log("'c' || i"), context=("c",))
    assert coded_fields(store, ["event_type", "c"]) == {"event_type": "event_type", "c": "context_1"}


def test_a_training_looks_at_columns_that_an_interrupted_ingest_left_unseen(store: Database) -> None:
    store.connection.execute("INSERT INTO meta VALUES (?, 'not looked at yet'), (?, ?)", [
        database.EXCLUDED_PREFIX + "source", database.EXCLUDED_PREFIX + "country", context_columns._UNDECIDED])  # fmt: skip
    store.connection.execute("INSERT INTO events (user_id, ts, event_type, file_id) VALUES ('u', now(), 'view', 1)")
    assert "country" not in database.coded_fields(store)
    context_columns.decide_if_pending(store)
    assert "country" in database.coded_fields(store)
    before = database.coded_fields(store)
    context_columns.decide_if_pending(store)
    assert database.coded_fields(store) == before


def test_a_column_that_turns_personal_with_a_small_file_is_left_out_at_once(
    store: Database, log: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_columns, "_FEW_EVENTS", 0)
    load(store, log("'c' || (i % 5)"), context=("c",))
    assert "c" in coded_fields(store)
    rows = "".join(f"u{i},2024-03-01,p{i}@example.com\n" for i in range(10))
    report = load(store, wrote(tmp_path / "day.csv", "user_id,ts,c\n" + rows))
    assert [check.check for check in report.checks if check.check == "personal_context"] == ["personal_context"]
    assert "c" not in coded_fields(store)


def test_a_small_file_does_not_have_all_events_looked_at_again(
    store: Database, log: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_columns, "_FEW_EVENTS", 0)
    load(store, log("'c' || (i % 5)"), context=("c",))
    monkeypatch.setattr(context_columns, "_exclusions", lambda *_: pytest.fail("looked at all events"))
    load(store, wrote(tmp_path / "day.csv", "user_id,ts,c\nu1,2024-03-01,c1\n"))
    assert "c" in coded_fields(store)


def test_a_column_that_fills_with_a_small_file_is_judged_as_any(
    store: Database, log: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_columns, "_FEW_EVENTS", 0)
    load(store, log("'c' || (i % 5)"), context=("c",))
    rows = "".join(f"u{i},2024-03-01,token{i}\n" for i in range(100))
    report = load(store, wrote(tmp_path / "day.csv", "user_id,ts,source\n" + rows))
    assert check(report, "identifier_context") is not None
    assert "source" not in coded_fields(store)


def test_columns_of_a_log_that_has_grown_are_all_looked_at_again(
    store: Database, log: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_columns, "_FEW_EVENTS", 0)
    load(store, log("'c' || (i % 5)"), context=("c",))
    assert "c" in coded_fields(store)
    report = load(store, log("'token' || i", "second"))
    assert check(report, "identifier_context") is not None
    assert "c" not in coded_fields(store)

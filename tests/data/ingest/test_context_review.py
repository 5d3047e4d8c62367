"""Which context columns become features, and which are excluded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from log_files import find_check, ingest, write, write_parquet
from lookalike.data import behaviour
from lookalike.data.database import Cut, Database, coded_fields, end_of_log, open_file
from lookalike.data.ingest import context_review
from lookalike.embeddings.aggregates import MAX_CODE_COLUMNS, fit_aggregates
from lookalike.errors import LookalikeError
from planted_log import built

WriteLog = Callable[..., Path]


@pytest.fixture
def write_log(tmp_path: Path) -> WriteLog:
    """Writes 4,000 events of 400 users, with a further column `c` made by an expression of `i`."""

    def write_events(expression: str, name: str = "log", where: str = "true") -> Path:
        query = (
            f"SELECT 'u' || (i % 400) AS user_id, TIMESTAMP '2024-03-01' + to_minutes(i) AS ts, "
            f"'i' || (i % 9) AS item_id, {expression} AS c FROM range(4000) t(i) WHERE {where}"
        )
        return write_parquet(tmp_path / f"{name}.parquet", query)

    return write_events


@pytest.fixture
def large_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any log counts as so large that it is not looked at as a whole after every ingest."""
    monkeypatch.setattr(context_review, "_MAX_EVENTS_EACH_TIME", 0)


def test_a_category_is_coded_and_counted_in_the_features(
    database: Database, tmp_path: Path, write_log: WriteLog
) -> None:
    result = ingest(database, write_log("'c' || (i % 30)"), context=("c",))
    assert [check.check for check in result.checks if "context" in check.check] == []
    arrays, vocabulary = built(database, tmp_path / "arrays")
    assert arrays["c"].dtype == np.int16
    codes = np.asarray(arrays["c"])
    assert np.bincount(codes).tolist()[1:] == sorted(np.bincount(codes)[1:].tolist(), reverse=True)
    aggregates = fit_aggregates(arrays, vocabulary, 8)
    features = [name for name in aggregates.names if name.startswith("c=")]
    assert features == [f"c={value}" for value in vocabulary.codes["c"][:MAX_CODE_COLUMNS]]
    columns = [aggregates.names.index(name) for name in features]
    owner = np.repeat(np.arange(arrays.users), np.diff(arrays.offsets))
    expected = [np.log1p(np.bincount(owner[codes == code + 1], minlength=400)) for code in range(len(features))]
    assert np.allclose(aggregates.transform(arrays)[:, columns], np.column_stack(expected))


@pytest.mark.parametrize(
    "expression",
    [
        "'session' || i",
        "CASE WHEN i % 3 = 0 THEN 'session' || i END",
        "'household' || (i % 400)",
        "'visit' || (i // 2)",  # two events each, of different users
    ],
    ids=["one for each event", "one for some events", "one for each user", "one for two events"],
)
def test_an_identifier_is_excluded_with_its_figures(
    database: Database, tmp_path: Path, write_log: WriteLog, expression: str
) -> None:
    result = ingest(database, write_log(expression), context=("c",))
    check = find_check(result, "identifier_context")
    ((rows, values, users),) = database.rows(
        "SELECT count(context_1), count(DISTINCT context_1), count(DISTINCT user_id) FILTER (context_1 IS NOT NULL) "
        "FROM events"
    )
    assert (check.severity, check.column) == ("warning", "c")
    assert (check.rows, check.values, check.users, check.share) == (rows, values, users, values / rows)
    assert "c" not in coded_fields(database)
    arrays, vocabulary = built(database, tmp_path / "arrays")
    assert "c" not in vocabulary.codes
    assert "c" not in arrays.columns
    assert not any(name.startswith("c=") for name in fit_aggregates(arrays, vocabulary, 8).names)
    groups = pl.DataFrame({"user_id": ["u0", "u1"], "audience": [1, 0], "base": [0, 1]})
    counts = behaviour.behaviour_counts(database, groups, Cut(end_of_log(database)))
    assert "Context c" not in counts["title"].to_list()


def test_an_identifier_of_users_is_recognised_where_few_users_make_most_events(
    database: Database, tmp_path: Path
) -> None:
    query = (
        "SELECT 'u' || n AS user_id, 'cookie' || n AS c, ts FROM (SELECT i % CASE WHEN i < 3000 THEN 10 ELSE 400 END AS n, "
        "TIMESTAMP '2024-03-01' + to_minutes(i) AS ts FROM range(4000) t(i))"
    )
    result = ingest(database, write_parquet(tmp_path / "log.parquet", query), context=("c",))
    check = find_check(result, "identifier_context")
    assert (check.values, check.rows, check.users) == (400, 4000, 400)


@pytest.mark.parametrize(
    "expression",
    [
        "'c' || (i % 300)",
        "CASE WHEN i % 10 < 6 THEN 'shop' || (i % 10) ELSE 'tail' || i END",
        "NULL",
        "CASE WHEN i < 15 THEN 'c' || i END",
    ],
    ids=["many values of many users", "a long tail behind common values", "no values", "few events with a value"],
)
def test_a_category_of_many_values_is_no_identifier(database: Database, write_log: WriteLog, expression: str) -> None:
    result = ingest(database, write_log(expression), context=("c",))
    assert find_check(result, "identifier_context") is None
    assert coded_fields(database)["c"] == "context_1"


@pytest.mark.parametrize("field", ["country", "device", "source"])
def test_a_mapped_context_field_is_reviewed_too(
    database: Database, tmp_path: Path, write_log: WriteLog, field: str
) -> None:
    result = ingest(database, write_log("'click' || i"), mapping={field: "c"})
    assert find_check(result, "identifier_context").column == field
    arrays, vocabulary = built(database, tmp_path / "arrays")
    assert field not in vocabulary.codes
    assert field not in arrays.columns


def test_the_order_of_the_files_changes_neither_the_decision_nor_its_figures(
    tmp_path: Path, write_log: WriteLog
) -> None:
    # each file by itself would be a category; together they are not, and the other way round
    halves = [write_log("'v' || (i // 2)", f"half{n}", f"i % 2 = {n}") for n in range(2)]
    files = [*halves, write_log("'w' || (i % 3)", "few", "i < 30")]
    outcomes = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        with open_file(tmp_path / f"{order}" / "lookalike.duckdb") as database:
            for place in order:
                result = ingest(database, files[place], context=("c",))
            outcomes.append((find_check(result, "identifier_context"), sorted(coded_fields(database))))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][0] is not None
    assert "c" not in outcomes[0][1]


def test_a_decision_is_reversed_when_later_files_contradict_it(database: Database, write_log: WriteLog) -> None:
    ingest(database, write_log("'c' || i", "first", "i < 60"), context=("c",))
    assert "c" not in coded_fields(database)
    result = ingest(database, write_log("'c' || (i % 60)", "second", "i >= 60"))
    assert "c" in coded_fields(database)
    assert find_check(result, "identifier_context") is None


@pytest.mark.parametrize("name", ["email", "Last Name", "phone_number"])
def test_a_column_that_is_personal_by_name_is_excluded_however_few_its_values(
    database: Database, tmp_path: Path, name: str
) -> None:
    rows = "".join(f"u{i % 9},2024-03-01 00:00:{i:02},x{i % 3}\n" for i in range(60))
    result = ingest(database, write(tmp_path / "1.csv", f"user_id,ts,{name}\n{rows}"), context=(name,))
    check = find_check(result, "personal_context")
    assert (check.severity, check.rows, check.column, check.personal_names) == ("warning", 60, name, (name,))
    assert name not in coded_fields(database)


def test_a_field_read_from_a_personal_column_is_excluded(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts,e_mail\nann,2024-03-01,a\nbob,2024-03-02,b\n"
    result = ingest(database, write(tmp_path / "1.csv", text), mapping={"source": "e_mail"})
    check = find_check(result, "personal_context")
    assert (check.column, check.personal_names) == ("source", ("e_mail",))
    assert "source" not in coded_fields(database)


def test_a_column_of_addresses_is_excluded_and_an_error_that_shows_none(
    database: Database, write_log: WriteLog
) -> None:
    result = ingest(database, write_log("'rep' || (i % 5) || '@example.com'"), context=("c",))
    check = find_check(result, "personal_context")
    assert (check.column, check.personal_names) == ("c", ())
    assert find_check(result, "personal_data").column == "c"
    assert find_check(result, "personal_data").severity == "error"
    assert "example" not in str(result.as_json())
    assert "c" not in coded_fields(database)


def test_a_file_that_stops_the_ingest_does_not_stop_the_review(
    database: Database, tmp_path: Path, write_log: WriteLog
) -> None:
    bad = write(tmp_path / "zz.csv", "user_id,ts,c\n,2024-03-01,x\n")
    with pytest.raises(LookalikeError):
        ingest(database, write_log("'c' || (i % 5)"), bad, context=("c",))
    assert "c" in coded_fields(database)


def test_the_fields_of_a_vocabulary_stay_whatever_was_decided_since(database: Database, write_log: WriteLog) -> None:
    ingest(database, write_log("'c' || i"), context=("c",))
    assert coded_fields(database, ["event_type", "c"]) == {"event_type": "event_type", "c": "context_1"}


@pytest.mark.usefixtures("large_log")
def test_a_column_that_turns_personal_with_a_small_file_is_excluded_at_once(
    database: Database, write_log: WriteLog, tmp_path: Path
) -> None:
    ingest(database, write_log("'c' || (i % 5)"), context=("c",))
    assert "c" in coded_fields(database)
    rows = "".join(f"u{i},2024-03-01,p{i}@example.com\n" for i in range(10))
    result = ingest(database, write(tmp_path / "day.csv", "user_id,ts,c\n" + rows))
    assert [check.check for check in result.checks if check.check == "personal_context"] == ["personal_context"]
    assert "c" not in coded_fields(database)


@pytest.mark.usefixtures("large_log")
def test_after_a_small_file_not_all_events_are_looked_at_again(
    database: Database, write_log: WriteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(database, write_log("'c' || (i % 5)"), context=("c",))
    monkeypatch.setattr(context_review, "_exclusions", lambda *_: pytest.fail("looked at all events"))
    ingest(database, write(tmp_path / "day.csv", "user_id,ts,c\nu1,2024-03-01,c1\n"))
    assert "c" in coded_fields(database)


@pytest.mark.usefixtures("large_log")
def test_a_column_that_gets_its_first_values_with_a_small_file_is_reviewed_as_any(
    database: Database, write_log: WriteLog, tmp_path: Path
) -> None:
    ingest(database, write_log("'c' || (i % 5)"), context=("c",))
    rows = "".join(f"u{i},2024-03-01,token{i}\n" for i in range(100))
    result = ingest(database, write(tmp_path / "day.csv", "user_id,ts,source\n" + rows))
    assert find_check(result, "identifier_context") is not None
    assert "source" not in coded_fields(database)


@pytest.mark.usefixtures("large_log")
def test_all_events_of_a_log_that_has_grown_are_looked_at_again(database: Database, write_log: WriteLog) -> None:
    ingest(database, write_log("'c' || (i % 5)"), context=("c",))
    assert "c" in coded_fields(database)
    result = ingest(database, write_log("'token' || i", "second"))
    assert find_check(result, "identifier_context") is not None
    assert "c" not in coded_fields(database)

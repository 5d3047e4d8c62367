"""Checks: each one reports its finding, and none reports anything about a sound log."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from log_files import find_check, ingest, write, write_parquet
from lookalike.data.database import Database
from lookalike.data.ingest.results import IngestResult
from lookalike.reporting.ingest_messages import check_sentence

SOUND_LOG = """SELECT 'u' || (i * 7919 % 1500) AS user_id, ['view', 'buy'][1 + (i % 2)::INTEGER] AS event_type,
               now()::TIMESTAMP - INTERVAL 1 HOUR - to_minutes(i * 4) AS ts, 'i' || (i % 50) AS item_id, 1.5 AS value
               FROM range(15000) t(i)"""
WITH_ROBOT = "CASE WHEN i % 50 = 0 THEN 'bot' ELSE 'u' || (i * 7919 % 1500) END"

Ingest = Callable[..., IngestResult]


@pytest.fixture
def ingest_query(database: Database, tmp_path: Path) -> Ingest:
    """Ingests the result of a query as a log."""

    def ingest_log(query: str, **tables: Path) -> IngestResult:
        return ingest(database, write_parquet(tmp_path / "log.parquet", query), **tables)

    return ingest_log


def severities(result: IngestResult) -> dict[str, str]:
    return {check.check: check.severity for check in result.checks}


def test_a_sound_log_has_nothing_to_report(ingest_query: Ingest) -> None:
    result = ingest_query(SOUND_LOG)
    assert result.checks == ()
    assert (result.totals.events, result.totals.users, result.totals.items) == (15000, 1500, 50)


def test_one_very_busy_user_is_a_warning(ingest_query: Ingest) -> None:
    result = ingest_query(SOUND_LOG.replace("'u' || (i * 7919 % 1500)", WITH_ROBOT))
    assert severities(result) == {"heavy_user": "warning"}
    (check,) = result.checks
    assert (check.rows, check.share, check.share_of) == (300, 0.02, "ingest")
    assert "bot" not in str(check)


def test_missing_and_thin_days_are_a_warning(ingest_query: Ingest) -> None:
    kept = "ts::DATE <> current_date - 10 AND NOT (ts::DATE = current_date - 20 AND hour(ts) > 5)"
    result = ingest_query(f"SELECT * FROM ({SOUND_LOG}) WHERE {kept}")
    assert severities(result) == {"thin_days": "warning"}
    (check,) = result.checks
    assert check.rows == len(check.days) == 2
    assert check.days[1] - check.days[0] == timedelta(days=10)
    assert check.days_checked > 30


def test_a_day_off_every_week_is_not_thin(ingest_query: Ingest) -> None:
    assert severities(ingest_query(f"SELECT * FROM ({SOUND_LOG}) WHERE isodow(ts) <> 7")) == {}


def test_unknown_items_that_the_table_spells_otherwise_are_counted(ingest_query: Ingest, tmp_path: Path) -> None:
    query = "SELECT CASE WHEN i < 10 THEN 'I' || i ELSE 'x' || i END AS item_id, 'a' AS colour FROM range(50) t(i)"
    result = ingest_query(SOUND_LOG, items=write_parquet(tmp_path / "items.parquet", query))
    check = find_check(result, "unknown_items")
    assert (check.rows, check.ways) == (15_000, {"capitals": 10})
    assert check_sentence(check).endswith("10 of these items it has in another spelling (10 in capitals)")


def test_events_about_unknown_items_are_counted(ingest_query: Ingest, tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,colour\n" + "".join(f"i{i},red\n" for i in range(40)))
    result = ingest_query(SOUND_LOG, items=items)
    assert severities(result) == {"unknown_items": "warning"}
    assert result.checks[0].rows == 3000


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("user_id || '@example.com'", "email_addresses"),
        ("'+49 151 ' || (10000000 + user_id[2:]::INTEGER)", "phone_numbers"),
    ],
)
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_personal_data_in_a_column_is_an_error_that_names_it(
    ingest_query: Ingest, column: str, value: str, content: str
) -> None:
    result = ingest_query(f"SELECT * REPLACE ({value} AS {column}) FROM ({SOUND_LOG})")
    assert severities(result) == {"personal_data": "error"}
    (check,) = result.checks
    assert (check.column, check.content) == (column, content)
    assert "example" not in str(result.as_json())


def test_negative_values_and_a_constant_type_are_notes(ingest_query: Ingest) -> None:
    columns = "CASE WHEN hour(ts) = 3 THEN -1 ELSE 1 END AS value, 'x' AS event_type"
    result = ingest_query(f"SELECT * REPLACE ({columns}) FROM ({SOUND_LOG})")
    assert severities(result) == {"negative_values": "note", "constant_event_type": "note"}
    assert find_check(result, "constant_event_type").event_type == "x"


def test_an_old_log_without_items_is_reported(ingest_query: Ingest) -> None:
    result = ingest_query(f"SELECT user_id, ts - INTERVAL 400 DAY AS ts, event_type FROM ({SOUND_LOG})")
    assert severities(result) == {"no_items": "warning", "stale_log": "note"}
    assert find_check(result, "stale_log").days == 400


def test_a_stray_event_long_after_the_others_is_a_warning(ingest_query: Ingest) -> None:
    before = f"SELECT * REPLACE (ts - INTERVAL 500 DAY AS ts) FROM ({SOUND_LOG})"
    stray = f"{before} UNION ALL (SELECT * FROM ({SOUND_LOG}) ORDER BY ts DESC LIMIT 1)"
    check = find_check(ingest_query(stray), "stray_events")
    assert (check.severity, check.rows, check.days) == ("warning", 1, 500)
    assert (datetime.now(UTC).date() - check.last).days in (500, 501)


def test_a_shop_that_was_closed_for_months_has_no_stray_events(ingest_query: Ingest) -> None:
    later = f"SELECT * FROM ({SOUND_LOG}) UNION ALL SELECT * REPLACE (ts - INTERVAL 500 DAY AS ts) FROM ({SOUND_LOG})"
    assert "stray_events" not in severities(ingest_query(later))


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize(
    "rounded",
    [
        "'1.23' || ({0}[2:]::INT % 3) || '57E+15'",  # a spreadsheet's
        "'1,23' || ({0}[2:]::INT % 3) || '57E+15'",
        "(9007199254740992 + {0}[2:]::INT * 2)::DOUBLE",
        "'123456789012' || lpad({0}[2:], 3, '0') || '0000'",  # 15 digits kept
    ],
)
def test_rounded_ids_are_an_error(ingest_query: Ingest, column: str, rounded: str) -> None:
    result = ingest_query(f"SELECT * REPLACE ({rounded.format(column)} AS {column}) FROM ({SOUND_LOG})")
    check = find_check(result, "rounded_ids")
    assert (check.severity, check.column) == ("error", column)
    assert check.rows == result.totals.events


@pytest.mark.parametrize(
    "exact", ["'12' || {0}[2:] || 'e10'", "'98765432101234567' || {0}[2:]", "{0}[2:]::DOUBLE", "uuid()"]
)
def test_long_and_odd_ids_are_not_rounded(ingest_query: Ingest, exact: str) -> None:
    result = ingest_query(f"SELECT * REPLACE ({exact.format('item_id')} AS item_id) FROM ({SOUND_LOG})")
    assert "rounded_ids" not in severities(result)


def test_many_rows_without_a_user_load_with_a_loud_warning(database: Database, tmp_path: Path) -> None:
    text = "user_id,ts\n" + "".join(f"{'' if i % 3 else i + 1},2024-01-01 00:00:{i:02}\n" for i in range(60))
    result = ingest(database, write(tmp_path / "a.csv", text))
    assert result.totals.events == 20
    check = find_check(result, "null_users")
    assert (check.severity, check.rows, check.share) == ("error", 40, 40 / 60)


def test_a_day_is_judged_by_itself_and_by_the_days_before(ingest_query: Ingest) -> None:
    ingest_query(SOUND_LOG)
    day = "SELECT 'u' || i AS user_id, 'buy' AS event_type, now()::TIMESTAMP - INTERVAL 1 MINUTE AS ts, 'i1' AS item_id"
    # a single type of event within a day is not reported
    assert severities(ingest_query(f"{day}, 2.5 AS value FROM range(50) t(i)")) == {}
    assert severities(ingest_query(f"{day}, -1.0 AS value FROM range(50) t(i)")) == {"negative_values": "warning"}
    # reported once, with the day that had them
    assert severities(ingest_query(f"{day}, 2.6 AS value FROM range(50) t(i)")) == {}
    with_addresses = day.replace("i AS", "i || '@example.com' AS")
    result = ingest_query(f"{with_addresses}, 2.7 AS value FROM range(50) t(i)")
    assert severities(result) == {"personal_data": "error"}


def test_a_small_file_reports_its_own_thin_days_and_no_busy_user(ingest_query: Ingest) -> None:
    before = f"SELECT * FROM ({SOUND_LOG}) WHERE ts < current_date - 3 AND ts::DATE <> current_date - 20"
    assert severities(ingest_query(before)) == {"thin_days": "warning"}

    def ingest_days(first: int, last: int, condition: str) -> IngestResult:
        span = f"ts >= current_date - {first} AND ts < current_date - {last}"
        return ingest_query(f"SELECT * FROM ({SOUND_LOG}) WHERE {span} AND {condition}")

    (check,) = ingest_days(3, 0, "ts::DATE <> current_date - 2").checks  # the last day is cut short
    assert (check.check, check.rows) == ("thin_days", 1)
    few_users = ingest_days(2, 1, "user_id < 'u2'")
    assert [check.check for check in few_users.checks] == ["thin_days"]

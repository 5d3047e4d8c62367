"""Checks: each one speaks when there is something to say, and is silent on a sound log."""

from pathlib import Path

import duckdb
import pytest

from lookalike.data.database import open_file
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import IngestResult
from lookalike.workspace.progress import QuietProgress

SOUND = """SELECT 'u' || (i * 7919 % 1500) AS user_id, ['view', 'buy'][1 + (i % 2)::INTEGER] AS event_type,
           now()::TIMESTAMP - INTERVAL 1 HOUR - to_minutes(i * 4) AS ts, 'i' || (i % 50) AS item_id, 1.5 AS value
           FROM range(15000) t(i)"""
BOT = "CASE WHEN i % 50 = 0 THEN 'bot' ELSE 'u' || (i * 7919 % 1500) END"


@pytest.fixture
def made(tmp_path):
    """Ingests the result of a query as a log."""

    def make(query: str, **tables: Path) -> IngestResult:
        duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/log.parquet' (FORMAT parquet)")
        with open_file(tmp_path / "lookalike.duckdb") as store:
            return ingest_files(store, [tmp_path / "log.parquet"], IngestOptions(**tables), QuietProgress())

    return make


def found(report: IngestResult) -> dict[str, str]:
    return {check.check: check.severity for check in report.checks}


def test_a_sound_log_has_nothing_to_report(made):
    report = made(SOUND)
    assert report.checks == []
    assert (report.totals.events, report.totals.users, report.totals.items) == (15000, 1500, 50)


def test_one_very_busy_user_is_a_warning(made):
    report = made(SOUND.replace("'u' || (i * 7919 % 1500)", BOT))
    assert found(report) == {"heavy_user": "warning"}
    assert "bot" not in report.checks[0].message.replace("robot", "")


def test_missing_and_thin_days_are_a_warning(made):
    kept = "ts::DATE <> current_date - 10 AND NOT (ts::DATE = current_date - 20 AND hour(ts) > 5)"
    gap = made(f"SELECT * FROM ({SOUND}) WHERE {kept}")
    assert found(gap) == {"thin_days": "warning"}
    assert gap.checks[0].rows == 2


def test_a_day_off_every_week_is_no_thin_day(made):
    assert found(made(f"SELECT * FROM ({SOUND}) WHERE isodow(ts) <> 7")) == {}


def test_events_about_unknown_items_are_counted(made, tmp_path):
    (tmp_path / "items.csv").write_text("item_id,colour\n" + "".join(f"i{i},red\n" for i in range(40)))
    report = made(SOUND, items=tmp_path / "items.csv")
    assert found(report) == {"unknown_items": "warning"}
    assert report.checks[0].rows == 3000


@pytest.mark.parametrize("value", ["user_id || '@example.com'", "'+49 151 ' || (10000000 + user_id[2:]::INTEGER)"])
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_personal_data_in_a_column_is_an_error_and_named(made, column, value):
    report = made(f"SELECT * REPLACE ({value} AS {column}) FROM ({SOUND})")
    assert found(report) == {f"personal_data_in_{column}": "error"}
    assert "example" not in str(report.as_dict())


def test_negative_values_and_a_constant_type_are_notes(made):
    changed = "CASE WHEN hour(ts) = 3 THEN -1 ELSE 1 END AS value, 'x' AS event_type"
    report = made(f"SELECT * REPLACE ({changed}) FROM ({SOUND})")
    assert found(report) == {"negative_values": "note", "constant_event_type": "note"}


def test_an_old_log_without_items_says_so(made):
    report = made(f"SELECT user_id, ts - INTERVAL 400 DAY AS ts, event_type FROM ({SOUND})")
    assert found(report) == {"no_items": "warning", "stale_log": "note"}


def test_ids_that_a_program_wrote_as_decimals_are_a_warning(made):
    assert found(made(f"SELECT * REPLACE (user_id[2:] || '.0' AS user_id) FROM ({SOUND}) WHERE user_id <> 'u0'")) == {
        "decimal_user_ids": "warning"
    }


@pytest.mark.parametrize("killed", [False, True])
def test_the_totals_of_many_days_are_those_of_one_log(made, tmp_path, killed):
    """Whatever the order, also after an ingest that was killed before it had counted what it brought."""
    whole = made(SOUND).totals
    for part in (2, 0, 1):
        duckdb.connect().execute(
            f"COPY (SELECT * FROM '{tmp_path}/log.parquet' WHERE hash(ts) % 3 = {part}) TO '{tmp_path}/part{part}.parquet'"
        )
        with open_file(tmp_path / "daily.duckdb") as store:
            report = ingest_files(store, [tmp_path / f"part{part}.parquet"], IngestOptions(), QuietProgress())
            if killed and part == 0:  # as if the third file were the first that is counted
                for table in ("seen_users", "seen_items", "days"):
                    store.connection.execute(f"DELETE FROM {table}")
                store.connection.execute("UPDATE meta SET value = '0' WHERE key = 'tallied'")
    assert report.totals == whole
    assert report.checks == []


def test_a_day_is_judged_by_itself_and_by_the_days_before(made, tmp_path):
    made(SOUND)

    def day(query: str) -> dict[str, str]:
        duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/day.parquet' (FORMAT parquet)")
        with open_file(tmp_path / "lookalike.duckdb") as store:
            return found(ingest_files(store, [tmp_path / "day.parquet"], IngestOptions(), QuietProgress()))

    new = "SELECT 'u' || i AS user_id, 'buy' AS event_type, now()::TIMESTAMP - INTERVAL 1 MINUTE AS ts, 'i1' AS item_id"
    assert day(f"{new}, 2.5 AS value FROM range(50) t(i)") == {}  # one type of event a day is no constant
    assert day(f"{new}, -1.0 AS value FROM range(50) t(i)") == {"negative_values": "warning"}
    assert day(f"{new}, 2.6 AS value FROM range(50) t(i)") == {}  # said once, of the day that had them
    mail = new.replace("i AS", "i || '@example.com' AS")
    assert day(f"{mail}, 2.7 AS value FROM range(50) t(i)") == {"personal_data_in_user_id": "error"}


def test_a_day_speaks_of_its_own_thin_days_and_not_of_customers_on_a_quiet_day(made, tmp_path):
    whole = f"SELECT * FROM ({SOUND}) WHERE ts < current_date - 3 AND ts::DATE <> current_date - 20"
    assert found(made(whole)) == {"thin_days": "warning"}

    def came(first: int, last: int, kept: str = "true") -> IngestResult:
        day = f"SELECT * FROM ({SOUND}) WHERE ts >= current_date - {first} AND ts < current_date - {last} AND {kept}"
        duckdb.connect().execute(f"COPY ({day}) TO '{tmp_path}/day.parquet' (FORMAT parquet)")
        with open_file(tmp_path / "lookalike.duckdb") as store:
            return ingest_files(store, [tmp_path / "day.parquet"], IngestOptions(), QuietProgress())

    (check,) = came(3, 0, "ts::DATE <> current_date - 2").checks  # and yesterday is cut short
    assert (check.check, check.rows) == ("thin_days", 1)
    few = came(2, 1, "user_id < 'u2'")  # and none of them a robot
    assert [check.check for check in few.checks] == ["thin_days"]

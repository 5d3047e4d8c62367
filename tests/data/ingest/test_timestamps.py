"""Times: every way in which a log may write them, and what must not be guessed."""

from datetime import UTC, datetime

import duckdb
import pytest

from lookalike.data.ingest import timestamps
from lookalike.errors import DataError

NOON = datetime(2024, 3, 1, 12, 0, 0)


def read(values: list[str], kind: str = "VARCHAR", timezone: str = "UTC") -> tuple[str, list[datetime | None]]:
    """The label of the format that is detected in a column, and its times."""
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{timezone}'")
    connection.execute(f"CREATE TABLE t (seen {kind})")
    connection.executemany("INSERT INTO t VALUES (?)", [[value] for value in values])
    time = timestamps.detect_format(timestamps.TimeColumn(connection, "t", "seen", kind, "log.csv"), timezone)
    return time.label, [row[0] for row in connection.execute(f"SELECT {time.expression} FROM t").fetchall()]


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T12:00:00Z", "2024-03-01 12:00:00", "2024-03-01T12:00:00", "2024-03-01 12:00", "2024/03/01 12:00:00",
        "2024-03-01 12:00:00.000000", "2024-03-01 12:00:00,000",
        "2024-03-01T12:00:00.000000001Z", "2024-03-01 12:00:00 UTC",
        "2024-03-01T14:00:00+02:00", "2024-03-01 14:00:00 +0200", "2024-03-01 14:00:00+0200", "2024-03-01 10:00:00-02",
        "2024-03-01 13:00:00 Europe/Berlin", "1709294400", "1709294400.0", "1709294400000", "1709294400000000",
        "1709294400000000000", "20240301120000", "2024-03-01 12:00:00 PM", "01 Mar 2024 12:00:00",
        "Mar 1, 2024 12:00 PM",
        "Fri, 01 Mar 2024 12:00:00 GMT", "2024.03.01 12:00:00",
    ],
)  # fmt: skip
def test_every_way_to_write_a_time_is_the_same_moment(text: str) -> None:
    assert read([text])[1] == [NOON]


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("25/12/2023 08:00", "01/03/2024 12:00"), ("12/25/2023 8:00", "3/1/2024 12:00"),
        ("25.12.2023", "01.03.2024 12:00"),
        ("12/25/23 8:00 AM", "3/1/24 12:00 PM"), ("25-12-2023 08:00:00", "01-03-2024 12:00:00"),
        ("12/25/2023, 8:00:00 AM", "3/1/2024, 12:00:00 PM"), ("25/12/2023 08:00:00.5", "01/03/2024 12:00:00.0"),
    ],
)  # fmt: skip
def test_one_date_that_tells_day_from_month_decides_for_all(first: str, text: str) -> None:
    assert read([first, text])[1][1] == NOON


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE", "DECIMAL(20,3)", "HUGEINT", "UBIGINT"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_numbers_are_read_in_the_unit_of_their_magnitude(kind: str, unit: str) -> None:
    if (kind, unit) == ("DECIMAL(20,3)", "ns"):
        pytest.skip("19 digits do not fit")
    label, times = read([str(1_709_294_400 * timestamps.UNITS[unit])], kind)
    assert label == f"epoch in {unit}"
    assert times == [NOON]


def test_fractions_of_a_second_survive() -> None:
    assert read(["1709294400.123456"])[1] == [NOON.replace(microsecond=123456)]
    assert read(["1709294400123456789"])[1] == [NOON.replace(microsecond=123456)]
    assert read(["1709294400123456789"], "BIGINT")[1] == [NOON.replace(microsecond=123456)]


def test_a_small_unsigned_column_holds_seconds_without_overflow() -> None:
    assert read(["1709294400"], "UINTEGER")[1] == [NOON]
    assert read(["1709294400"], "INTEGER")[1] == [NOON]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
def test_local_times_are_read_in_the_given_zone(kind: str) -> None:
    assert read(["2024-03-01 13:00:00"], kind, "Europe/Berlin")[1] == [NOON]
    assert read(["2024-03-01 13:00:00"], "VARCHAR", "Europe/Berlin")[1] == [NOON]
    assert read(["25.12.2023 13:00", "01.03.2024 13:00"], "VARCHAR", "Europe/Berlin")[1][1] == NOON
    assert read(["20240301"], "INTEGER", "America/New_York")[1] == [datetime(2024, 3, 1, 5)]


def test_times_with_a_zone_ignore_the_given_one() -> None:
    assert read(["2024-03-01 12:00:00+00"], "TIMESTAMP WITH TIME ZONE", "Asia/Tokyo")[1] == [NOON]
    assert read(["2024-03-01T12:00:00Z", "2024-03-01 21:00:00"], "VARCHAR", "Asia/Tokyo")[1] == [NOON, NOON]


def test_hours_that_exist_twice_or_not_at_all_are_read_alike_in_every_format() -> None:
    twice, never = "2020-10-25 02:30:00", "2020-03-29 02:30:00"
    for kind in ("VARCHAR", "TIMESTAMP"):
        assert read([twice, never], kind, "Europe/Berlin")[1] == [
            datetime(2020, 10, 25, 1, 30),
            datetime(2020, 3, 29, 1, 30),
        ]


@pytest.mark.parametrize(
    "text", ["infinity", "epoch", "1e300", "nan", "-5", "2024-02-30", "99999999999999999999999", "now"]
)
def test_text_that_is_not_a_time_is_null_or_rejected(text: str) -> None:
    for good in ("2024-03-01 12:00:00", "1709294400"):
        *first_two, last = read([good, good, text])[1]
        assert first_two == [NOON, NOON]
        assert last is None or not datetime(2000, 1, 1) <= last <= datetime.now(UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["01/02/2024", "03/04/2024"], "may be day/month or month/day"),
        (["13/02/2024", "02/13/2024"], "some dates have the day first"),
        (["1709294400", "1709294400000"], "mix units: 1 in s, 1 in ms"),
        (["soon"], "cannot be read"),
        (["17"], "are not times after 2000"),
    ],
)
def test_times_that_can_only_be_guessed_are_refused(values: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read(values)
    assert raised.value.message.startswith("log.csv: column seen: ")
    assert raised.value.hint

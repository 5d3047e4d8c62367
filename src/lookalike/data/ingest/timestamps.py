"""How a file writes its times, and the SQL that converts them to UTC.

Traps of DuckDB that shape this module:

- A cast to TIMESTAMP silently drops an offset and 'PM'. Text therefore goes through TIMESTAMPTZ, which reads offsets
  and takes text without one in the time zone of the session.
- A TIMESTAMPTZ that reaches Python needs pytz, so none does.
- ICU's rules: a local time that exists twice (clocks set back) is the later of the two; one that does not exist (clocks
  set forward) is read with the offset before the change.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.errors import DataError

# Unit of an epoch -> how many make a second. The ranges of the years 2000 to 2100 do not overlap.
UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_YEAR_2000, _YEAR_2100 = 946_684_800, 4_102_444_800  # seconds since 1970
_COMPACT_FORMATS: Final = {"YYYYMMDD": "%Y%m%d", "YYYYMMDDhhmmss": "%Y%m%d%H%M%S"}
_SAMPLE_SIZE = 2_000

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DATE = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?|(?![AP]M$)[A-Z][\w/+-]+)"
_ISO = re.compile(f"{_DATE}( ?{_ZONE})?", re.IGNORECASE)
_ISO_WITH_ZONE = re.compile(f"{_DATE} ?{_ZONE}", re.IGNORECASE)
_CLOCK = r"(?:[ T,]+\d{1,2}:\d{2}(?P<seconds>:\d{2})?(?P<fraction>\.\d+)?(?P<half> ?[AaPp][Mm])?)?"
_DAY_MONTH = re.compile(r"\d{1,2}(?P<mark>[/.-])\d{1,2}(?P=mark)(?P<year>\d{4}|\d{2})" + f"(?P<clock>{_CLOCK})")

_OTHER_FORMATS: Final = (
    "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%d-%b-%Y %H:%M:%S", "%d-%b-%Y", "%d-%b-%y",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p", "%b %d, %Y %I:%M %p", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y.%m.%d %H:%M:%S", "%Y.%m.%d",
)  # fmt: skip


@dataclass(frozen=True)
class TimeFormat:
    label: str  # for people
    expression: str  # SQL: the time in UTC as TIMESTAMP, NULL where a value cannot be read
    unit: str = ""  # of an epoch
    assumes_zone: bool = False  # some values name no zone and are read in the one that was given


@dataclass(frozen=True)
class TimeColumn:
    """The time column of one file, before its format is known."""

    connection: duckdb.DuckDBPyConnection
    scan: str
    name: str
    kind: str
    file_name: str

    @property
    def text(self) -> str:
        return f"trim({quoted(self.name)}::VARCHAR)"

    def sample(self) -> list[str]:
        query = f"SELECT t FROM (SELECT {self.text} AS t FROM {self.scan}) WHERE t <> '' LIMIT {_SAMPLE_SIZE}"
        return [row[0] for row in self.connection.execute(query).fetchall()]

    def error(self, problem: str, hint: str) -> DataError:
        return DataError(f"{self.file_name}: column {self.name}: {problem}", hint)


def detect_format(column: TimeColumn, timezone: str) -> TimeFormat:
    """How the column writes times.

    Raises DataError when the column holds no times, mixes units, or does not tell the day from the month.
    """
    kind = column.kind
    if kind == "TIMESTAMP WITH TIME ZONE":
        return TimeFormat("timestamps with a zone", f"make_timestamp(epoch_us({quoted(column.name)}))")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        label = "dates" if kind == "DATE" else "timestamps"
        expression = local_to_utc(f"{quoted(column.name)}::TIMESTAMP", timezone)
        return TimeFormat(f"{label}, read as {timezone}", expression, assumes_zone=True)
    values = column.sample()
    if not values:
        raise column.error("every time is empty", "name another column with --map ts=COLUMN")
    numbers = sum(bool(_NUMBER.fullmatch(value)) for value in values)
    if kind != "VARCHAR" or numbers > len(values) / 2:
        return _numeric_format(column, values, timezone)
    matches = [match for match in map(_DAY_MONTH.fullmatch, values) if match]
    if len(matches) > len(values) / 2:
        return _day_month_format(column, matches, timezone)
    if sum(bool(_ISO.fullmatch(value)) for value in values) > len(values) / 2:
        return _iso_format(column, values, timezone)
    return _other_format(column, timezone)


def local_to_utc(expression: str, timezone: str) -> str:
    """The TIMESTAMP expression, a local time of the zone, as UTC."""
    if timezone == "UTC":
        return expression
    return f"make_timestamp(epoch_us(timezone({sql.literal(timezone)}, {expression})))"


def unit_counts(column: TimeColumn) -> dict[str, int]:
    """How many values of the whole column are in the years 2000 to 2100 when read in each unit; units without any are
    left out."""
    number = f"abs(TRY_CAST({column.text} AS DOUBLE))"
    counts = ", ".join(
        f"count(*) FILTER (n BETWEEN {_YEAR_2000 * per_second} AND {_YEAR_2100 * per_second})"
        for per_second in UNITS.values()
    )
    row = column.connection.execute(f"SELECT {counts} FROM (SELECT {number} AS n FROM {column.scan})").fetchone()
    assert row is not None
    return {unit: count for unit, count in zip(UNITS, row, strict=True) if count}


def check_units(column: TimeColumn, counts: dict[str, int]) -> None:
    """Raises DataError when the values are of several units."""
    if len(counts) > 1:
        listed = ", ".join(f"{count:,} in {unit}" for unit, count in counts.items())
        raise column.error(f"the times mix units: {listed}", "write all of them in one unit, or split the file")


def _numeric_format(column: TimeColumn, values: list[str], timezone: str) -> TimeFormat:
    counts: Counter[str] = Counter()
    for value in filter(_NUMBER.fullmatch, values):
        number = abs(float(value))
        counts.update(
            unit for unit, per_second in UNITS.items() if _YEAR_2000 * per_second <= number <= _YEAR_2100 * per_second
        )
    check_units(column, {unit: counts[unit] for unit in UNITS if counts[unit]})
    if counts:
        unit = next(iter(counts))
        return TimeFormat(f"epoch in {unit}", _epoch(column, unit), unit)
    whole_numbers = {value.removesuffix(".0") for value in values}
    for label, pattern in _COMPACT_FORMATS.items():
        if all(len(number) == len(label) and number[:2] in ("19", "20") for number in whole_numbers):
            text = f"regexp_replace({column.text}, '\\.0$', '')"
            parsed = f"try_strptime({text}, {sql.literal(pattern)})"
            return TimeFormat(f"{label}, read as {timezone}", local_to_utc(parsed, timezone), assumes_zone=True)
    raise column.error(
        "these numbers are not times after 2000 in seconds, milli-, micro- or nanoseconds",
        "name another column with --map ts=COLUMN",
    )


def _epoch(column: TimeColumn, unit: str) -> str:
    name = quoted(column.name)
    if column.kind.endswith("INT") or column.kind == "BIGINT":
        microseconds = f"{name}::HUGEINT * {10**6 // UNITS[unit]}" if unit != "ns" else f"{name}::HUGEINT // 1000"
    elif unit == "ns" and column.kind == "VARCHAR":  # a double would lose microseconds
        microseconds = f"TRY_CAST({column.text} AS HUGEINT) // 1000"
    else:
        microseconds = f"round(TRY_CAST({name} AS DOUBLE) * {10**6 / UNITS[unit]!r})"
    return f"TRY(make_timestamp(TRY_CAST({microseconds} AS BIGINT)))"


def _iso_format(column: TimeColumn, values: list[str], timezone: str) -> TimeFormat:
    text = column.text
    if any(re.search(r"\d,\d", value) for value in values):
        text = f"replace({text}, ',', '.')"
    if any(re.search(r" [+-]\d\d", value) for value in values):
        text = f"regexp_replace({text}, ' ([+-]\\d\\d)', '\\1')"
    with_zone = sum(bool(_ISO_WITH_ZONE.fullmatch(value)) for value in values)
    zone = "with a zone" if with_zone == len(values) else f"read as {timezone}"
    if 0 < with_zone < len(values):
        zone += " where they name no zone"
    # The zone of the session is the caller's while a file is read.
    expression = f"TRY(make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))))"
    return TimeFormat(f"ISO text, {zone}", expression, assumes_zone=with_zone < len(values))


def _day_month_format(column: TimeColumn, matches: list[re.Match[str]], timezone: str) -> TimeFormat:
    first, second = _largest_parts(column)
    if first > 12 and second > 12:
        raise column.error(
            "some dates have the day first, some the month", "write the times as YYYY-MM-DD hh:mm:ss, or split the file"
        )
    if first <= 12 and second <= 12:
        raise column.error(
            "the dates may be day/month or month/day, and none in the file tells which",
            "write the times as YYYY-MM-DD hh:mm:ss",
        )
    day_first = first > 12
    patterns = [pattern for pattern, _ in Counter(_pattern(match, day_first) for match in matches).most_common()]
    text = f"regexp_replace({column.text}, '[ T,]+', ' ')"
    label = "day, month, year" if day_first else "month, day, year"
    parsed = f"try_strptime({text}, [{sql.literals(patterns)}])"
    return TimeFormat(f"{label}, read as {timezone}", local_to_utc(parsed, timezone), assumes_zone=True)


def _pattern(match: re.Match[str], day_first: bool) -> str:
    """The strptime pattern of one date."""
    mark = match["mark"]
    first, second = ("%d", "%m") if day_first else ("%m", "%d")
    date = f"{first}{mark}{second}{mark}{'%Y' if len(match['year']) == 4 else '%y'}"
    if not match["clock"]:
        return date
    hour = "%I" if match["half"] else "%H"
    half = "" if not match["half"] else " %p" if match["half"].startswith(" ") else "%p"
    return f"{date} {hour}:%M{':%S' if match['seconds'] else ''}{'.%f' if match['fraction'] else ''}{half}"


def _largest_parts(column: TimeColumn) -> tuple[int, int]:
    """The largest first and second number of the dates in the whole file."""
    part = "TRY_CAST(regexp_extract(t, '^(\\d{1,2})[/.-](\\d{1,2})[/.-]', %d) AS INTEGER)"
    row = column.connection.execute(
        f"SELECT max({part % 1}), max({part % 2}) FROM (SELECT {column.text} AS t FROM {column.scan})"
    ).fetchone()
    assert row is not None
    return row[0] or 0, row[1] or 0


def _other_format(column: TimeColumn, timezone: str) -> TimeFormat:
    """Dates with names of months, and other fixed formats: those that read a value of the sample, most values first."""
    counts = ", ".join(f"count(try_strptime(t, {sql.literal(pattern)}))" for pattern in _OTHER_FORMATS)
    values = f"SELECT t FROM (SELECT {column.text} AS t FROM {column.scan}) WHERE t <> '' LIMIT {_SAMPLE_SIZE}"
    row = column.connection.execute(f"SELECT {counts} FROM ({values})").fetchone()
    assert row is not None
    hits = sorted(((count, pattern) for count, pattern in zip(row, _OTHER_FORMATS, strict=True) if count), reverse=True)
    if not hits:
        raise column.error(
            "the times cannot be read", "write them as YYYY-MM-DD hh:mm:ss, or name another column with --map ts=COLUMN"
        )
    patterns = [pattern for _, pattern in hits]
    names_zone = patterns[0].endswith("GMT")
    zone = "UTC" if names_zone else timezone
    parsed = f"try_strptime({column.text}, [{sql.literals(patterns)}])"
    return TimeFormat(f"like {patterns[0]}, read as {zone}", local_to_utc(parsed, zone), assumes_zone=not names_zone)

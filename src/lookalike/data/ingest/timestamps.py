"""How a file writes its times, and the SQL that turns them into UTC.

Traps of DuckDB that shape this module: a cast to TIMESTAMP drops an offset, and 'PM', without a word, so text goes
through TIMESTAMPTZ, which reads offsets and takes text without one in the session's zone; a TIMESTAMPTZ that reaches
Python needs pytz, so none does. Where a local time exists twice (clocks set back) the later of the two is taken, and
one that does not exist (clocks set forward) is read with the offset before the change: ICU's rules.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.errors import DataError

# unit -> how many of it make a second. Their ranges for the years 2000 to 2100 do not overlap.
UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


_FIRST, _LAST = 946_684_800, 4_102_444_800


_COMPACT: Final = {"YYYYMMDD": "%Y%m%d", "YYYYMMDDhhmmss": "%Y%m%d%H%M%S"}


_SAMPLE = 2_000


_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


_DATE = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?"


_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?|(?![AP]M$)[A-Z][\w/+-]+)"


_ISO = re.compile(f"{_DATE}( ?{_ZONE})?", re.IGNORECASE)


_ZONED = re.compile(f"{_DATE} ?{_ZONE}", re.IGNORECASE)


_CLOCK = r"(?:[ T,]+\d{1,2}:\d{2}(?P<seconds>:\d{2})?(?P<fraction>\.\d+)?(?P<half> ?[AaPp][Mm])?)?"


_DAY_MONTH = re.compile(r"\d{1,2}(?P<mark>[/.-])\d{1,2}(?P=mark)(?P<year>\d{4}|\d{2})" + f"(?P<clock>{_CLOCK})")


_NAMED: Final = (
    "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%d-%b-%Y %H:%M:%S", "%d-%b-%Y", "%d-%b-%y",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p", "%b %d, %Y %I:%M %p", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y.%m.%d %H:%M:%S", "%Y.%m.%d",
)  # fmt: skip


@dataclass(frozen=True)
class TimeFormat:
    """label: what people are told; expression: SQL that gives UTC as TIMESTAMP, NULL where a value cannot be read."""

    label: str
    expression: str
    unit: str = ""  # of an epoch


@dataclass(frozen=True)
class TimeColumn:
    """The time column of one file, before its format is known."""

    connection: duckdb.DuckDBPyConnection
    scan: str
    name: str
    kind: str
    where: str  # the file, for messages

    def sample(self) -> list[str]:
        query = f"SELECT t FROM (SELECT {self.text} AS t FROM {self.scan}) WHERE t <> '' LIMIT {_SAMPLE}"
        return [row[0] for row in self.connection.execute(query).fetchall()]

    @property
    def text(self) -> str:
        return f"trim({quoted(self.name)}::VARCHAR)"

    def fault(self, what: str, hint: str) -> DataError:
        return DataError(f"{self.where}: column {self.name}: {what}", hint)


def detect_format(column: TimeColumn, timezone: str) -> TimeFormat:
    """How the column writes times. Raises DataError when units are mixed, day and month open, or no times there."""
    kind = column.kind
    if kind == "TIMESTAMP WITH TIME ZONE":
        return TimeFormat("timestamps with a zone", f"make_timestamp(epoch_us({quoted(column.name)}))")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        what = "dates" if kind == "DATE" else "timestamps"
        return TimeFormat(f"{what}, read as {timezone}", local_to_utc(f"{quoted(column.name)}::TIMESTAMP", timezone))
    values = column.sample()
    if not values:
        raise column.fault("every time is empty", "name another column with --map ts=COLUMN")
    numbers = sum(bool(_NUMBER.fullmatch(value)) for value in values)
    if kind != "VARCHAR" or numbers > len(values) / 2:
        return _of_numbers(column, values, timezone)
    shapes = [match for match in map(_DAY_MONTH.fullmatch, values) if match]
    if len(shapes) > len(values) / 2:
        return _of_day_month(column, shapes, timezone)
    if sum(bool(_ISO.fullmatch(value)) for value in values) > len(values) / 2:
        return _of_iso(column, values, timezone)
    return _of_named(column, timezone)


def local_to_utc(expression: str, timezone: str) -> str:
    """A time that names no zone, as UTC."""
    if timezone == "UTC":
        return expression
    return f"make_timestamp(epoch_us(timezone({sql.literal(timezone)}, {expression})))"


def unit_counts(column: TimeColumn) -> dict[str, int]:
    """How many values of the whole column lie in the years 2000 to 2100, by unit."""
    number = f"abs(TRY_CAST({column.text} AS DOUBLE))"
    counts = ", ".join(f"count(*) FILTER (n BETWEEN {_FIRST * m} AND {_LAST * m})" for m in UNITS.values())
    row = column.connection.execute(f"SELECT {counts} FROM (SELECT {number} AS n FROM {column.scan})").fetchone()
    assert row is not None
    return {unit: count for unit, count in zip(UNITS, row, strict=True) if count}


def check_units(column: TimeColumn, counts: dict[str, int]) -> None:
    """Raises DataError when the values are of several units."""
    if len(counts) > 1:
        shown = ", ".join(f"{count:,} in {unit}" for unit, count in counts.items())
        raise column.fault(f"the times mix units: {shown}", "write all of them in one unit, or split the file")


def _of_numbers(column: TimeColumn, values: list[str], timezone: str) -> TimeFormat:
    found: Counter[str] = Counter()
    for value in filter(_NUMBER.fullmatch, values):
        found.update(unit for unit, many in UNITS.items() if _FIRST * many <= abs(float(value)) <= _LAST * many)
    check_units(column, {unit: found[unit] for unit in UNITS if found[unit]})
    if found:
        unit = next(iter(found))
        return TimeFormat(f"epoch in {unit}", _epoch(column, unit), unit)
    whole = {value.removesuffix(".0") for value in values}
    for label, form in _COMPACT.items():
        if all(len(value) == len(label) and value[:2] in ("19", "20") for value in whole):
            text = f"regexp_replace({column.text}, '\\.0$', '')"
            return TimeFormat(
                f"{label}, read as {timezone}", local_to_utc(f"try_strptime({text}, {sql.literal(form)})", timezone)
            )
    raise column.fault(
        "these numbers are no times after 2000 in seconds, milli-, micro- or nanoseconds",
        "name another column with --map ts=COLUMN",
    )


def _epoch(column: TimeColumn, unit: str) -> str:
    name = quoted(column.name)
    if column.kind.endswith("INT") or column.kind == "BIGINT":
        many = f"{name}::HUGEINT * {10**6 // UNITS[unit]}" if unit != "ns" else f"{name}::HUGEINT // 1000"
    elif unit == "ns" and column.kind == "VARCHAR":  # a double would lose microseconds
        many = f"TRY_CAST({column.text} AS HUGEINT) // 1000"
    else:
        many = f"round(TRY_CAST({name} AS DOUBLE) * {10**6 / UNITS[unit]!r})"
    return f"TRY(make_timestamp(TRY_CAST({many} AS BIGINT)))"


def _of_iso(column: TimeColumn, values: list[str], timezone: str) -> TimeFormat:
    text = column.text
    if any(re.search(r"\d,\d", value) for value in values):
        text = f"replace({text}, ',', '.')"
    if any(re.search(r" [+-]\d\d", value) for value in values):
        text = f"regexp_replace({text}, ' ([+-]\\d\\d)', '\\1')"
    zoned = sum(bool(_ZONED.fullmatch(value)) for value in values)
    zone = "with a zone" if zoned == len(values) else f"read as {timezone}"
    if 0 < zoned < len(values):
        zone += " where they name no zone"
    # The session's zone is the caller's while a file is read.
    return TimeFormat(f"ISO text, {zone}", f"TRY(make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))))")


def _of_day_month(column: TimeColumn, shapes: list[re.Match[str]], timezone: str) -> TimeFormat:
    first, second = _largest(column)
    if first > 12 and second > 12:
        raise column.fault(
            "some dates have the day first, some the month", "write the times as YYYY-MM-DD hh:mm:ss, or split the file"
        )
    if first <= 12 and second <= 12:
        raise column.fault(
            f"{shapes[0][0]!r} may be day/month or month/day, and no date in the file tells which",
            "write the times as YYYY-MM-DD hh:mm:ss",
        )
    order = ("%d", "%m") if first > 12 else ("%m", "%d")
    forms = Counter(_form(shape, order) for shape in shapes)
    chosen = [form for form, _ in forms.most_common()]
    text = f"regexp_replace({column.text}, '[ T,]+', ' ')"
    label = "day, month, year" if first > 12 else "month, day, year"
    return TimeFormat(
        f"{label}, read as {timezone}", local_to_utc(f"try_strptime({text}, [{sql.literals(chosen)}])", timezone)
    )


def _form(shape: re.Match[str], order: tuple[str, str]) -> str:
    mark = shape["mark"]
    date = f"{order[0]}{mark}{order[1]}{mark}{'%Y' if len(shape['year']) == 4 else '%y'}"
    if not shape["clock"]:
        return date
    hour = "%I" if shape["half"] else "%H"
    half = "" if not shape["half"] else " %p" if shape["half"].startswith(" ") else "%p"
    return f"{date} {hour}:%M{':%S' if shape['seconds'] else ''}{'.%f' if shape['fraction'] else ''}{half}"


def _largest(column: TimeColumn) -> tuple[int, int]:
    """The largest first and second number of the dates, over the whole file."""
    part = "TRY_CAST(regexp_extract(t, '^(\\d{1,2})[/.-](\\d{1,2})[/.-]', %d) AS INTEGER)"
    row = column.connection.execute(
        f"SELECT max({part % 1}), max({part % 2}) FROM (SELECT {column.text} AS t FROM {column.scan})"
    ).fetchone()
    assert row is not None
    return row[0] or 0, row[1] or 0


def _of_named(column: TimeColumn, timezone: str) -> TimeFormat:
    counts = ", ".join(f"count(try_strptime(t, {sql.literal(form)}))" for form in _NAMED)
    values = f"SELECT t FROM (SELECT {column.text} AS t FROM {column.scan}) WHERE t <> '' LIMIT {_SAMPLE}"
    row = column.connection.execute(f"SELECT {counts} FROM ({values})").fetchone()
    assert row is not None
    hits = sorted(((count, form) for count, form in zip(row, _NAMED, strict=True) if count), reverse=True)
    if not hits:
        raise column.fault(
            "the times cannot be read", "write them as YYYY-MM-DD hh:mm:ss, or name another column with --map ts=COLUMN"
        )
    forms = [form for _, form in hits]
    zone = "UTC" if forms[0].endswith("GMT") else timezone
    return TimeFormat(
        f"like {forms[0]}, read as {zone}", local_to_utc(f"try_strptime({column.text}, [{sql.literals(forms)}])", zone)
    )

"""Findings about a log that should be known before anything made from it is trusted. Counts only, never an id.

A parameter `new` is the table expression of the events that no earlier ingest has checked.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from lookalike.data.database import Database, declared_context_columns
from lookalike.data.id_spellings import ALIKE, count_ways, with_plain_form
from lookalike.data.ingest import reject_reasons, running_counts
from lookalike.data.ingest.id_cells import rounded_count
from lookalike.data.ingest.personal_data import EMAIL_ADDRESS, PHONE_NUMBER
from lookalike.data.ingest.readers.text_encoding import WINDOWS
from lookalike.data.ingest.results import (
    AnyCheck,
    AssumedEncoding,
    ConstantEventType,
    DuplicateRows,
    FileReport,
    HeavyUser,
    LongIds,
    LongTexts,
    NegativeValues,
    NoItems,
    PersonalData,
    RejectedRows,
    RoundedIds,
    Severity,
    StaleLog,
    StrayEvents,
    ThinDays,
    Totals,
    UnknownItems,
    UnreadableValues,
)

_SAMPLE_EVENTS = 100_000
_THIN_SHARE = 0.5  # of the median of the same weekday
_MIN_USUAL_EVENTS = 10  # a day; below that no day is thin
_MIN_DAYS_OF_LOG = 13  # between the first and the last event, below which no day is thin
_STALE_DAYS = 30
_STRAY_DAYS = 60  # without any event before a few last ones
_MAX_STRAY_SHARE = 0.001
_MANY_USERS = 1_000
_MAX_USER_SHARE = 0.01
_MAX_UNKNOWN_ITEM_SHARE = 0.05
_MAX_ITEMS_COMPARED = 100_000
_MAX_NEGATIVE_SHARE = 0.2
_MAX_PERSONAL_SHARE = 0.001
_MAX_TYPE_LENGTH = 40


@dataclass(frozen=True)
class _Limits:
    """Shares above which a count is a warning or an error."""

    warning: float = math.inf
    error: float = math.inf

    def severity(self, share: float) -> Severity:
        return "error" if share > self.error else "warning" if share > self.warning else "note"


_FAULT_LIMITS: Final = _Limits(0, 0.01)

# The order in which rejected rows are reported. How severe an empty user is differs: it is often a fact of the log.
_REJECTED_CHECKS: Final[
    dict[
        str,
        Literal["null_users", "placeholder_users", "unreadable_times", "empty_times", "early_times", "future_times"],
    ]
] = {
    reject_reasons.NO_USER: "null_users",
    reject_reasons.PLACEHOLDER: "placeholder_users",
    reject_reasons.UNREADABLE_TIME: "unreadable_times",
    reject_reasons.NO_TIME: "empty_times",
    reject_reasons.EARLY_TIME: "early_times",
    reject_reasons.FUTURE_TIME: "future_times",
}


def quality_checks(
    database: Database, files: list[FileReport], now: datetime, last_checked_file: int
) -> tuple[Totals, list[AnyCheck]]:
    """The totals of the whole log, and the findings about the files after number `last_checked_file`."""
    totals = running_counts.totals(database)
    checks = _file_checks([file for file in files if file.kind == "events" and not file.skipped])
    checks += [*_assumed_encodings(files), *_cut_texts(files)]
    if totals.events:
        new = running_counts.events_after(last_checked_file)
        items_replaced = any(file.kind == "items" and not file.skipped for file in files)
        checks += _heavy_user(database, totals, new)
        checks += _stale_log(totals, now)
        checks += _stray_events(database, totals)
        checks += _thin_days(database, totals, last_checked_file)
        checks += _unknown_items(database, totals, "events" if items_replaced else new)
        checks += _personal_data(database, new)
        checks += _unusual_columns(database, totals, new)
    return totals, checks


def _file_checks(files: list[FileReport]) -> list[AnyCheck]:
    """What was rejected, dropped or not understood in the files."""
    rows = sum(file.rows for file in files)
    checks: list[AnyCheck] = []
    for reason, check in _REJECTED_CHECKS.items():
        if count := sum(file.rejected.get(reason, 0) for file in files):
            limits = _Limits(0.01, 0.5) if reason == reject_reasons.NO_USER else _FAULT_LIMITS
            severity = limits.severity(count / rows)
            checks.append(RejectedRows(check=check, severity=severity, rows=count, share=count / rows))
    for field, reason in reject_reasons.LONG_IDS.items():
        if count := sum(file.rejected.get(reason, 0) for file in files):
            severity = _FAULT_LIMITS.severity(count / rows)
            checks.append(LongIds(severity=severity, rows=count, share=count / rows, field=field))
    if malformed := sum(_count_malformed(file) for file in files):
        share = malformed / rows
        severity = _FAULT_LIMITS.severity(share)
        checks.append(RejectedRows(check="malformed_lines", severity=severity, rows=malformed, share=share))
    if duplicates := sum(file.duplicates for file in files):
        share = duplicates / rows
        checks.append(DuplicateRows(severity=_Limits(0.05).severity(share), rows=duplicates, share=share))
    if unreadable := sum(file.unreadable_values for file in files):
        checks.append(UnreadableValues(severity="warning", rows=unreadable, share=unreadable / rows))
    return checks


def _assumed_encodings(files: list[FileReport]) -> list[AssumedEncoding]:
    return [
        AssumedEncoding(severity="note", rows=file.rows, share=1.0, file=file.name, encoding=file.encoding)
        for file in files
        if file.encoding == WINDOWS
    ]


def _cut_texts(files: list[FileReport]) -> list[LongTexts]:
    return [
        LongTexts(severity="note", rows=count, share=count / file.rows, file=file.name, column=column)
        for file in files
        for column, count in file.cut_texts.items()
    ]


def _count_malformed(file: FileReport) -> int:
    return sum(count for reason, count in file.rejected.items() if reason.startswith(reject_reasons.MALFORMED_LINE))


def _heavy_user(database: Database, totals: Totals, new: str) -> list[HeavyUser]:
    users, max_events, new_events = database.rows(
        f"SELECT count(*), coalesce(max(n), 0), coalesce(sum(n), 0)::BIGINT "
        f"FROM (SELECT count(*) AS n FROM {new} GROUP BY user_id)"
    )[0]
    # in a file with few users everyone makes a large part of the events
    many_users = users >= _MANY_USERS
    share = max_events / (new_events if many_users else totals.events)
    if totals.users < _MANY_USERS or share <= _MAX_USER_SHARE:
        return []
    return [HeavyUser(severity="warning", rows=max_events, share=share, share_of="ingest" if many_users else "log")]


def _stale_log(totals: Totals, now: datetime) -> list[StaleLog]:
    assert totals.last is not None
    days = (now.replace(tzinfo=None) - totals.last).days
    return [StaleLog(severity="note", rows=0, share=0.0, days=days)] if days > _STALE_DAYS else []


def _stray_events(database: Database, totals: Totals) -> list[StrayEvents]:
    """The last events of the log, if they are few and come long after the others: most likely wrong dates."""
    found = database.rows(
        "WITH counted AS (SELECT day, sum(events)::BIGINT AS n FROM days GROUP BY day), "
        "after AS (SELECT lag(day) OVER (ORDER BY day) AS before, day, sum(n) OVER (ORDER BY day DESC)::BIGINT AS n "
        "FROM counted) "
        "SELECT before, day - before, n FROM after WHERE day - before > ? AND n <= greatest(?, 1) "
        "ORDER BY day LIMIT 1",
        _STRAY_DAYS,
        int(_MAX_STRAY_SHARE * totals.events),
    )
    return [
        StrayEvents(severity="warning", rows=rows, share=rows / totals.events, days=days, last=last)
        for last, days, rows in found
        if rows < totals.events - rows
    ]


def _thin_days(database: Database, totals: Totals, last_checked_file: int) -> list[ThinDays]:
    """Of the days that the new files bring, those with few events. The first and last day of the log are cut short.

    A day is compared with the same weekday in the whole log: that a shop is closed on Sundays is not worth a warning.
    """
    assert totals.first is not None
    assert totals.last is not None
    if (totals.last - totals.first).days < _MIN_DAYS_OF_LOG:
        return []
    days = database.rows(
        "WITH counted AS (SELECT day, sum(events) AS n FROM days GROUP BY day), "
        "every AS (SELECT unnest(generate_series(min(day) + 1, max(day) - 1, INTERVAL 1 DAY))::DATE AS day "
        "FROM counted), "
        "filled AS (SELECT day, coalesce(n, 0) AS n, median(coalesce(n, 0)) OVER (PARTITION BY isodow(day)) AS usual "
        "FROM every LEFT JOIN counted USING (day)), "
        # the last day before may have been cut short, and days between it and the first of these are missing
        "came AS (SELECT * FROM filled WHERE day >= (SELECT least(max(last_ts) FILTER (file_id <= $1), "
        "min(first_ts) FILTER (file_id > $1))::DATE FROM files)) "
        "SELECT strftime(day, '%Y-%m-%d'), (SELECT count(*) FROM came) FROM came "
        f"WHERE usual >= {_MIN_USUAL_EVENTS} AND n < {_THIN_SHARE} * usual ORDER BY day",
        last_checked_file,
    )
    if not days:
        return []
    thin_days = tuple(date.fromisoformat(day) for day, _ in days)
    days_checked = days[0][1]
    share = len(days) / days_checked
    return [ThinDays(severity="warning", rows=len(days), share=share, days=thin_days, days_checked=days_checked)]


def _unknown_items(database: Database, totals: Totals, events: str) -> list[NoItems | UnknownItems]:
    if not totals.items:
        return [NoItems(severity="warning", rows=totals.events, share=1.0)]
    if not database.rows("SELECT count(*) FROM items")[0][0]:
        return []
    unknown, named = database.rows(
        "SELECT coalesce(sum(n) FILTER (items.item_id IS NULL), 0)::BIGINT, sum(n)::BIGINT "
        f"FROM (SELECT item_id, count(*) AS n FROM {events} WHERE item_id IS NOT NULL GROUP BY item_id) AS seen "
        "LEFT JOIN items USING (item_id)"
    )[0]
    if not unknown:
        return []
    share, ways = unknown / named, _spelled_otherwise(database, events)
    severity = _Limits(_MAX_UNKNOWN_ITEM_SHARE).severity(share)
    return [UnknownItems(severity=severity, rows=unknown, share=share, ways=ways)]


def _spelled_otherwise(database: Database, events: str) -> dict[str, int]:
    """How many of the unknown items, up to 100,000, are in the items table in another spelling, by difference."""
    unknown = database.frame(
        f"SELECT DISTINCT item_id AS user_id FROM {events} WHERE item_id IS NOT NULL "
        f"AND item_id NOT IN (SELECT item_id FROM items) LIMIT {_MAX_ITEMS_COMPARED}"
    )
    known = with_plain_form(database.frame("SELECT item_id AS user_id FROM items")).rename({"user_id": "known"})
    return count_ways(with_plain_form(unknown).join(known, on=ALIKE, how="inner"))


def _personal_data(database: Database, new: str) -> list[PersonalData]:
    """Looks at events spread over the new ones. The limit is low: e-mail addresses are common, if bad, user ids."""
    count = database.rows(f"SELECT count(*) FROM {new}")[0][0]
    sample = running_counts.sample_condition(count, _SAMPLE_EVENTS)
    columns = {name: name for name in ("user_id", "item_id", "event_type", "session_id", "source")}
    columns |= declared_context_columns(database)
    contents: tuple[tuple[Literal["email_addresses", "phone_numbers"], str], ...] = (
        ("email_addresses", EMAIL_ADDRESS),
        ("phone_numbers", PHONE_NUMBER),
    )
    match_share = "count(*) FILTER (regexp_matches({0}, '{1}')) / greatest(count({0}), 1)"
    expressions = [match_share.format(column, pattern) for column in columns.values() for _, pattern in contents]
    shares = database.rows(f"SELECT {', '.join(expressions)} FROM {new} WHERE {sample}")[0]
    kinds = [(name, content) for name in columns for content, _ in contents]
    return [
        PersonalData(severity="error", rows=round(share * count), share=share, column=name, content=content)
        for (name, content), share in zip(kinds, shares, strict=True)
        if share > _MAX_PERSONAL_SHARE
    ]


def _unusual_columns(database: Database, totals: Totals, new: str) -> list[AnyCheck]:
    """Negative values, a single event type, ids that were rounded."""
    count, negative, valued, types, event_type, users, items = database.rows(
        "SELECT count(*), count(*) FILTER (value < 0), count(value), count(DISTINCT event_type), min(event_type), "
        f"{rounded_count('user_id')}, {rounded_count('item_id')} FROM {new}"
    )[0]
    checks: list[AnyCheck] = []
    if negative:
        share = negative / valued
        severity = _Limits(_MAX_NEGATIVE_SHARE).severity(share)
        checks.append(NegativeValues(severity=severity, rows=negative, share=share))
    if types == 1 and totals.events > 1 and _is_only_type(database, event_type):
        shown = event_type[:_MAX_TYPE_LENGTH]
        checks.append(ConstantEventType(severity="note", rows=totals.events, share=1.0, event_type=shown))
    rounded: tuple[tuple[Literal["user_id", "item_id"], int], ...] = (("user_id", users), ("item_id", items))
    checks += [
        RoundedIds(severity="error", rows=rows, share=rows / count, column=column) for column, rows in rounded if rows
    ]
    return checks


def _is_only_type(database: Database, event_type: str) -> bool:
    return not database.rows("SELECT 1 FROM events WHERE event_type <> ? LIMIT 1", event_type)

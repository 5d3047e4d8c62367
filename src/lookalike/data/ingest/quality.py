"""What is worth knowing about a log before anyone trusts what is made from it. Counts only; no id is ever shown.

`new` stands for the events that were not looked at before, as a table.
"""

from dataclasses import dataclass
from datetime import datetime

from lookalike.data.database import Database, declared_context_columns
from lookalike.data.ingest import event_plan, running_counts
from lookalike.data.ingest.load_tables import EMAIL, PHONE
from lookalike.data.ingest.results import Check, FileReport, Severity, Totals

_SAMPLE_ROWS = 100_000


_THIN = 0.5  # of the median of the same weekday


_STALE_DAYS = 30


_SHOWN_DAYS = 5


_MANY_USERS = 1_000


@dataclass(frozen=True)
class _Limits:
    """Shares from which on a count becomes a note, a warning, an error."""

    note: float = 0.0
    warning: float = 2.0
    error: float = 2.0

    def severity(self, share: float) -> Severity:
        return "error" if share > self.error else "warning" if share > self.warning else "note"


# reason of a reject -> (check, limits, what to say)
_REJECTS: dict[str, tuple[str, _Limits, str]] = {
    event_plan.NO_USER: (
        "null_users",
        _Limits(0, 0.01, 0.5),
        "have no user and were left out (guests, or a failed join?)",
    ),
    event_plan.PLACEHOLDER: (
        "placeholder_users",
        _Limits(0, 0, 0.01),
        "have a placeholder for a user and were left out",
    ),
    event_plan.UNREADABLE_TIME: (
        "unreadable_times",
        _Limits(0, 0, 0.01),
        "have a time that cannot be read and were left out",
    ),
    event_plan.NO_TIME: ("empty_times", _Limits(0, 0, 0.01), "have no time and were left out"),
    event_plan.EARLY_TIME: ("early_times", _Limits(0, 0, 0.01), "are from before 2000 and were left out"),
    event_plan.FUTURE_TIME: ("future_times", _Limits(0, 0, 0.01), "are from the future and were left out"),
    event_plan.LONG_USER: (
        "long_ids",
        _Limits(0, 0, 0.01),
        "have a user_id of more than 10,000 characters and were left out",
    ),
    event_plan.LONG_ITEM: (
        "long_ids",
        _Limits(0, 0, 0.01),
        "have an item_id of more than 10,000 characters and were left out",
    ),
}


def quality_checks(
    store: Database, files: list[FileReport], moment: datetime, since: int
) -> tuple[Totals, list[Check]]:
    """The totals, and every check that has something to say, worst first.

    Looked at are the events of the files after number `since`, beside totals of the whole log.
    """
    held = running_counts.totals(store)
    found = _of_files([file for file in files if file.kind == "events" and not file.skipped])
    if held.events:
        new = running_counts.events_after(since)
        described_anew = any(file.kind == "items" and not file.skipped for file in files)
        found += _heavy_user(store, held, new) + _days(store, held, moment, since)
        found += _items(store, held, "events" if described_anew else new) + _personal(store, new)
        found += _columns(store, held, new)
    order = ("error", "warning", "note")
    return held, sorted(found, key=lambda check: order.index(check.severity))


def _of_files(files: list[FileReport]) -> list[Check]:
    rows = sum(file.rows for file in files)
    found: list[Check] = []
    for reason, (name, limits, text) in _REJECTS.items():
        found += _counted(name, limits, sum(file.rejected.get(reason, 0) for file in files), rows, f"rows {text}")
    malformed = sum(
        n for file in files for reason, n in file.rejected.items() if reason.startswith(event_plan.MALFORMED)
    )
    found += _counted("malformed_lines", _Limits(0, 0, 0.01), malformed, rows, "lines cannot be read and were left out")
    duplicates = sum(file.duplicates for file in files)
    found += _counted(
        "duplicates", _Limits(0, 0.05), duplicates, rows, "rows are repeated or were there, and were dropped"
    )
    unreadable = sum(file.unreadable_values for file in files)
    found += _counted(
        "unreadable_values", _Limits(0, 0), unreadable, rows, "rows have a value or quantity that is no number"
    )
    return found


def _counted(name: str, limits: _Limits, count: int, rows: int, text: str) -> list[Check]:
    if not count:
        return []
    share = count / rows
    return [Check(name, limits.severity(share), count, share, f"{count:,} {text} ({_percent(share)} of the rows)")]


def _heavy_user(store: Database, held: Totals, new: str) -> list[Check]:
    users, most, count = store.rows(
        f"SELECT count(*), coalesce(max(n), 0), coalesce(sum(n), 0)::BIGINT "
        f"FROM (SELECT count(*) AS n FROM {new} GROUP BY user_id)"
    )[0]
    # on a day of few people everybody is a large part of it
    of, whole = ("those that came", count) if users >= _MANY_USERS else ("all", held.events)
    share = most / whole
    if held.users < _MANY_USERS or share <= 0.01:
        return []
    message = f"one user made {most:,} events ({_percent(share)} of {of}): a robot, a test account or a shared device?"
    return [Check("heavy_user", "warning", most, share, message)]


def _days(store: Database, held: Totals, moment: datetime, since: int) -> list[Check]:
    """Of the days that came, beside what their weekday usually has in the whole log."""
    assert held.first is not None
    assert held.last is not None
    found: list[Check] = []
    age = (moment.replace(tzinfo=None) - held.last).days
    if age > _STALE_DAYS:
        found.append(Check("stale_log", "note", 0, 0.0, f"the last event is {age:,} days old"))
    if (held.last - held.first).days < 13:
        return found
    # A day is compared with its own weekday: a shop closed on Sundays is no news. The first and last day are cut short.
    days = store.rows(
        "WITH counted AS (SELECT day, sum(events) AS n FROM days GROUP BY day), "
        "every AS (SELECT unnest(generate_series(min(day) + 1, max(day) - 1, INTERVAL 1 DAY))::DATE AS day "
        "FROM counted), "
        "filled AS (SELECT day, coalesce(n, 0) AS n, median(coalesce(n, 0)) OVER (PARTITION BY isodow(day)) AS usual "
        "FROM every LEFT JOIN counted USING (day)), "
        # the last day before may have been cut short, and days between it and the first of these are missing
        "came AS (SELECT * FROM filled WHERE day >= (SELECT least(max(last_ts) FILTER (file_id <= $1), "
        "min(first_ts) FILTER (file_id > $1))::DATE FROM files)) "
        "SELECT strftime(day, '%Y-%m-%d'), (SELECT count(*) FROM came) FROM came "
        f"WHERE usual >= 10 AND n < {_THIN} * usual ORDER BY day",
        since,
    )
    if days:
        shown = ", ".join(day for day, _ in days[:_SHOWN_DAYS]) + (" ..." if len(days) > _SHOWN_DAYS else "")
        message = (
            f"{len(days):,} of {days[0][1]:,} days have less than half the events their weekday usually has: {shown}"
        )
        found.append(Check("thin_days", "warning", len(days), len(days) / days[0][1], message))
    return found


def _items(store: Database, held: Totals, new: str) -> list[Check]:
    if not held.items:
        return [
            Check("no_items", "warning", held.events, 1.0, "no event names an item: only when people acted is known")
        ]
    if not store.rows("SELECT count(*) FROM items")[0][0]:
        return []
    unknown, named = store.rows(
        "SELECT coalesce(sum(n) FILTER (items.item_id IS NULL), 0)::BIGINT, sum(n)::BIGINT "
        f"FROM (SELECT item_id, count(*) AS n FROM {new} WHERE item_id IS NOT NULL GROUP BY item_id) AS seen "
        "LEFT JOIN items USING (item_id)"
    )[0]
    text = "events are about an item that the items table does not have"
    if not unknown:
        return []
    share = unknown / named
    severity: Severity = "warning" if share > 0.05 else "note"
    return [Check("unknown_items", severity, unknown, share, f"{unknown:,} {text} ({_percent(share)})")]


def _personal(store: Database, new: str) -> list[Check]:
    """Looks at rows spread over the events. The limits differ: an e-mail address is a common, if bad, user id."""
    count = store.rows(f"SELECT count(*) FROM {new}")[0][0]
    spread = running_counts.sample_condition(count, _SAMPLE_ROWS)
    names = {name: name for name in ("user_id", "item_id", "event_type", "session_id", "source")}
    names |= declared_context_columns(store)
    hit = "count(*) FILTER (regexp_matches({0}, '{1}')) / greatest(count({0}), 1)"
    parts = [hit.format(column, pattern) for column in names.values() for pattern in (EMAIL, PHONE)]
    shares = store.rows(f"SELECT {', '.join(parts)} FROM {new} WHERE {spread}")[0]
    found: list[Check] = []
    for position, name in enumerate(names):
        for what, share in zip(
            ("e-mail addresses", "phone numbers"), shares[2 * position : 2 * position + 2], strict=True
        ):
            if share > 0.001:
                advice = "hash the ids before the export" if name == "user_id" else "remove them from the export"
                message = f"{name} holds what looks like {what} (about {_percent(share)} of the events): {advice}"
                found.append(Check(f"personal_data_in_{name}", "error", round(share * count), share, message))
    return found


def _columns(store: Database, held: Totals, new: str) -> list[Check]:
    count, negative, valued, kinds, kind, dotted = store.rows(
        "SELECT count(*), count(*) FILTER (value < 0), count(value), count(DISTINCT event_type), min(event_type), "
        f"count(*) FILTER (ends_with(user_id, '.0')) FROM {new}"
    )[0]
    found: list[Check] = []
    if negative:
        share = negative / valued
        severity: Severity = "warning" if share > 0.2 else "note"
        message = f"{negative:,} events have a negative value ({_percent(share)} of those with one): refunds?"
        found.append(Check("negative_values", severity, negative, share, message))
    if kinds == 1 and held.events > 1 and not store.rows("SELECT 1 FROM events WHERE event_type <> ? LIMIT 1", kind):
        found.append(Check("constant_event_type", "note", held.events, 1.0, f"every event is of one type: {kind[:40]}"))
    if dotted > count / 2:
        message = "user ids end in '.0': a program has written them as decimals; a seed must be written the same way"
        found.append(Check("decimal_user_ids", "warning", dotted, dotted / count, message))
    return found


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"

"""Numbers and foreign text as people read them: `1,234`, `3.1×`, `5%`, labels that cannot do harm."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

NBSP = "\u00a0"
MISSING = "–"
LABEL_LENGTH = 60
TITLE_LENGTH = 300
# Embedding, override and isolate marks can reorder the text after them; <bdi> does their legitimate work.
REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MAX_STACKED_MARKS = 4


class Label(NamedTuple):
    """Text as shown, and its longer form for a `title` if it was shortened (else empty)."""

    text: str
    full: str = ""


# --- numbers ---------------------------------------------------------------------------------------------------------


def count(value: float | None) -> str:
    """`1,234`."""
    return MISSING if value is None else f"{round(value):,}"


def ratio(value: float | None) -> str:
    """A ratio without its sign, in the one precision used everywhere: 0.96, 1.04, 2.9, 11.

    Two decimals below 1.2, so that 0.96 and 1.04 never both read as 1.
    """
    if value is None:
        return MISSING
    if value in (0, 1):
        return f"{value:.0f}"
    if 0 < value < 0.01:
        return f"<{NBSP}0.01"
    if value < 1.195:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def times(value: float | None) -> str:
    """`3.1×`."""
    return MISSING if value is None else f"{ratio(value)}×"


def band(low: float | None, high: float | None) -> str:
    """`2.2–4.2`."""
    return MISSING if low is None or high is None else f"{ratio(low)}–{ratio(high)}"


def likely(low: float | None, high: float | None) -> str:
    """`likely 2.2–4.2`: a confidence band in everyday words."""
    return f"likely {band(low, high)}"


def percent(share: float | None) -> str:
    """`5%`, `0.25%`; never rounded to 0% or 100% unless it is exactly that."""
    if share is None:
        return MISSING
    value = share * 100
    if 0 < value < 0.01:
        return f"<{NBSP}0.01%"
    if 99.95 <= value < 100:
        return f">{NBSP}99.9%"
    text = f"{value:,.{2 if abs(value) < 1 else 1}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def percent_band(low: float | None, high: float | None) -> str:
    """`12%–26%`."""
    return MISSING if low is None or high is None else f"{percent(low)}–{percent(high)}"


def score(value: float | None) -> str:
    """Four significant digits."""
    return MISSING if value is None else f"{value:.4g}"


def plural(value: float | None, singular: str, many: str) -> str:
    """`1 person`, `1,234 people`."""
    return f"{count(value)}{NBSP}{singular if value == 1 else many}"


def people(value: float | None) -> str:
    """`168 people`."""
    return plural(value, "person", "people")


# --- text ------------------------------------------------------------------------------------------------------------


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    parts = list(names)
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def moment(value: datetime | str | None) -> str:
    """`10 December 2011, 09:14 UTC`; text that is not an ISO time is shown as it is."""
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return clean(value)
    zone = when.tzname()
    return f"{when.day} {when:%B} {when.year}, {when:%H:%M}{f' {zone}' if zone else ''}"


def day(value: datetime | str | None) -> str:
    """`2011-12-10`."""
    return MISSING if value is None else str(value)[:10]


def clean(value: object, limit: int = TITLE_LENGTH) -> str:
    """Text on one line, at most `limit` characters, without control, reordering and endlessly stacked marks."""
    if value is None:
        return MISSING
    kept: list[str] = []
    marks = 0
    # cut first, with a margin: a huge label must not cost its whole length
    for character in str(value)[: limit * 4 + 1]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character in REORDERING or marks > MAX_STACKED_MARKS:
            continue
        if category == "Cs":
            kept.append("\ufffd")
        else:
            kept.append(" " if category in ("Cc", "Zl", "Zp", "Cn") else character)
    text = " ".join("".join(kept).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def label(value: object, limit: int = LABEL_LENGTH) -> Label:
    """The text to show, never empty, with its longer form if it was shortened."""
    full = clean(value)
    if not full:
        return Label("(blank)")
    text = clean(value, limit)
    return Label(text, full if text != full else "")


def printable(text: str) -> str:
    """The text on one line without control characters, which could drive a terminal."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", " "))

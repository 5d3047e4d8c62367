"""Figures and foreign text as people read them: `1,234`, `3.1 ×`, `5 %`, a label that can harm nothing."""

import math
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

NBSP = "\u00a0"


MISSING = "–"


LABEL_LENGTH = 60


TITLE_LENGTH = 300


# Embedding, override and isolate marks can reorder the text that follows them; <bdi> does their honest work.
REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


STACKED_MARKS = 4


class Label(NamedTuple):
    """Text as shown, and its fuller form for a `title` when it was shortened (else empty)."""

    text: str
    full: str = ""


def number(value: Any) -> float | None:
    """The value as a finite float, or None for anything that is no figure."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        made = float(value)
    except OverflowError:
        return None
    return made if math.isfinite(made) else None


def count(value: Any) -> str:
    """`1,234`."""
    made = number(value)
    return MISSING if made is None else f"{round(made):,}"


def ratio(value: Any) -> str:
    """A ratio without its sign: two digits after the point below 1.2, so that 0.96 and 1.04 never both read as 1."""
    made = number(value)
    if made is None:
        return MISSING
    size = abs(made)
    if made in (0, 1):
        return f"{made:.0f}"
    if size < 0.01:
        return "< 0.01".replace(" ", NBSP) if made > 0 else f"{made:.1g}"
    if size < 1.2:
        return f"{made:.2f}"
    if size < 99.95:
        return f"{made:.1f}"
    return f"{made:,.0f}" if size < 1e9 else f"{made:.2g}"


def times(value: Any) -> str:
    """`3.1 ×`."""
    made = ratio(value)
    return made if made == MISSING else f"{made}{NBSP}×"


def percent(share: Any, trim: bool = True) -> str:
    """`5 %`, or `5.0 %` for a column; never rounded to 0 or to 100 unless it is exactly that."""
    made = number(share)
    if made is None:
        return MISSING
    value = made * 100
    if 0 < value < 0.01:
        return f"<{NBSP}0.01{NBSP}%"
    if 99.95 <= value < 100:
        return f">{NBSP}99.9{NBSP}%"
    digits = 2 if abs(value) < 1 else 1
    text = f"{value:,.{digits}f}" if abs(value) < 1e9 else f"{value:.2g}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}{NBSP}%"


def band(low: Any, high: Any) -> str:
    """`2.2 to 4.2`; a missing end is left open."""
    if number(low) is None and number(high) is None:
        return MISSING
    if number(high) is None:
        return f"{ratio(low)} or more"
    if number(low) is None:
        return f"up to {ratio(high)}"
    return f"{ratio(low)} to {ratio(high)}"


def percent_band(low: Any, high: Any) -> str:
    """`12 % to 26 %`."""
    if number(low) is None or number(high) is None:
        return MISSING
    return f"{percent(low, trim=False)} to {percent(high, trim=False)}"


def score(value: Any) -> str:
    """A score to four significant digits."""
    made = number(value)
    return MISSING if made is None else f"{made:.4g}"


def plural(value: Any, one: str, many: str) -> str:
    """`1 person`, `1,234 people`."""
    return f"{count(value)}{NBSP}{one if number(value) == 1 else many}"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    parts = list(names)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def moment(value: Any) -> str:
    """An ISO time as `10 December 2011, 09:14 UTC`; what cannot be read as one is shown as it is."""
    try:
        made = datetime.fromisoformat(str(value))
    except ValueError:
        return clean(value)
    zone = made.tzname()
    day = f"{made.day} {made:%B} {made.year}"
    return f"{day}, {made:%H:%M}{f' {zone}' if zone else ''}"


def clean(value: Any, limit: int = TITLE_LENGTH) -> str:
    """Text on one line, at most `limit` characters, without control, reordering and endlessly stacked marks."""
    if value is None:
        return MISSING
    # A margin over the limit is enough: cutting first keeps a huge label from costing its whole length.
    kept: list[str] = []
    marks = 0
    for character in str(value)[: limit * 4 + 1]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character in REORDERING or marks > STACKED_MARKS:
            continue
        if category == "Cs":
            kept.append("\ufffd")
        else:
            kept.append(" " if category in ("Cc", "Zl", "Zp", "Cn") else character)
    text = " ".join("".join(kept).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def label(value: Any, limit: int = LABEL_LENGTH) -> Label:
    """The text to show, never empty, with its fuller form if it had to be shortened."""
    full = clean(value)
    if not full:
        return Label("(blank)")
    text = clean(value, limit)
    return Label(text, full if text != full else "")


def printable(text: str) -> str:
    """The text on one line, without control characters: what a file contains could otherwise drive a terminal."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", " "))

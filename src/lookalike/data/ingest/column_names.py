"""Columns in messages: by their names, unless the first line of the file is a row and not headings: it may name people."""

import re
from collections.abc import Iterable

from lookalike.data.ingest.personal_data import EMAIL_ADDRESS, PHONE_NUMBER

MAX_LISTED = 30
_MAX_LENGTH = 60
# What is no heading: an address, a telephone number, any number or time, an id with many digits.
_DATA = re.compile(rf"{EMAIL_ADDRESS}|{PHONE_NUMBER}|.*@.*|[\W\d_]*|.*(\d[\W_]*){{5}}.*", re.DOTALL)


def are_headings(columns: Iterable[str]) -> bool:
    """Whether no name looks like data, and not all have digits, as short ids do."""
    names = list(columns)
    with_digits = bool(names) and all(re.search(r"\d", name) for name in names)
    return not with_digits and not any(_DATA.fullmatch(name) for name in names)


def headings(columns: Iterable[str]) -> list[str]:
    """The names; none where any of them looks like data."""
    names = list(columns)
    return names if are_headings(names) else []


def shown(columns: Iterable[str]) -> list[str]:
    """The names in order; `column 1`, `column 2`, … where any of them looks like data."""
    names = list(columns)
    if are_headings(names):
        return [name[:_MAX_LENGTH] for name in names]
    return [f"column {number}" for number, _ in enumerate(names, 1)]


def listed(columns: Iterable[str]) -> str:
    """`a, b, c and 5 more`; or only how many, where any of them looks like data."""
    names = list(columns)
    if not are_headings(names):
        return f"{len(names)}, not named here because the first line looks like data"
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(shown(names[:MAX_LISTED])) + more

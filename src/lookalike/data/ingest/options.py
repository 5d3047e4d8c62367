"""What the caller can choose for an ingest, validated."""

import difflib
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lookalike.data.schema import CONTEXT_SLOTS, EVENT_FIELDS, RESERVED_NAMES
from lookalike.errors import SettingsError

UNIT_PRICE: Final = "unit_price"  # not stored: times the quantity it gives `value`
MAPPABLE_FIELDS: Final = (*EVENT_FIELDS, UNIT_PRICE)


@dataclass(frozen=True)
class IngestOptions:
    """Raises SettingsError for an unknown time zone or too many context columns."""

    items: Path | None = None
    users: Path | None = None
    mapping: dict[str, str] = field(default_factory=dict)  # field -> column
    timezone: str = "UTC"
    max_rejected_share: float = 0.5
    again: bool = False  # files that were read before take their own place
    context: tuple[str, ...] = ()  # columns kept with each event, in the order of their slots

    def __post_init__(self) -> None:
        if self.timezone not in zoneinfo.available_timezones():
            suggestion = did_you_mean(self.timezone, sorted(zoneinfo.available_timezones()), 0.5)
            raise SettingsError(
                f"unknown time zone {self.timezone!r}",
                f"{suggestion}--timezone takes an IANA name such as Europe/Berlin",
            )
        if len(self.context) > len(CONTEXT_SLOTS):
            raise SettingsError(
                f"--context: {len(self.context)} columns, and a workspace keeps at most {len(CONTEXT_SLOTS)}: "
                f"{', '.join(self.context)}",
                "leave some out, or ingest into a new --workspace",
            )


def parse_context(columns: Iterable[str]) -> tuple[str, ...]:
    """The column names without repeats. Raises SettingsError for an empty name and for the name of a field."""
    names = tuple(dict.fromkeys(column.strip() for column in columns))
    for name in names:
        if not name:
            raise SettingsError("--context: the name of the column is empty", "for example --context campaign")
        if name in RESERVED_NAMES:
            raise SettingsError(
                f"--context {name}: {name} is the name of a field",
                f"--map {name}=COLUMN" if name in MAPPABLE_FIELDS else "rename the column",
            )
    return names


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`FIELD=COLUMN` pairs as field -> column.

    Raises SettingsError for text that is not such a pair, an unknown field, and a field that is given twice.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        name, column = name.strip(), column.strip()
        if not equals or not name or not column:
            raise SettingsError(f"--map {pair!r} is not FIELD=COLUMN", "for example --map user_id=CustomerID")
        if name not in MAPPABLE_FIELDS:
            suggestion = did_you_mean(name, MAPPABLE_FIELDS, 0.6)
            raise SettingsError(
                f"--map {pair!r}: unknown field {name!r}", f"{suggestion}fields: {', '.join(MAPPABLE_FIELDS)}"
            )
        if name in mapping:
            raise SettingsError(f"--map gives {name} twice", "give one column for each field")
        mapping[name] = column
    return mapping


def did_you_mean(name: str, candidates: Iterable[str], min_similarity: float) -> str:
    """`did you mean X? ` for the closest candidate; empty when none is close."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=min_similarity)
    return f"did you mean {matches[0]}? " if matches else ""

"""What the caller may choose for an ingest, checked."""

import difflib
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lookalike.data.schema import CONTEXT_SLOTS, EVENT_FIELDS, RESERVED_NAMES
from lookalike.errors import SettingsError

UNIT_PRICE = "unit_price"  # not stored; makes `value` together with the quantity


FIELDS = (*EVENT_FIELDS, UNIT_PRICE)


@dataclass(frozen=True)
class IngestOptions:
    items: Path | None = None
    users: Path | None = None
    mapping: dict[str, str] = field(default_factory=dict)  # field -> column
    timezone: str = "UTC"
    max_rejected_share: float = 0.5
    context: tuple[str, ...] = ()  # columns kept per event, in the order of their slots

    def __post_init__(self) -> None:
        if self.timezone not in zoneinfo.available_timezones():
            near = difflib.get_close_matches(self.timezone, sorted(zoneinfo.available_timezones()), n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SettingsError(
                f"unknown time zone {self.timezone!r}", f"{meant}--timezone takes an IANA name such as Europe/Berlin"
            )
        if len(self.context) > len(CONTEXT_SLOTS):
            raise SettingsError(
                f"--context: {len(self.context)} columns, and a workspace keeps at most {len(CONTEXT_SLOTS)}: "
                f"{', '.join(self.context)}",
                "leave some out, or ingest into a new --workspace",
            )


def parse_context(columns: Iterable[str]) -> tuple[str, ...]:
    """Names of columns, each once. Raises SettingsError for an empty one and for the name of a field."""
    names = tuple(dict.fromkeys(column.strip() for column in columns))
    for name in names:
        if not name:
            raise SettingsError("--context '' is no column", "for example --context campaign")
        if name in RESERVED_NAMES:
            raise SettingsError(
                f"--context {name}: {name} is the name of a field of its own",
                f"--map {name}=COLUMN" if name in FIELDS else "rename the column",
            )
    return names


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`FIELD=COLUMN` pairs as field -> column. Raises SettingsError for an unknown field, half a pair or a repeat."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        name, column = name.strip(), column.strip()
        if not equals or not name or not column:
            raise SettingsError(f"--map {pair!r} is not FIELD=COLUMN", "for example --map user_id=CustomerID")
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SettingsError(f"--map {pair!r}: unknown field {name!r}", f"{meant}fields: {', '.join(FIELDS)}")
        if name in mapping:
            raise SettingsError(f"--map gives {name} twice", "name one column for each field")
        mapping[name] = column
    return mapping

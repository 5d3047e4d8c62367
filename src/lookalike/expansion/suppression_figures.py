"""How ids match users: what is stored and told of the people who must not be listed."""

from collections.abc import Mapping

from pydantic import Field

from lookalike.workspace.records import Record

AS_WRITTEN = "as written"


class Suppression(Record):
    """How the ids to suppress match the known users."""

    given: int = Field(description="different ids to suppress")
    matched: int = Field(description="of them users with a vector")
    alike: int = Field(default=0, description="other users suppressed whose id may be one of these")
    standing: int = Field(default=0, description="ids on the standing list, which may have been given too")
    unmatched: int = Field(default=0, description="ids that are nobody's in the log, in any spelling")
    ways: dict[str, int] = Field(default={}, description="the other ids, by what they differ in from the log's")


def differences(ways: Mapping[str, int]) -> str:
    """In what ids differ from those they match: `30 in capitals, 2 in leading zeros`. Empty if in nothing."""
    return ", ".join(f"{ids:,} in {way}" for way, ids in ways.items() if way != AS_WRITTEN)

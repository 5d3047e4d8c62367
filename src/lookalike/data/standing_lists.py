"""The lists of people who must not be listed in any expansion, as figures and without their ids."""

import re
from datetime import date, datetime

from pydantic import Field

from lookalike.errors import SettingsError
from lookalike.workspace.records import Record

_REASON = re.compile(r"optout|customer|campaign:[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class StandingList(Record):
    """One list of the workspace's standing list."""

    number: int = Field(description="by which it is removed")
    name: str = Field(description="of its file, without the folder")
    sha256: str = Field(description="hash of the file")
    reason: str = Field(description="optout, customer, or campaign:NAME")
    until: date | None = Field(description="last day (UTC) on which it holds; null for ever")
    added: datetime = Field(description="when it was added (UTC)")
    ids: int = Field(description="on it")
    unmatched: int | None = Field(
        description="of them nobody's in the log, in any spelling, when it was added; null without stored vectors"
    )
    allowed: float | None = Field(description="share of them that may be, if that was given")

    def holds(self, day: date) -> bool:
        """Whether its people are suppressed on this day."""
        return self.until is None or day <= self.until


class SuppressAdded(Record):
    """What `suppress add` did."""

    added: StandingList
    was_there: bool = Field(description="whether the same list with the same reason and end stood there already")
    ways: dict[str, int] = Field(
        description="ids that are somebody's in the log, by what they differ in from the log's"
    )


class SuppressLists(Record):
    """What `suppress list` shows."""

    lists: tuple[StandingList, ...]
    people: int = Field(description="different ids that are suppressed today")


class SuppressRemoved(Record):
    """What `suppress remove` did."""

    lists: tuple[int, ...] = Field(description="numbers of the lists that are gone")
    ids: int = Field(description="entries that are gone")
    left: int = Field(description="different ids that are suppressed today")


def checked_reason(reason: str) -> str:
    """The reason unchanged. Raises SettingsError unless it is one of the three kinds."""
    if not _REASON.fullmatch(reason):
        raise SettingsError(
            f"reason {reason[:40]!r} is not optout, customer or campaign:NAME", "--reason campaign:spring-sale"
        )
    return reason

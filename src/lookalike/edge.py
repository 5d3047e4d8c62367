"""What the flags before a command decided, and how flags are read."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lookalike.errors import SettingsError
from lookalike.workspace import Workspace

if TYPE_CHECKING:
    from lookalike.cluster import Ray
    from lookalike.console import Console
    from lookalike.settings import Settings


@dataclass(frozen=True)
class Edge:
    """What the flags before the command decided."""

    workspace: Workspace
    console: "Console"
    debug: bool
    engine_name: str = "local"
    ray_address: str | None = None

    def engine(self) -> "Ray | None":
        """What does the work on shards; None for this process."""
        if self.engine_name == "local":
            return None
        from lookalike.cluster import Ray

        return Ray(self.ray_address)

    def settings(self) -> "Settings":
        from lookalike import settings

        return settings.load(self.workspace.settings)


_edge: Edge | None = None


def begin(at: Edge | None) -> None:
    """What the flags before the command decided is known from now on; nothing is, of None. Raises SettingsError."""
    global _edge
    if at and at.engine_name not in ("local", "ray"):
        raise SettingsError(f"no engine is called {at.engine_name[:40]!r}", "--engine local|ray")
    _edge = at


def begun() -> Edge | None:
    return _edge


def edge() -> Edge:
    assert _edge is not None, "the callback runs before every command"
    return _edge


def days(text: str | None) -> int | None:
    """`90d` or `90` as a number. Raises SettingsError for anything else."""
    if text is None:
        return None
    number = text.strip().lower().removesuffix("d")
    if not number.isdecimal() or int(number) < 1:
        raise SettingsError(f"window {text[:40]!r} is no number of days", "--window 90d")
    return int(number)


def moment(text: str | None) -> datetime | None:
    """A UTC time without a zone, as the store has them."""
    if text is None:
        return None
    from datetime import UTC

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"--as-of {text[:40]!r} is no ISO time", "--as-of 2026-03-01 or 2026-03-01T12:00"
        ) from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment

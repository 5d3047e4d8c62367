"""What the flags before a command decided, and how flags are read."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lookalike.errors import SettingsError
from lookalike.workspace.paths import WorkspaceFolder

if TYPE_CHECKING:
    pass
    from lookalike.cli.console import Console
    from lookalike.workspace.ray_executor import RayExecutor
    from lookalike.workspace.settings import Settings


@dataclass(frozen=True)
class CliContext:
    """What the flags before the command decided."""

    workspace: WorkspaceFolder
    console: "Console"
    debug: bool
    engine_name: str = "local"
    ray_address: str | None = None

    def engine(self) -> "RayExecutor | None":
        """What does the work on shards; None for this process."""
        if self.engine_name == "local":
            return None
        from lookalike.workspace.ray_executor import RayExecutor

        return RayExecutor(self.ray_address)

    def settings(self) -> "Settings":
        from lookalike.workspace.settings import load_settings

        return load_settings(self.workspace.settings)


_edge: CliContext | None = None


def begin(at: CliContext | None) -> None:
    """What the flags before the command decided is known from now on; nothing is, of None. Raises SettingsError."""
    global _edge
    if at and at.engine_name not in ("local", "ray"):
        raise SettingsError(f"no engine is called {at.engine_name[:40]!r}", "--engine local|ray")
    _edge = at


def begun() -> CliContext | None:
    return _edge


def edge() -> CliContext:
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

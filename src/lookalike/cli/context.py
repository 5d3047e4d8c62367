"""What the flags before a command decide, and how single flags are read. Stored as Typer's `ctx.obj`."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lookalike.errors import SettingsError, StateError

if TYPE_CHECKING:
    from lookalike.api.workspace import Workspace
    from lookalike.cli.console import Console


_DAYS = re.compile(r"0*[1-9]\d{0,5}", re.ASCII)
_SUGGESTED = re.compile(r"\blookalike (?=[a-z])")


@dataclass(frozen=True)
class GlobalFlags:
    """The flags before the command."""

    workspace: Path
    console: "Console"
    engine: str = "local"
    ray_address: str | None = None

    def open(self, *, create: bool = False) -> "Workspace":
        """The workspace, reporting to the console.

        Raises SettingsError for an unknown engine, and StateError when there is no such folder and the command cannot
        create it.
        """
        from lookalike.api.workspace import open

        workspace = open(self.workspace, progress=self.console, engine=self.engine, ray_address=self.ray_address)
        if not create and not self.workspace.is_dir():
            raise StateError(f"{self.workspace}: no such folder", "lookalike ingest FILES creates it")
        return workspace

    def command(self, words: str) -> str:
        """A command to suggest, with the workspace it is for."""
        place = "" if self.workspace == Path(".") else f"--workspace {shlex.quote(str(self.workspace))} "
        return f"lookalike {place}{words}"

    def hint(self, text: str) -> str:
        """A hint whose commands are for the workspace."""
        return _SUGGESTED.sub(lambda _: self.command(""), text)


def flags_of(context: typer.Context) -> GlobalFlags:
    flags: GlobalFlags = context.obj.flags
    return flags


def parse_days(text: str | None) -> int | None:
    """`90d` or `90` as a number. Raises SettingsError for anything else."""
    if text is None:
        return None
    number = text.strip().lower().removesuffix("d")
    if not _DAYS.fullmatch(number):
        raise SettingsError(f"{text[:40]!r} is not a valid number of days", "--window 90d")
    return int(number)


def parse_day(flag: str, text: str | None) -> date | None:
    """An ISO date. Raises SettingsError for anything else."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{flag} {text[:40]!r} is not a date", f"{flag} 2026-12-31") from error


def parse_moment(text: str | None) -> datetime | None:
    """An ISO time as UTC without a zone. Raises SettingsError for anything else."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError) as error:  # the latter for a time before the year 1, or after 9999, in UTC
        raise SettingsError(
            f"--as-of {text[:40]!r} is not an ISO time", "--as-of 2026-03-01 or 2026-03-01T12:00"
        ) from error

"""What the global flags decide, and how single flags are read."""

from datetime import datetime
from pathlib import Path

import pytest

from lookalike.cli.console import Console
from lookalike.cli.context import GlobalFlags, parse_days, parse_moment
from lookalike.errors import SettingsError


def test_a_suggested_command_names_the_workspace_unless_it_is_the_current_folder() -> None:
    assert GlobalFlags(Path("."), Console()).command("train") == "lookalike train"
    assert GlobalFlags(Path("client"), Console()).command("train") == "lookalike --workspace client train"
    assert GlobalFlags(Path("a client"), Console()).command("train") == "lookalike --workspace 'a client' train"


def test_the_commands_of_a_hint_are_for_the_workspace() -> None:
    client = GlobalFlags(Path("a client"), Console())
    assert client.hint("lookalike train, or embed") == "lookalike --workspace 'a client' train, or embed"
    assert client.hint("--force; lookalike report x") == "--force; lookalike --workspace 'a client' report x"
    assert client.hint("lookalike COMMAND --help") == "lookalike COMMAND --help"
    assert GlobalFlags(Path("."), Console()).hint("lookalike train") == "lookalike train"


def test_an_unknown_engine_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="no engine is called 'spark'"):
        GlobalFlags(Path("client"), Console(), engine="spark").open()


@pytest.mark.parametrize(("text", "days"), [(None, None), ("90", 90), ("90d", 90), (" 7D ", 7)])
def test_days(text: str | None, days: int | None) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "d", "0", "0d", "-3d", "1.5d", "soon", "3w", "90dd", "²d"])
def test_anything_else_is_not_a_number_of_days(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a valid number of days"):
        parse_days(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("2026-03-01", datetime(2026, 3, 1)),
        ("2026-03-01T12:00", datetime(2026, 3, 1, 12)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10)),
    ],
)
def test_moments_become_utc_without_a_zone(text: str | None, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "01.03.2026", "2026-13-01"])
def test_anything_else_is_not_a_moment(text: str) -> None:
    with pytest.raises(SettingsError, match="is not an ISO time"):
        parse_moment(text)

"""Global flags may stand anywhere, and complaints about a command line are ours."""

import pytest
import typer

from lookalike.cli.app import app
from lookalike.cli.arguments import hoist_global_flags, usage_error

COMMANDS = ["ingest", "train", "embed", "expand", "overlap", "report", "status"]


@pytest.mark.parametrize(
    ("line", "hoisted"),
    [
        ("", ""),
        ("status", "status"),
        ("status -w space", "-w space status"),
        ("status --workspace space --json", "--workspace space --json status"),
        ("status --workspace=space", "--workspace=space status"),
        ("-w space status -q", "-w space -q status"),
        ("expand --seed s.csv -w space --size 5% --debug", "-w space --debug expand --seed s.csv --size 5%"),
        ("train --engine ray --ray-address=auto --epochs 3", "--engine ray --ray-address=auto train --epochs 3"),
        ("ingest a.csv -- --json -w", "ingest a.csv -- --json -w"),
        ("status -w", "-w status"),
        ("report --all --open", "report --all --open"),
    ],
)
def test_global_flags_are_moved_to_the_front(line: str, hoisted: str) -> None:
    assert hoist_global_flags(line.split()) == hoisted.split()


def test_every_global_flag_but_version_is_moved() -> None:
    root = typer.main.get_command(app)
    flags = [flag for parameter in root.params for flag in parameter.opts if parameter.name != "version"]
    stay = ("--install-completion", "--show-completion")
    for flag in flags:
        moved = hoist_global_flags(["status", flag, "value"])
        assert (moved[0] == "status") == (flag in stay), flag


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("expnd", "did you mean expand?"),
        ("trian", "did you mean train?"),
        ("stats", "did you mean status?"),
        ("xyz", f"commands: {', '.join(COMMANDS)}"),
    ],
)
def test_an_unknown_command_has_a_hint_with_the_nearest_name(name: str, hint: str) -> None:
    error = usage_error(Exception(f"No such command '{name}'."), COMMANDS)
    assert (error.message, error.hint, error.exit_code) == (f"no command is called {name!r}", hint, 2)


def test_a_very_long_command_is_cut() -> None:
    assert len(usage_error(Exception(f"No such command '{'x' * 1_000}'."), COMMANDS).message) < 80


def test_any_other_complaint_keeps_its_words() -> None:
    error = usage_error(typer.BadParameter("'three' is not a valid integer."), COMMANDS)
    assert error.message == "Invalid value: 'three' is not a valid integer"
    assert error.hint == "lookalike COMMAND --help shows what can be given"

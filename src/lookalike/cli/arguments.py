"""The words of a command line before Typer sees them, and its complaints in our form."""

import difflib
import re

from lookalike.errors import SettingsError

_SWITCHES = ("--json", "--quiet", "-q", "--debug")
_WITH_VALUE = ("--workspace", "-w", "--engine", "--ray-address")
_WITH_EQUALS = tuple(f"{flag}=" for flag in _WITH_VALUE)
_NO_COMMAND = re.compile(r"No such command '(?P<name>.*?)'")


def hoist_global_flags(words: list[str]) -> list[str]:
    """The words with global flags moved to the front, so that they may also stand after the command."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            rest += [word, *remaining]
        elif word in _SWITCHES or word.startswith(_WITH_EQUALS):
            front.append(word)
        elif word in _WITH_VALUE:
            front += [word, *[value for value in [next(remaining, None)] if value is not None]]
        else:
            rest.append(word)
    return front + rest


def usage_error(error: Exception, commands: list[str]) -> SettingsError:
    """Typer's complaint about a command line; its guess at an unknown command is replaced by a stricter one."""
    text: str = error.format_message() if hasattr(error, "format_message") else str(error)
    if unknown := _NO_COMMAND.search(text):
        near = difflib.get_close_matches(unknown["name"], commands, n=1, cutoff=0.65)
        hint = f"did you mean {near[0]}?" if near else f"commands: {', '.join(commands)}"
        return SettingsError(f"no command is called {unknown['name'][:40]!r}", hint)
    return SettingsError(text.rstrip("."), "lookalike COMMAND --help shows what can be given")

"""What is said when a call of the program fails or is interrupted."""

import sys
import traceback
from dataclasses import dataclass

from lookalike.cli.context import GlobalFlags
from lookalike.errors import LookalikeError


@dataclass
class Invocation:
    """One call of the program. The callback fills it in; `main` needs it when the call fails."""

    flags: GlobalFlags | None = None
    command: str = ""
    debug: bool = False


def say_interrupted(invocation: Invocation) -> None:
    """That nothing was lost, and how an interrupted training goes on."""
    sys.stderr.write("interrupted: nothing is half-written\n")
    flags = invocation.flags
    if flags and invocation.command == "train" and (flags.workspace / "runs" / "unfinished" / "state.json").exists():
        sys.stderr.write(f"hint: {flags.command('train --resume')} continues after the last whole epoch\n")


def failed(error: LookalikeError, invocation: Invocation) -> int:
    """Prints the error with its hint; gives the exit code."""
    from lookalike.cli.console import Console

    if invocation.flags:
        error.hint = invocation.flags.hint(error.hint)
    Console().error(error)
    if invocation.debug:
        traceback.print_exception(error)
    return error.exit_code

"""The program: global flags, the commands, and what becomes of errors.

A command parses its flags, calls the method of the same name, and shows the result.
"""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lookalike import __version__
from lookalike.cli.arguments import hoist_global_flags, usage_error
from lookalike.cli.audience_commands import expand, overlap, report, verify
from lookalike.cli.context import GlobalFlags, flags_of
from lookalike.cli.failure import Invocation, failed, say_interrupted
from lookalike.cli.log_commands import embed, ingest, remove_file, train
from lookalike.cli.process import end, prepare, was_interrupted
from lookalike.cli.suppress_commands import suppress
from lookalike.errors import INTERRUPTED, LookalikeError, translated_error

app = typer.Typer(
    name="lookalike",
    help="Find the people most similar to a seed audience in your own event log: ranked exactly, measured honestly.\n\n"
    "The usual order: ingest, train, expand, report.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lookalike {__version__}\n")
        raise typer.Exit


@app.callback()
def callback(
    context: typer.Context,
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", envvar="LOOKALIKE_WORKSPACE", help="Folder that holds the data.")
    ] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on stderr, and warnings about whom to suppress.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    engine: Annotated[str, typer.Option(help="Where the work is done: local, or ray for a cluster.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(envvar="RAY_ADDRESS", help="Ray cluster to join; if not given, one is started.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    from lookalike.cli.console import Console

    invocation: Invocation = context.obj
    invocation.debug, invocation.command = debug, context.invoked_subcommand or ""
    invocation.flags = GlobalFlags(workspace, Console(as_json, quiet), engine, ray_address)


for command in (ingest, remove_file, train, embed, expand, overlap, report, verify):
    app.command()(command)
app.add_typer(suppress, name="suppress")


@app.command()
def status(context: typer.Context) -> None:
    """Show what the workspace holds, and the next command."""
    from lookalike.cli import printed, tables

    flags = flags_of(context)
    result = flags.open().status()
    following = flags.command(tables.next_command(result))
    value = printed.PrintedStatus(**dict(result), next=following)
    flags.console.result(value.as_json(), *tables.status_tables(result, following))


# Typer keeps click's usage error in a private module; this is its public child's parent.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; gives the exit code. The only place that catches to print."""
    # Threads that spin while they wait lose nine tenths of their speed when another program uses a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = hoist_global_flags(list(sys.argv[1:] if argv is None else argv))
    try:
        return _run(words or ["--help"], Invocation())
    except (BrokenPipeError, SystemExit):  # Typer makes the former the latter
        return INTERRUPTED  # the reader of our output has gone: there is nobody to tell


def _run(words: list[str], invocation: Invocation) -> int:
    try:
        code = app(args=words, prog_name="lookalike", standalone_mode=False, obj=invocation) or 0
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        code = INTERRUPTED if was_interrupted() else failed(_known(error), invocation)
    if code == INTERRUPTED:  # Typer may turn the interrupt into its exit code by itself
        say_interrupted(invocation)
    return code


def _known(error: Exception) -> LookalikeError:
    """Any error as one of ours."""
    if isinstance(error, _UsageError):
        commands = [each.callback.__name__.replace("_", "-") for each in app.registered_commands if each.callback]
        commands += [group.name for group in app.registered_groups if group.name]
        return usage_error(error, commands)
    return error if isinstance(error, LookalikeError) else translated_error(error)


def entry() -> None:
    gc.set_threshold(100_000)  # imports make much and leave no cycles: looking for them takes a tenth of a second
    prepare()
    end(main())

"""The commands about the standing list: suppress add, list, remove."""

from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.context import flags_of, parse_day

suppress = typer.Typer(
    help="Who must not be listed: a standing list that every later expansion keeps to.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@suppress.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="List of user_ids.", metavar="FILE")],
    reason: Annotated[str, typer.Option(help="optout, customer, or campaign:NAME.")] = "optout",
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Last day (UTC) on which it holds; for ever if not given.")
    ] = None,
    allow_unmatched: Annotated[
        str | None,
        typer.Option(metavar="N%", help="Add it even if up to so many ids are nobody's in the log; 5% if not given."),
    ] = None,
) -> None:
    """Add a list of people who must not be listed.

    Ids count in any spelling: other case, quotes, leading zeros, a final .0.
    """
    from lookalike.cli import suppress_tables

    flags = flags_of(context)
    result = flags.open(create=True).suppress_add(
        file, reason=reason, until=parse_day("--until", until), allow_unmatched=allow_unmatched
    )
    flags.console.result(result.as_json(), *suppress_tables.added_tables(result))


@suppress.command("list")
def list_(context: typer.Context) -> None:
    """Show the lists that every expansion keeps to."""
    from lookalike.cli import suppress_tables

    result = flags_of(context).open().suppress_list()
    flags_of(context).console.result(result.as_json(), *suppress_tables.list_tables(result))


@suppress.command()
def remove(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="Number of a list; or a file of ids, which are removed from all lists as they are written there.",
            metavar="NUMBER|FILE",
        ),
    ],
) -> None:
    """Take a list, or single people, off the standing list."""
    from lookalike.cli import suppress_tables

    number = what.isascii() and what.isdecimal() and not Path(what).exists()
    result = flags_of(context).open().suppress_remove(int(what[:9]) if number else what)
    flags_of(context).console.result(result.as_json(), *suppress_tables.removed_tables(result))

"""The commands that read the log and learn from it: ingest, train, embed."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.context import flags_of, parse_days, parse_moment
from lookalike.errors import SettingsError


def ingest(
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Files, folders or globs: CSV, TSV, Parquet, JSON lines.", metavar="PATH")
    ],
    items: Annotated[Path | None, typer.Option(help="Table of items: item_id and attributes.")] = None,
    users: Annotated[Path | None, typer.Option(help="Table of users: user_id and attributes.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Which column is which field; repeat.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="COLUMN",
            help="Column to keep with each event, such as campaign; repeat, at most 8 in a workspace.",
        ),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times that name none, such as Europe/Berlin.")] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Remove what files brought that were read before, and read them anew."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the mapping and the first rows; write nothing.")
    ] = False,
) -> None:
    """Read event logs into the workspace. Files that were read before are skipped, repeated events dropped."""
    from lookalike.cli import tables

    flags, workspace = flags_of(context), flags_of(context).open(create=True)
    call = workspace.preview if dry_run else partial(workspace.ingest, again=again)
    result = call(
        paths,
        items=items,
        users=users,
        map=mapping,
        context=tuple(keep or ()),
        timezone=timezone,
    )
    flags.console.result(result.as_json(), *tables.ingest_tables(result))
    if not dry_run:
        step = workspace.next_step()
        # only this command names a run, which takes the slower status to find
        words = tables.next_command(workspace.status()) if step == "embed_run" else tables.NEXT_COMMANDS[step]
        flags.console.note(f"next: {flags.command(words)}")


def remove_file(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(help="Name of the file as it was ingested, its path, or the start of its hash.", metavar="FILE"),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; change nothing.")] = False,
) -> None:
    """Take out of the log what one file brought.

    Rows of other files that were dropped because this one had them first do not come back: it says which to read again.
    """
    from lookalike.cli import tables

    flags = flags_of(context)
    result = flags.open().remove_file(file, dry_run=dry_run)
    flags.console.result(result.as_json(), *tables.removal_tables(result))


def train(
    context: typer.Context,
    encoder: Annotated[str | None, typer.Option(help="transformer, gru, mean or skipgram.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="all_action, next_item, episodes, contrastive, reconstruct, skipgram; or a sum such as all_action+0.5*episodes."
        ),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Width of the user embedding.")] = None,
    window: Annotated[str | None, typer.Option(help="How far a sequence reaches back, such as 90d.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the log; chosen by its size if not given.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Only events before this time (UTC), such as 2026-03-01.")
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN", help="Warm start: a run, or the folder of one, to start the weights from."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training with its settings.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    random_seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
) -> None:
    """Train a user encoder and store every user's vectors.

    It is measured on the last days of the log, which are held out.
    """
    from lookalike.cli import tables

    flags = flags_of(context)
    result = flags.open().train(
        encoder=encoder,
        objective=objective,
        dim=dim,
        window=parse_days(window),
        epochs=epochs,
        as_of=parse_moment(as_of),
        from_run=from_run,
        resume=resume,
        device=device,
        random_seed=random_seed,
    )
    if result is None:  # a helper process of torchrun: the first process reports
        return
    flags.console.result(result.as_json(), *tables.train_tables(result))
    flags.console.note(f"next: {flags.command(tables.NEXT_COMMANDS['expand'])}")


def embed(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Option(help="A run, or the folder of one; that of the stored vectors if not given.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Only events before this time (UTC), such as 2026-03-01.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All users, not only those with new events.")] = False,
    sessions: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Event files of anonymous sessions: embed those instead of users; repeat."),
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="With --sessions: as for ingest; repeat.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Update the stored vectors of users with new events.

    The encoder is not trained again.
    """
    from lookalike.cli import tables

    flags = flags_of(context)
    if sessions:
        if as_of or full:
            raise SettingsError("--as-of and --full are not for --sessions", "all events of the files are read")
        vectors = flags.open().embed_sessions(sessions, run=run, map=mapping, device=device)
        flags.console.result(vectors.as_json(), *tables.sessions_tables(vectors))
        return
    if mapping:
        raise SettingsError("--map is only for --sessions", "lookalike ingest FILES --map FIELD=COLUMN")
    result = flags.open().embed(run=run, as_of=parse_moment(as_of), full=full, device=device)
    flags.console.result(result.as_json(), *tables.embed_tables(result))
    flags.console.note(f"next: {flags.command(tables.NEXT_COMMANDS['expand'])}")

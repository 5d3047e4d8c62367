"""The commands: each parses its flags, calls the method of the same name, and shows the result."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lookalike import __version__
from lookalike.cli.arguments import hoist_global_flags, usage_error
from lookalike.cli.context import GlobalFlags, parse_days, parse_moment
from lookalike.cli.failure import Invocation, failed, say_interrupted
from lookalike.errors import INTERRUPTED, LookalikeError, SettingsError, translated_error

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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")] = False,
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


def _flags(context: typer.Context) -> GlobalFlags:
    flags: GlobalFlags = context.obj.flags
    return flags


@app.command()
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the mapping and the first rows; write nothing.")
    ] = False,
) -> None:
    """Read event logs into the workspace. Files that were read before are skipped, repeated events dropped."""
    from lookalike.cli import tables

    flags, workspace = _flags(context), _flags(context).open(create=True)
    call = workspace.preview if dry_run else workspace.ingest
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


@app.command()
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

    flags = _flags(context)
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


@app.command()
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

    flags = _flags(context)
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


@app.command()
def expand(
    context: typer.Context,
    definitions: Annotated[
        list[Path] | None,
        typer.Argument(help="Audience definitions (TOML) instead of flags; all in one pass.", metavar="DEFINITION…"),
    ] = None,
    seed: Annotated[Path | None, typer.Option(help="List with a column user_id: the people to find more of.")] = None,
    seed_rule: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Instead of --seed: everybody who has done this, as category = DOG FOODS."),
    ] = None,
    size: Annotated[str | None, typer.Option(help="How many: 500000, 5%, or auto.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the audience; the seed file's if not given.")] = None,
    scorer: Annotated[str | None, typer.Option(help="auto, or a scorer of docs/concepts.md.")] = None,
    suppress: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="List of user_ids that must not be listed; repeat.")
    ] = None,
    negative: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Negative examples (churned, fraud): similar users rank lower; repeat."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="What made people seeds, as category = DOG FOODS; or an event type: read each only up to its first.",
        ),
    ] = None,
    as_of_now: Annotated[
        bool | None, typer.Option("--as-of-now", help="Read the seeds as they are, whatever they have done in common.")
    ] = None,
    include_doers: Annotated[
        bool | None,
        typer.Option("--include-doers", help="List people too who have done what the seeds have in common."),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="List only people who are this: country = FR; repeat.")
    ] = None,
    drop_features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Feature, as the report names it, that no scorer may read; the embedding goes too; repeat.",
        ),
    ] = None,
    disjoint_from: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Audience whose prospects are not listed again; repeat.")
    ] = None,
    split: Annotated[
        bool,
        typer.Option("--split", help="A list for each sub-audience of the seed, NAME-1, NAME-2, …; --size is of all."),
    ] = False,
    balance: Annotated[  # None leaves it to the definition, and so for reasons
        bool | None, typer.Option("--balance", help="Keep the shares of the seed's sub-audiences.")
    ] = None,
    reasons: Annotated[
        bool | None, typer.Option("--reasons", help="Write why each is listed: the closest cluster, and shared traits.")
    ] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Insist on a backtest on the latest seeds; needs ts or --before.")
    ] = False,
    form: Annotated[str | None, typer.Option("--format", help="csv or parquet.")] = None,
    min_lift: Annotated[
        float | None, typer.Option(help="Lift that the last half of an auto size must reliably exceed; 1 if not given.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the list against the verdict; of fewer than 25 seeds only figures.")
    ] = False,
) -> None:
    """Rank everybody by similarity to a seed and write the list.

    How good the list is, is measured on held-out members of the seed.

    Exits with 5 and writes no list if it would not be reliably better than chance, or if the seed's members share no
    more than high activity, or are too many to tell.
    """
    from lookalike.cli import tables

    flags = _flags(context)
    results = flags.open().expand_all(
        definitions or (),
        seed=seed,
        size=size,
        split=split,
        name=name,
        scorer=scorer,
        suppress=suppress or (),
        negative=negative or (),
        seed_rule=seed_rule,
        before=before,
        as_of_now=as_of_now,
        include_doers=include_doers,
        where=where or (),
        drop_features=drop_features or (),
        disjoint_from=disjoint_from or (),
        balance=balance,
        reasons=reasons,
        format=form,  # type: ignore[arg-type]  # checked with the definition
        backtest=backtest,
        min_lift=min_lift,
        force=force,
    )
    summaries = [result.summary().as_json() for result in results]
    several = split or len(results) > 1
    shown = [row for result in results for row in tables.expand_tables(result)]
    flags.console.result({"audiences": summaries} if several else summaries[0], *shown)
    refused = [result for result in results if result.prospects_file is None]
    if len(refused) == len(results):
        raise tables.refusal(refused[0])
    for result in refused:
        flags.console.note(f"warning: {result.name}: no list was written: {tables.refusal(result).message}")
    written = [flags.command(f"report {result.name}") for result in results if result.prospects_file]
    flags.console.note(f"next: {', '.join(written)}")


@app.command()
def overlap(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Audiences to compare, two or more.", metavar="NAME…")],
) -> None:
    """Show how many people several lists share."""
    from lookalike.cli import tables

    result = _flags(context).open().overlap(*names)
    _flags(context).console.result(result.as_json(), *tables.overlap_tables(result))


@app.command()
def report(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of the audience; the newest if not given.", metavar="NAME")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print every figure, not only the main ones.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show how good a list is, here and as an HTML page."""
    from lookalike.cli import printed, report_tables

    flags = _flags(context)
    result = flags.open().report(name)
    if name is None:
        made = result.evaluation.created[:16].replace("T", " ")
        flags.console.note(f"the newest audience: {result.evaluation.name}, made {made} UTC")
    value = printed.PrintedReport(**dict(result.evaluation), page=str(result.path))
    flags.console.result(value.as_json(), *report_tables.report_tables(result.evaluation, everything=everything))
    if not everything:
        flags.console.note(f"more: {flags.command(f'report {result.evaluation.name} --all')}")
    flags.console.note(f"page: {result.path}")
    if open_page and result.path:
        typer.launch(result.path.resolve().as_uri())


@app.command()
def status(context: typer.Context) -> None:
    """Show what the workspace holds, and the next command."""
    from lookalike.cli import printed, tables

    flags = _flags(context)
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
    invocation = Invocation()
    try:
        code = app(args=words or ["--help"], prog_name="lookalike", standalone_mode=False, obj=invocation) or 0
    except _UsageError as error:
        commands = [each.callback.__name__ for each in app.registered_commands if each.callback]
        return failed(usage_error(error, commands), invocation)
    except LookalikeError as error:
        return failed(error, invocation)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our pipe has gone: there is nobody to tell
        return 1
    except Exception as error:
        return failed(translated_error(error), invocation)
    if code == INTERRUPTED:  # Typer may turn the interrupt into its exit code by itself
        say_interrupted(invocation)
    return code


def entry() -> None:
    gc.set_threshold(100_000)  # imports make much and leave no cycles: looking for them takes a tenth of a second
    sys.exit(main())

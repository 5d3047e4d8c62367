"""The command line: parse, one call into `pipeline`, the result to `console`. Nothing heavy is imported before it is needed."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lookalike import __version__
from lookalike.cli.context import CliContext, begin, begun, days, edge, moment
from lookalike.errors import INTERRUPTED, LookalikeError, SettingsError, translated_error
from lookalike.workspace.paths import WorkspaceFolder

app = typer.Typer(
    name="lookalike",
    help="Find the people most like a seed audience in your own event log: ranked exactly, measured honestly.\n\n"
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
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", envvar="LOOKALIKE_WORKSPACE", help="Folder that holds the data.")
    ] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    engine: Annotated[str, typer.Option(help="Who does the work: local, or ray for a cluster.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(envvar="RAY_ADDRESS", help="Ray cluster to join; one is started if not given.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    from lookalike.cli.console import Console

    begin(CliContext(WorkspaceFolder(workspace), Console(as_json, quiet), debug, engine, ray_address))


@app.command()
def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Files, folders or globs: CSV, TSV, Parquet, JSON lines.", metavar="PATH")
    ],
    items: Annotated[Path | None, typer.Option(help="Table of items: item_id and attributes.")] = None,
    users: Annotated[Path | None, typer.Option(help="Table of users: user_id and attributes.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Which column is which field; repeat.")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Column to keep with each event, such as campaign; repeat, at most 8 a workspace."
        ),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times that name none, such as Europe/Berlin.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the mapping and the first rows; write nothing.")
    ] = False,
) -> None:
    """Read event logs into the workspace. Files read before are skipped, repeated events dropped."""
    pass
    from lookalike.api import ingest as ingest_module
    from lookalike.cli import tables
    from lookalike.data.ingest.options import IngestOptions, parse_context, parse_mapping

    settings = edge().settings().ingest
    options = IngestOptions(
        items,
        users,
        parse_mapping(mapping or []),
        timezone or settings.timezone,
        settings.max_rejected_share,
        parse_context(context or []),
    )
    console = edge().console
    if dry_run:
        preview = ingest_module.preview(paths, options)
        console.result(preview.as_json(), *tables.of_preview(preview))
        return
    result = ingest_module.ingest(edge().workspace, paths, options, console)
    console.result(result.as_json(), *tables.of_ingest(result))
    command = ingest_module.after_ingest(edge().workspace)
    console.note(f"next: lookalike {'expand --seed seed.csv --size 5%' if command == 'expand' else command}")


@app.command()
def train(
    encoder: Annotated[str | None, typer.Option(help="transformer, gru, mean or skipgram.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="all_action, next_item, episodes, contrastive, reconstruct, skipgram; or a sum such as all_action+0.5*episodes."
        ),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Width of the user embedding.")] = None,
    window: Annotated[str | None, typer.Option(help="How far a sequence reaches back, such as 90d.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the log; from its size if not given.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Only events before this time (UTC), such as 2026-03-01.")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="A run, or the folder of one, whose weights to go on from."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted training, as it was begun.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    random_seed: Annotated[int | None, typer.Option("--seed", help="Number that fixes all chance.")] = None,
) -> None:
    """Fit a user encoder on the log, measure it on held-out days, and store every user's vectors."""
    from lookalike.api import train as train_module
    from lookalike.api.train import TrainRequest
    from lookalike.cli import tables
    from lookalike.workspace.settings import with_flags

    pass

    flags = {"encoder": encoder, "objective": objective, "dim": dim, "window_days": days(window), "epochs": epochs}
    settings = with_flags(edge().settings().train, **flags, random_seed=random_seed)
    request = TrainRequest(settings, moment(as_of), resume, device, start_from)
    console = edge().console
    done = (edge().engine() or train_module).train(edge().workspace, request, console)
    if not done:  # one of several processes: the first one speaks
        return
    console.result(done, *tables.of_train(done))
    console.note("next: lookalike expand --seed seed.csv --size 5%")


@app.command()
def embed(
    run: Annotated[
        str | None, typer.Option(help="A run, or the folder of one; that of the stored vectors if not given.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Only events before this time (UTC), such as 2026-03-01.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Everybody, not only users with new events.")] = False,
    sessions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Event files of anonymous sessions: their vectors instead of users'; repeat."
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="With --sessions: as for ingest; repeat.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Refresh the stored vectors of users whose events changed, by an encoder that was trained before."""
    from lookalike.api import embed as embed_module
    from lookalike.api import embed_sessions
    from lookalike.api.embed import EmbedRequest
    from lookalike.cli import tables
    from lookalike.data.ingest.options import IngestOptions, parse_mapping

    console = edge().console
    if sessions and (as_of or full):
        raise SettingsError("--as-of and --full are not for --sessions", "all events of the files are read")
    if sessions:
        options = IngestOptions(mapping=parse_mapping(mapping or []), timezone=edge().settings().ingest.timezone)
        made = embed_sessions.embed_sessions(
            edge().workspace, embed_sessions.SessionsRequest(sessions, run, options, device), console
        )
        console.result(made, *tables.of_sessions(made))
        return
    if mapping:
        raise SettingsError("--map is only for --sessions", "lookalike ingest FILES --map FIELD=COLUMN")
    done = embed_module.embed(
        edge().workspace, EmbedRequest(run, moment(as_of), full, device, edge().engine()), console
    )
    console.result(done, *tables.of_embed(done))
    console.note("next: lookalike expand --seed seed.csv --size 5%")


@app.command()
def expand(
    definitions: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Audience definitions (TOML) instead of the flags; all in one pass.", metavar="DEFINITION…"
        ),
    ] = None,
    seed: Annotated[Path | None, typer.Option(help="CSV with a column user_id: the people to find more of.")] = None,
    size: Annotated[str | None, typer.Option(help="How many: 500000, 5%, or auto.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the audience; the seed file's if not given.")] = None,
    scorer: Annotated[str | None, typer.Option(help="auto, or a scorer of docs/concepts.md.")] = None,
    suppress: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="CSV of user_ids that must not be listed; repeat.")
    ] = None,
    negative: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="CSV of user_ids whose like is pushed back (churned, fraud), not left out; repeat."
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Read each seed only up to its first event of this type.")
    ] = None,
    drop_features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Feature, as the warning names it, that no scorer may read, nor the embedding; repeat."
        ),
    ] = None,
    disjoint_from: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Audience whose people are not to be listed again; repeat.")
    ] = None,
    split: Annotated[
        bool,
        typer.Option("--split", help="A list for each sub-audience of the seed, NAME-1, NAME-2, …; --size is of all."),
    ] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Keep the shares that the seed's sub-audiences have in the list.")
    ] = False,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Write why each is listed: the part of the seed, and what both have met.")
    ] = False,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Insist on a test on the seeds that came last; needs ts or --before.")
    ] = False,
    form: Annotated[str | None, typer.Option("--format", help="csv or parquet.")] = None,
    min_lift: Annotated[
        float | None, typer.Option(help="Lift that the last half of an auto size must surely have; 1 if not given.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the list against the verdict; measure fewer than 25 seeds.")
    ] = False,
) -> None:
    """Rank everybody by likeness to a seed and write the list, with how good it is on held-out people.

    Exits with 5 and writes no list when it would not surely be better than chance, or the seed has no more in common
    than random people who are as active.
    """
    from lookalike.api import expand as expand_module
    from lookalike.cli import tables
    from lookalike.expansion import audience
    from lookalike.workspace.settings import with_flags

    asked = audience.parse_size(size) if size is not None else None
    flags: dict[str, object] = {"name": name, "seed": seed, "size": asked, "scorer": scorer, "before": before}
    flags |= {"balance": balance or None, "reasons": reasons or None, "format": form}
    more = {"suppress": suppress, "negative": negative, "disjoint_from": disjoint_from, "drop_features": drop_features}
    wanted = audience.requested_audiences(definitions or [], flags, more)
    console = edge().console
    settings = with_flags(edge().settings().expand, min_lift=min_lift)
    how = expand_module.How(force, split, backtest, edge().engine())
    done = expand_module.expand(edge().workspace, wanted, settings, how, console)
    several = split or len(wanted) > 1
    console.result({"audiences": done} if several else done[0], *(row for one in done for row in tables.of_expand(one)))
    written = [one["name"] for one in done if one["prospects"]]
    if not written:
        raise expand_module.refused(done[0])
    for one in done:
        if one["prospects"] is None:
            console.note(f"warning: {expand_module.refused(one).message} ({one['name']}: no list was written)")
    console.note(f"next: {', '.join(f'lookalike report {name}' for name in written)}")


@app.command()
def overlap(
    names: Annotated[list[str], typer.Argument(help="Audiences to compare, two or more.", metavar="NAME…")],
) -> None:
    """Show how many people the lists of several audiences share."""
    from lookalike.api import overlap as overlap_module
    from lookalike.cli import tables

    if len(set(names)) < 2:
        raise SettingsError("two different audiences are needed", "lookalike status names those there are")
    done = overlap_module.overlap(edge().workspace, list(dict.fromkeys(names)))
    edge().console.result(done, *tables.of_overlap(done))


@app.command()
def report(
    name: Annotated[
        str | None, typer.Argument(help="Name of the audience; the newest if not given.", metavar="NAME")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show how good a list is and what its people do more than others, here and as an HTML page."""
    from lookalike.api import report as report_module
    from lookalike.cli.report_tables import report_tables

    console = edge().console
    found, page = report_module.report(edge().workspace, name)
    if name is None:
        console.note(f"the newest audience: {found['name']}, made {found['created'][:16].replace('T', ' ')} UTC")
    console.result(found | {"page": str(page)}, *report_tables(found))
    console.note(f"page: {page}")
    if open_page:
        typer.launch(page.resolve().as_uri())


@app.command()
def status() -> None:
    """Show what the workspace holds, and the next command."""
    from lookalike.api import status as status_module
    from lookalike.cli import tables

    done = status_module.status(edge().workspace)
    edge().console.result(done, *tables.of_status(done))


# Typer keeps click's usage error in a private module; this is its public child's parent.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; gives the exit code. The only place that catches to print."""
    begin(None)
    # Threads that spin while they wait lose nine tenths of their speed when another program uses a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(args=words or ["--help"], prog_name="lookalike", standalone_mode=False) or 0
    except _UsageError as error:
        return _failed(SettingsError(_said(error), "lookalike COMMAND --help shows what can be given"))
    except LookalikeError as error:
        return _failed(error)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our pipe left: nobody is to be told
        return 1
    except Exception as error:
        return _failed(translated_error(error))
    if code == INTERRUPTED:  # Typer may turn the interrupt into its exit code by itself
        sys.stderr.write("interrupted: nothing is half-written\n")
        if (at := begun()) and "train" in words and (at.workspace.runs / "unfinished" / "state.json").exists():
            sys.stderr.write("hint: lookalike train --resume goes on after the last whole epoch\n")
    return code


def _failed(error: LookalikeError) -> int:
    from lookalike.cli.console import Console

    Console().error(error)
    if (at := begun()) and at.debug:
        traceback.print_exception(error)
    return error.exit_code


def _said(error: Exception) -> str:
    said: str = error.format_message() if hasattr(error, "format_message") else str(error)
    return said.rstrip(".")


def entry() -> None:
    sys.exit(main())

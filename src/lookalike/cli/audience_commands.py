"""The commands about audiences: expand, overlap, report, verify."""

from pathlib import Path
from typing import Annotated

import typer

from lookalike.cli.context import flags_of


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
    allow_unmatched: Annotated[
        str | None,
        typer.Option(
            metavar="N%",
            help="Go on if up to so many ids of a list to suppress are nobody's in the log; 5% if not given.",
        ),
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
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Make the list though the audience's last one is much longer, or had suppression files, conditions or reasons.",
        ),
    ] = False,
) -> None:
    """Rank everybody by similarity to a seed and write the list.

    How good the list is, is measured on held-out members of the seed. Earlier lists of the audience are kept.

    Exits with 5 and writes no list if it would not be reliably better than chance, or if the seed's members share no
    more than high activity, or are too many to tell.
    """
    from lookalike.cli import tables

    flags = flags_of(context)
    results = flags.open().expand_all(
        definitions or (),
        seed=seed,
        size=size,
        split=split,
        name=name,
        scorer=scorer,
        suppress=suppress or (),
        allow_unmatched=allow_unmatched,
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
        replace=replace,
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


def overlap(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Audiences to compare, two or more.", metavar="NAME…")],
) -> None:
    """Show how many people several lists share."""
    from lookalike.cli import tables

    result = flags_of(context).open().overlap(*names)
    flags_of(context).console.result(result.as_json(), *tables.overlap_tables(result))


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

    flags = flags_of(context)
    result = flags.open().report(name)
    if name is None:
        made = result.evaluation.created[:16].replace("T", " ")
        flags.console.note(f"the newest audience: {result.evaluation.name}, made {made} UTC")
    value = printed.PrintedReport(**dict(result.evaluation), page=str(result.path) if result.path else None)
    flags.console.result(value.as_json(), *report_tables.report_tables(result.evaluation, everything=everything))
    if not everything:
        flags.console.note(f"more: {flags.command(f'report {result.evaluation.name} --all')}")
    flags.console.note(f"page: {result.path or 'not written, this folder cannot be written to'}")
    if open_page and result.path:
        typer.launch(result.path.resolve().as_uri())


def verify(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="Name of the audience; if not given, the live vectors and their run.", metavar="NAME"),
    ] = None,
) -> None:
    """Show whether lists, vectors and runs are still what was written.

    Every file is compared with the hash in its manifest. Exits with 4 if one has changed, or is missing where it must be.
    """
    from lookalike.cli import tables

    flags = flags_of(context)
    result = flags.open().verify(name)
    flags.console.result(result.as_json(), *tables.verify_tables(result))
    if not result.held:
        raise tables.not_held(result)

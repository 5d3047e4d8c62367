"""Results as tables for people. Cells are shown as they are, never read as markup."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from lookalike.errors import ExpansionError, StateError
from lookalike.reporting.encoder_section import COLUMNS, block_rows, encoder_sentence
from lookalike.reporting.formatting import count, day, likely, percent, printable, times
from lookalike.reporting.ingest_messages import check_sentence, missing_rows, note_sentence
from lookalike.reporting.rule_section import measured_by, rule_sentence, where_sentence
from lookalike.reporting.verdict_text import failed_checks, headline, leak_caution, lines

if TYPE_CHECKING:
    from lookalike.api.expand import ExpandResult
    from lookalike.api.status import ExpansionSummary, StatusResult, VectorSummary
    from lookalike.api.verify import VerifyResult
    from lookalike.campaigns.overlap import OverlapResult
    from lookalike.data.ingest.results import FilePreview, FileReport, IngestPreview, IngestResult, RemoveResult
    from lookalike.encoder.block_figures import BlockComparison
    from lookalike.encoder.results import EmbedResult, SessionsResult, TrainResult
    from lookalike.expansion.result import Evaluation
    from lookalike.expansion.suppression_figures import Suppression

Shown = Table | str
NEXT_COMMANDS = {
    "ingest": "ingest FILES",
    "train": "train",
    "embed": "embed",
    "embed_run": "embed --run {run}",
    "expand": "expand --seed seed.csv --size 5%",
    "report": "report",
}

_MAKES_AGAIN = {
    "input": "lookalike expand makes a new list of it",
    "list": "lookalike expand writes it again",
    "vectors": "lookalike embed --full writes them again",
    "run": "lookalike train makes a new run",
}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], numeric: Sequence[int] = ()) -> Table:
    """A plain table; the columns with these positions are right-aligned."""
    shown = Table(title=escape(printable(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        right = position in numeric
        shown.add_column(escape(printable(column)), justify="right" if right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(printable(str(cell))) for cell in row))
    return shown


# --- ingest ----------------------------------------------------------------------------------------------------------


def ingest_tables(result: "IngestResult | IngestPreview") -> list[Shown]:
    """What became of the files, or of a preview how they would be read."""
    from lookalike.data.ingest.results import IngestPreview

    return _preview_tables(result) if isinstance(result, IngestPreview) else _result_tables(result)


def _result_tables(result: "IngestResult") -> list[Shown]:
    """What became of the files, what is stored now, and what looks wrong."""
    rows = [[file.name, file.kind, *_file_counts(file)] for file in result.files]
    columns = ["File", "Kind", "Rows", "Added", "Duplicates", "Rejected"]
    totals = result.totals
    stored = (
        f"Stored now: {totals.events:,} events of {totals.users:,} users and {totals.items:,} items, "
        f"{day(totals.first)} to {day(totals.last)}"
    )
    shown: list[Shown] = [table("Files", columns, rows, (2, 3, 4, 5)), "", stored]
    rejected = [[file.name, reason, f"{rows:,}"] for file in result.files for reason, rows in file.rejected.items()]
    if rejected:
        shown += ["", table("Rejected", ["File", "Reason", "Rows"], rejected, (2,))]
    if result.checks:
        checks = [[check.severity, check.check, check_sentence(check)] for check in result.checks]
        shown += ["", table("Worth a look", ["", "Check", ""], checks)]
    return shown


def removal_tables(result: "RemoveResult") -> list[Shown]:
    """What was removed, and which files are to be read again."""
    rows = [[file.name, file.sha256[:12], file.kind, count(file.rows), count(file.added)] for file in result.removed]
    title = "Would be removed" if result.dry_run else "Removed"
    shown: list[Shown] = [table(title, ["File", "Hash", "Kind", "Rows", "Stored"], rows, (3, 4))]
    again = tuple(dict.fromkeys(name for file in result.removed for name in file.ingest_again))
    return [*shown, "", escape(printable(missing_rows(again)))] if again else shown


def _file_counts(file: "FileReport") -> list[str]:
    if file.skipped:
        return ["read before", "", "", ""]
    return [count(n) for n in (file.rows, file.added, file.duplicates, sum(file.rejected.values()))]


def _preview_tables(preview: "IngestPreview") -> list[Shown]:
    """How each file would be read, with its first rows."""
    return [shown for file in preview.files for shown in (*_file_preview(file), "")]


def _file_preview(file: "FilePreview") -> list[Shown]:
    title = f"{file.name} ({file.format}, {file.kind})"
    shown: list[Shown] = [table(title, ["Field", "Column"], [list(pair) for pair in file.mapping.items()])]
    about = [f"time: {file.time}"] if file.time else []
    about += [f"encoding: {file.encoding}"] if file.encoding not in ("", "utf-8") else []
    about += [f"not used: {', '.join(file.unused)}"] if file.unused else []
    about += [f"note: {note_sentence(note)}" for note in file.notes]
    shown += [escape(printable(line)) for line in about]
    if file.stored:
        fields = [name for name in file.stored[0] if any(row[name] is not None for row in file.stored)]
        stored = [[row[name] or "" for name in fields] for row in file.stored]
        return [*shown, table("First rows as stored", fields, stored)]
    return [*shown, table("First rows", file.columns, [[cell or "" for cell in row] for row in file.rows])]


# --- train, embed ----------------------------------------------------------------------------------------------------


def train_tables(result: "TrainResult") -> list[Shown]:
    """Held-out figures of the encoder beside its baselines."""
    advice = "A list depends on more than the encoder: judge it by the lift that expand measures."
    return [*_next_item_tables(result), "", *_audience_tables(result), "", _train_summary(result), advice]


def _next_item_tables(result: "TrainResult") -> list[Shown]:
    """How well each method names the next items of held-out users."""
    figures = result.figures
    if not figures.held_out_users:
        return ["Hardly anybody has items both before and in the held-out days: no method could be judged by them."]
    late = figures.popularity_of_late
    methods = {
        "this encoder": figures.encoder,
        "item neighbours": figures.item_neighbours,
        "popularity": figures.popularity,
        f"popularity of the last {_span(late.days)}": late.metrics,
    }
    rows = [[name, f"{metrics['recall@20']:.4f}", f"{metrics['ndcg@20']:.4f}"] for name, metrics in methods.items()]
    judged = (
        "full catalogue" if figures.items_judged == result.items else f"the {figures.items_judged:,} most common items"
    )
    title = f"New items of {figures.held_out_users:,} held-out users, {judged}"
    if figures.weights_had_seen:
        title += " (not held out: the weights it started from had seen them)"
    return [table(title, ["", "Recall@20", "NDCG@20"], rows, (1, 2))]


def _span(days: float) -> str:
    """A day or more in days, less in hours."""
    number, unit = (days, "day") if days >= 1 else (days * 24, "hour")
    return f"{number:.0f} {unit}{'s' * (round(number) != 1)}"


def _train_summary(result: "TrainResult") -> str:
    text = (
        f"{_people(result)} embedded as {result.version} by run {result.run}, best epoch {result.best_epoch} of "
        f"{result.epochs}"
    )
    coverage = result.figures.coverage
    if coverage.users and coverage.encoder is not None and coverage.with_5_events is not None:
        text += (
            f"; of the {coverage.users:,} users who came after the cut {coverage.encoder:.0%} had a vector of their own "
            f"(a method that needs 5 events would have covered {coverage.with_5_events:.0%})"
        )
    return text


def _people(counts: "TrainResult | EmbedResult | VectorSummary") -> str:
    """How many people have a vector, and how many of them no event, where there are such people."""
    without = f" ({counts.without_events:,} of them without events)" if counts.without_events else ""
    return f"{counts.users:,} users{without}"


def _audience_tables(result: "TrainResult") -> list[Shown]:
    """What the centroid of each space finds of held-out audiences, and how that depends on the number of events."""
    drawn = result.figures.audiences
    if not drawn.audiences:
        return ["The log is too small to draw audiences from: nothing could be tuned or evaluated by lift."]
    names = {
        "sequence": "this encoder",
        "taste": "what it learned, alone",
        "content": "items met, not learned",
        "activity": "number of events",
    }
    spaces = [[label, _lift(drawn.lift[name])] for name, label in names.items()]
    by_events = [
        [events, f"{group.users:,}", f"{group.metrics['recall@20']:.4f}", _lift(drawn.sequence_by_events.get(events))]
        for events, group in result.figures.recall_by_events.items()
        if group.users
    ]
    title = f"Lift@5% of the centroid, {drawn.audiences} held-out audiences drawn from the log"
    columns = ["Events", "Users", "Recall@20", "Lift@5%"]
    return [
        table(title, ["", "Lift@5%"], spaces, (1,)),
        "",
        *_block_tables(drawn.blocks),
        table("By number of events, each group by itself", columns, by_events, (1, 2, 3)),
    ]


def _block_tables(blocks: "BlockComparison | None") -> list[Shown]:
    """What the embedding adds to plain counts, where that could be measured."""
    if blocks is None:
        return []
    title = f"A logistic model given up to 50 members, {blocks.measured} of these audiences"
    return [block_table(title, blocks), encoder_sentence(blocks), ""]


def block_table(title: str, blocks: "BlockComparison") -> Table:
    """A logistic model on plain counts, on the embedding and on both; below each figure its interval."""
    rows = [
        line
        for name, cells in block_rows(blocks)
        for line in ([name, *(cell.value for cell in cells)], ["", *(cell.interval for cell in cells)])
    ]
    return table(title, COLUMNS, rows, range(1, len(COLUMNS)))


def _lift(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def embed_tables(result: "EmbedResult") -> list[Shown]:
    """How many users were embedded."""
    return [f"{result.refreshed:,} of {_people(result)} embedded again by {result.run}, as {result.version}"]


def sessions_tables(result: "SessionsResult") -> list[Shown]:
    """Where the vectors of sessions are."""
    return [f"{result.sessions:,} sessions embedded by {result.run}: {result.path}"]


# --- expand, overlap -------------------------------------------------------------------------------------------------


def expand_tables(result: "ExpandResult") -> list[Shown]:
    """The verdict, and where the list is."""
    evaluation = result.evaluation
    seed, suppression = evaluation.seed, evaluation.suppression
    requested = f" ({evaluation.size:,} were requested)" if evaluation.verdict.up_to else ""
    rows = [
        ["verdict", headline(evaluation) + requested],
        *(["", line.text] for line in lines(evaluation)),
        *([["for", where_sentence(evaluation.where)]] if evaluation.where else []),
        *([["rule", rule_sentence(evaluation.rule)]] if evaluation.rule else []),
        *([["measured on", measured_by(evaluation)]] if evaluation.forecast else []),
        *([["caution", caution]] if (caution := leak_caution(evaluation)) else []),
        ["scorer", evaluation.scorer],
        ["seeds matched", f"{seed.matched:,} ({percent(seed.match_rate)}), {seed.used:,} used"],
        *([["suppressed", _suppressed(suppression)]] if suppression.given else []),
        ["size", f"{evaluation.size:,} of {evaluation.candidates:,} candidates"],
        *([["backtest", _backtest(evaluation)]] if evaluation.backtest else []),
        ["list", str(result.prospects_file or "none was written")],
        *([["reasons", str(result.reasons_file)]] if result.reasons_file else []),
        ["figures", str(result.folder / "evaluation.json")],
    ]
    return [table(evaluation.name, ["", ""], rows)]


def _suppressed(suppression: "Suppression") -> str:
    alike = f", and {suppression.alike:,} with an id like them" if suppression.alike else ""
    return f"{suppression.matched:,} known users of {suppression.given:,} ids given{alike}"


def _backtest(evaluation: "Evaluation") -> str:
    assert evaluation.backtest is not None
    ours, plain = evaluation.backtest.lifts[evaluation.scorer], evaluation.backtest.lifts["plain"]
    return (
        f"{times(ours.lift)} on later seeds for the list of {day(evaluation.backtest.cut)} ({likely(ours.low, ours.high)}); "
        f"leakage-free baseline {times(plain.lift)}"
    )


def refusal(result: "ExpandResult") -> ExpansionError:
    """The error that a command ends with when no list was written."""
    evaluation = result.evaluation
    reason = "no list was written; --force writes it"
    if any(check.name == "enough_seeds" for check in evaluation.verdict.failed):
        reason = "even --force makes no list from so few seeds"
    return ExpansionError(
        f"do not expand: {'; '.join(failed_checks(evaluation))}",
        f"{reason}; lookalike report {evaluation.name} shows the figures",
    )


def overlap_tables(result: "OverlapResult") -> list[Shown]:
    """The people two lists share, as a matrix, and how many are on several lists."""
    names, sizes = list(result.sizes), result.sizes
    both = {frozenset((pair.first, pair.second)): pair.both for pair in result.pairs}
    rows = []
    for name in names:
        shared = [sizes[name] if name == other else both[frozenset((name, other))] for other in names]
        rows.append([name, *(f"{people:,} ({people / max(1, sizes[name]):.0%})" for people in shared)])
    by_lists = [[str(row.lists), f"{row.people:,}"] for row in result.by_lists]
    return [
        table("People on both (share of the row's list)", ["", *names], rows),
        table("", ["On lists", "People"], by_lists),
    ]


# --- status ----------------------------------------------------------------------------------------------------------


def verify_tables(result: "VerifyResult") -> list[Shown]:
    """Every file, and whether it is what was written."""
    rows = [[file.kind, file.name, file.state] for file in result.files]
    return [table(result.name or "Live vectors and their run", ["", "File", ""], rows)]


def not_held(result: "VerifyResult") -> StateError:
    """The error that `verify` ends with."""
    faults = result.faults
    return StateError(
        f"{len(faults):,} of {len(result.files):,} files are not what was written, such as {faults[0].name}",
        _MAKES_AGAIN[faults[0].kind],
    )


def status_tables(result: "StatusResult", following: str) -> list[Shown]:
    """What is here, and what comes next."""
    log, vectors = result.log, result.vectors
    events = "being written: another command is at work" if result.writing else count(log.events if log else 0)
    rows = [["workspace", result.workspace], ["events", events]]
    if log:
        people = [["people without events", count(log.without_events)]] if log.without_events else []
        rows += [["users", count(log.users)], *people, ["items", count(log.items)]]
        rows += [["from, to", f"{day(log.first)} to {day(log.last)}"], ["files", count(log.files)]]
    if result.suppressed:
        rows.append(["ids suppressed", count(result.suppressed)])
    rows.append(["trained runs", ", ".join(run.run for run in result.runs) or "none"])
    stored = f"{_people(vectors)} by {vectors.run}, as of {day(vectors.as_of)}" if vectors else "none"
    rows.append(["vectors", stored])
    rows += [["expansion", f"{made.name}: {_listed(made)}"] for made in result.expansions]
    rows.append(["next", following])
    return [table("Status", ["", ""], rows)]


def _listed(expansion: "ExpansionSummary") -> str:
    earlier = f" ({expansion.versions - 1:,} earlier kept)" if expansion.versions > 1 else ""
    return (f"{expansion.prospects:,} prospects" if expansion.prospects else "refused, no list") + earlier


def next_command(result: "StatusResult") -> str:
    """The words of the command that comes next."""
    return NEXT_COMMANDS[result.next_step].format(run=result.runs[-1].run if result.runs else "")

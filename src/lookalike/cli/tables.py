"""Results as tables for people. Cells are shown as they are, never read as markup."""

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from lookalike.data.ingest.results import FilePreview, FileReport, IngestPreview, IngestResult
from lookalike.reporting.formatting import printable
from lookalike.reporting.ingest_messages import check_sentence, note_sentence

Result = dict[str, Any]


Shown = Table | str


def table(title: str, columns: list[str], rows: list[list[Any]], numeric: tuple[int, ...] = ()) -> Table:
    """A plain table whose cells are shown as they are, never read as markup."""
    made = Table(title=escape(printable(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        made.add_column(escape(printable(column)), justify="right" if position in numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(escape(printable(str(cell))) for cell in row))
    return made


def of_ingest(result: IngestResult) -> list[Shown]:
    """What became of the files, what the workspace holds now, and what looks wrong."""
    rows = [[file.name, file.kind, *_file_counts(file)] for file in result.files]
    columns = ["File", "Kind", "Rows", "Added", "Duplicates", "Rejected"]
    totals = result.totals
    held = (
        f"Held now: {totals.events:,} events of {totals.users:,} users and {totals.items:,} items, "
        f"{_date(totals.first)} to {_date(totals.last)}"
    )
    shown: list[Shown] = [table("Files", columns, rows, (2, 3, 4, 5)), "", held]
    rejected = [[file.name, reason, f"{n:,}"] for file in result.files for reason, n in file.rejected.items()]
    if rejected:
        shown += ["", table("Rejected", ["File", "Reason", "Rows"], rejected, (2,))]
    if result.checks:
        checks = [[check.severity, check.check, check_sentence(check)] for check in result.checks]
        shown += ["", table("Worth a look", ["", "Check", ""], checks)]
    return shown


def _file_counts(file: FileReport) -> list[str]:
    if file.skipped:
        return ["read before", "", "", ""]
    counts = (file.rows, file.added, file.duplicates, sum(file.rejected.values()))
    return [f"{count:,}" for count in counts]


def _date(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else "-"


def of_preview(preview: IngestPreview) -> list[Shown]:
    """How each file would be read, with its first rows."""
    parts: list[Shown] = []
    for file in preview.files:
        mapping = [[field, column] for field, column in file.mapping.items()]
        parts.append(table(f"{file.name} ({file.format}, {file.kind})", ["Field", "Column"], mapping))
        parts += [escape(printable(line)) for line in _preview_remarks(file)]
        if file.stored:
            fields = [name for name in file.stored[0] if any(row[name] is not None for row in file.stored)]
            stored = [[row[field] or "" for field in fields] for row in file.stored]
            parts.append(table("First rows as stored", fields, stored))
        else:
            rows = [[cell or "" for cell in row] for row in file.rows]
            parts.append(table("First rows", list(file.columns), rows))
        parts.append("")
    return parts


def _preview_remarks(file: FilePreview) -> list[str]:
    lines = [f"time: {file.time}"] if file.time else []
    lines += [f"not used: {', '.join(file.unused)}"] if file.unused else []
    return lines + [f"note: {note_sentence(note)}" for note in file.notes]


def of_train(done: Result) -> list[Shown]:
    """Held-out figures of the encoder beside its baselines."""
    late = done["popularity_of_late"]
    named = {"encoder": "this encoder", "item_neighbours": "item neighbours", "popularity": "popularity"}
    named["popularity_of_late"] = f"popularity of the last {late['days']} day{'s' * (late['days'] > 1)}"
    rows = [[label, f"{done[key]['recall@20']:.4f}", f"{done[key]['ndcg@20']:.4f}"] for key, label in named.items()]
    judged = done["items_judged"]
    which = "full catalogue" if judged == done["items"] else f"the {judged:,} most common items"
    title = f"New items of {done['held_out_users']:,} held-out users, {which}"
    if done["weights_had_seen"]:
        title += ", which the weights it began with had seen"
    summary = (
        f"{done['users']:,} users embedded as {done['version']} by run {done['run']}, "
        f"best epoch {done['best_epoch']} of {done['epochs']}"
    )
    covered = done["coverage"]
    if covered["users"]:
        summary += (
            f"; of the {covered['users']:,} users who came after the cut {covered['encoder']:.0%} had a vector of their "
            f"own, a method that needs 5 events would have known {covered['with_5_events']:.0%}"
        )
    judge = "A list rests on more than the encoder: judge it by the lift that expand measures."
    return [table(title, ["", "Recall@20", "NDCG@20"], rows, (1, 2)), "", *_of_audiences(done), "", summary, judge]


def _of_audiences(done: Result) -> list[Shown]:
    """What the centroid of each space finds of held-out audiences, and how it goes with the number of events."""
    drawn = done["audiences"]
    if not drawn["audiences"]:
        return ["The log is too small to draw audiences from it: nothing could be tuned or judged by lift."]
    labels = {"sequence": "this encoder", "content": "content", "activity": "number of events"}
    spaces = [[label, _times(drawn["lift@5%"][key])] for key, label in labels.items()]
    events = [
        [number, f"{found['users']:,}", f"{found['recall@20']:.4f}", _times(drawn["sequence_by_events"].get(number))]
        for number, found in done["recall_by_events"].items()
        if found["users"]
    ]
    title = f"Lift@5 % of the centroid, {drawn['audiences']} held-out audiences drawn from the log"
    return [
        table(title, ["", "Lift@5 %"], spaces, (1,)),
        "",
        table(
            "By events known of a user, each group for itself",
            ["Events", "Users", "Recall@20", "Lift@5 %"],
            events,
            (1, 2, 3),
        ),
    ]


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def of_embed(done: Result) -> list[Shown]:
    """How many users were embedded anew."""
    return [f"{done['refreshed']:,} of {done['users']:,} users embedded anew by {done['run']}, as {done['version']}"]


def of_sessions(done: Result) -> list[Shown]:
    """Where the vectors of sessions are."""
    return [f"{done['sessions']:,} sessions embedded by {done['run']}: {done['path']}"]


def of_expand(done: Result) -> list[Shown]:
    """The verdict and where the list is."""
    over = f" (you asked for {done['size']:,})" if done["up_to"] else ""
    rows = [
        ["verdict", done["advice"] + over],
        *[["", reason] for reason in (*done["reasons"], *done["careful"])],
        ["scorer", done["scorer"]],
        ["seed users matched", f"{done['matched']:,} ({done['match_rate']:.1%}), {done['used']:,} used"],
        ["suppressed", f"{done['suppression']['matched']:,} known of {done['suppression']['given']:,} ids given"],
        ["size", f"{done['size']:,} of {done['candidates']:,} candidates"],
        *([["backtest", _of_backtest(done["backtest"])]] if done["backtest"] else []),
        ["list", done["prospects"] or "none was written"],
        *([["reasons", done["reasons_of_each"]]] if done["reasons_of_each"] else []),
        ["figures", done["evaluation"]],
    ]
    return [table(done["name"], ["", ""], rows)]


def _of_backtest(found: Result) -> str:
    return (
        f"the list of {_day(found['cut'])} has a lift of {found['lift']:.2f} ({found['low']:.2f} to {found['high']:.2f}) on "
        f"the seeds who came later; {found['plain_lift']:.2f} by plain figures alone, which read nothing of later"
    )


def of_overlap(done: Result) -> list[Shown]:
    """The people two lists share, as a matrix, and how many are in so many lists."""
    names, sizes = list(done["sizes"]), done["sizes"]
    both = {(pair["first"], pair["second"]): pair["both"] for pair in done["pairs"]}
    rows = []
    for one in names:
        shared = [sizes[one] if one == other else both.get((one, other), both.get((other, one), 0)) for other in names]
        rows.append([one, *(f"{count:,} ({count / max(1, sizes[one]):.0%})" for count in shared)])
    within = [[f"{row['lists']}", f"{row['people']:,}"] for row in done["in"]]
    return [
        table("People in both (share of the row's list)", ["", *names], rows),
        table("", ["In lists", "People"], within),
    ]


def of_status(done: Result) -> list[Shown]:
    """What is here, and what comes next."""
    log, live = done["log"], done["representation"]
    rows = [["workspace", done["workspace"]], ["events", f"{log['events']:,}"]]
    if log["events"]:
        rows += [["users", f"{log['users']:,}"], ["items", f"{log['items']:,}"]]
        rows += [["from, to", f"{_day(log['first'])} to {_day(log['last'])}"], ["files", f"{log['files']:,}"]]
    rows.append(["trained runs", ", ".join(run["run"] for run in done["runs"]) or "none"])
    rows.append(
        ["vectors", f"{live['users']:,} users by {live['run']}, as of {_day(live['as_of'])}" if live else "none"]
    )
    rows += [["expansion", f"{made['name']}: {made['prospects']:,} prospects"] for made in done["expansions"]]
    rows.append(["next", done["next"]])
    return [table("Status", ["", ""], rows)]


def _day(moment: str | None) -> str:
    return moment[:10] if moment else "-"

"""Results as tables for people. Cells are shown as they are, never read as markup."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from lookalike.encoder.results import EmbedResult, SessionsResult, TrainFigures, TrainResult
from lookalike.reporting.formatting import printable

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


def of_ingest(done: Result) -> list[Shown]:
    """What became of the files, what is held now, and what looks wrong."""
    rows = [
        [f["name"], f["kind"], *(["read before", "", "", ""] if f["skipped"] else _counted(f))] for f in done["files"]
    ]
    columns = ["File", "Kind", "Rows", "Added", "Duplicates", "Rejected"]
    totals = done["totals"]
    held = (
        f"Held now: {totals['events']:,} events of {totals['users']:,} users and {totals['items']:,} items, "
        f"{_day(totals['first'])} to {_day(totals['last'])}"
    )
    shown: list[Shown] = [table("Files", columns, rows, (2, 3, 4, 5)), "", held]
    reasons = [[f["name"], why, f"{n:,}"] for f in done["files"] for why, n in f["rejected"].items()]
    if reasons:
        shown += ["", table("Rejected", ["File", "Reason", "Rows"], reasons, (2,))]
    if done["checks"]:
        checks = [[c["severity"], c["check"], c["message"]] for c in done["checks"]]
        shown += ["", table("Worth a look", ["", "Check", ""], checks)]
    return shown


def _counted(file: Result) -> list[str]:
    counts = (file["rows"], file["added"], file["duplicates"], sum(file["rejected"].values()))
    return [f"{count:,}" for count in counts]


def of_explanation(shown: Result) -> list[Shown]:
    """How each file would be read, with its first rows."""
    parts: list[Shown] = []
    for file in shown["files"]:
        mapping = [[field, column] for field, column in file["mapping"].items()]
        parts.append(table(f"{file['name']} ({file['format']}, {file['kind']})", ["Field", "Column"], mapping))
        parts += [escape(printable(line)) for line in _about(file)]
        if file["stored"]:
            fields = [name for name in file["stored"][0] if any(row[name] is not None for row in file["stored"])]
            parts.append(
                table("First rows as stored", fields, [[row[f] or "" for f in fields] for row in file["stored"]])
            )
        else:
            parts.append(table("First rows", file["columns"], [[c or "" for c in row] for row in file["rows"]]))
        parts.append("")
    return parts


def _about(file: Result) -> list[str]:
    lines = [f"time: {file['time']}"] if file["time"] else []
    lines += [f"not used: {', '.join(file['unused'])}"] if file["unused"] else []
    return lines + [f"note: {note}" for note in file["notes"]]


def of_train(result: TrainResult) -> list[Shown]:
    """Held-out figures of the encoder beside its baselines."""
    figures = result.figures
    days = figures.popularity_of_late.days
    rows = [
        [label, f"{metrics['recall@20']:.4f}", f"{metrics['ndcg@20']:.4f}"]
        for label, metrics in (
            ("this encoder", figures.encoder),
            ("item neighbours", figures.item_neighbours),
            ("popularity", figures.popularity),
            (f"popularity of the last {days} day{'s' * (days > 1)}", figures.popularity_of_late.metrics),
        )
    ]
    judged = figures.items_judged
    which = "full catalogue" if judged == result.items else f"the {judged:,} most common items"
    title = f"New items of {figures.held_out_users:,} held-out users, {which}"
    if figures.weights_had_seen:
        title += ", which the weights it started from had seen"
    judge = "A list rests on more than the encoder: judge it by the lift that expand measures."
    return [
        table(title, ["", "Recall@20", "NDCG@20"], rows, (1, 2)),
        "",
        *_of_audiences(figures),
        "",
        _train_summary(result),
        judge,
    ]


def _train_summary(result: TrainResult) -> str:
    summary = (
        f"{result.users:,} users embedded as {result.version} by run {result.run}, "
        f"best epoch {result.best_epoch} of {result.epochs}"
    )
    coverage = result.figures.coverage
    if coverage.users:
        summary += (
            f"; of the {coverage.users:,} users with events after the cut, {coverage.encoder:.0%} had a vector of their "
            f"own before it; a method that needs 5 events would have known {coverage.with_5_events:.0%}"
        )
    return summary


def _of_audiences(figures: TrainFigures) -> list[Shown]:
    """Lift of the centroid on held-out audiences, by space and by number of events."""
    audiences = figures.audiences
    if not audiences.audiences:
        return ["The log is too small to draw audiences from it, so nothing could be tuned or judged by lift."]
    labels = {"sequence": "this encoder", "content": "content", "activity": "number of events"}
    spaces = [[label, _times(audiences.lift[key])] for key, label in labels.items()]
    groups = [
        [
            events,
            f"{group.users:,}",
            f"{group.metrics['recall@20']:.4f}",
            _times(audiences.sequence_by_events.get(events)),
        ]
        for events, group in figures.recall_by_events.items()
        if group.users
    ]
    title = f"Lift@5 % of the centroid, {audiences.audiences} held-out audiences drawn from the log"
    columns = ["Events", "Users", "Recall@20", "Lift@5 %"]
    return [
        table(title, ["", "Lift@5 %"], spaces, (1,)),
        "",
        table("By events of a user before the cut, within each group", columns, groups, (1, 2, 3)),
    ]


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def of_embed(result: EmbedResult) -> list[Shown]:
    """How many users were embedded again."""
    return [f"{result.refreshed:,} of {result.users:,} users embedded again by {result.run}, as {result.version}"]


def of_sessions(result: SessionsResult) -> list[Shown]:
    """Where the vectors of the sessions are."""
    return [f"{result.sessions:,} sessions embedded by {result.run}: {result.path}"]


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

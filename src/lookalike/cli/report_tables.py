"""The lift report for a terminal of 80 columns."""

import textwrap
from typing import TYPE_CHECKING, Any

from lookalike.cli.tables import table
from lookalike.reporting import backtest_section, content
from lookalike.reporting.content import Evaluation
from lookalike.reporting.formatting import clean, percent, printable
from lookalike.reporting.over_index import FeatureGroup, groups
from lookalike.reporting.seed_section import clusters, facts

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 80


LABEL_WIDTH = 26


BAR_WIDTH = 14


ROWS_PER_GROUP = 5


EIGHTHS = " ▏▎▍▌▋▊▉█"


def report_tables(evaluation: Evaluation) -> "list[Table | str]":
    """What to print, in order: the verdict, the figures, lift by size, the scorers, what the audience does more."""
    made: list[Table | str] = [verdict(evaluation), figures(evaluation)]
    if content.methods(evaluation):
        made += ["", lift(evaluation)]
    if content.scorers(evaluation):
        made += ["", scorers(evaluation)]
        if content.tie(evaluation):
            made.append(text(content.tie(evaluation)))
    if content.tier_rows(evaluation):
        made += [
            "",
            table(
                "Tiers",
                ["Tier", "Ranks", "People", "Scores", "Lift", "Band"],
                content.tier_rows(evaluation),
                (1, 2, 3, 4, 5),
            ),
        ]
    if backtest_section.sentence(evaluation):
        rows: list[list[Any]] = backtest_section.rows(evaluation)
        made += ["", table("Later seeds, by method", ["", "Lift", "Band"], rows, (1, 2))]
        made.append(text(backtest_section.sentence(evaluation)))
    if facts(evaluation):
        made += ["", text("\n".join(facts(evaluation)))]
    if clusters(evaluation):
        parts: list[list[Any]] = clusters(evaluation)
        made += ["", table("Clusters of the reasons", ["", "Seed", "List", "Has more of"], parts, (1, 2))]
    for group in groups(evaluation):
        made += more(group)
    if content.warnings(evaluation):
        made += ["", text("\n".join(f"warning: {warning}" for warning in content.warnings(evaluation)))]
    return made


def text(words: str) -> str:
    """Words wrapped to the width, with nothing in them read as markup."""
    from rich.markup import escape

    lines = (textwrap.fill(printable(line), WIDTH, subsequent_indent="  ") for line in words.split("\n"))
    return escape("\n".join(lines))


def verdict(evaluation: Evaluation) -> str:
    """The decision with the name, the sentence, the reasons."""
    said = content.verdict(evaluation)
    lines = [f"{clean(evaluation.get('name'), 40)}: {said.headline.lower()}", said.sentence]
    lines += [f"{'+' if reason.good else '-'} {reason.text}" for reason in said.reasons]
    lines += [f"! {one}" for one in said.careful]
    return text("\n".join([*lines, *([said.note] if said.note else []), ""]))


def figures(evaluation: Evaluation) -> "Table":
    """The key figures with what puts them in place."""
    rows: list[list[Any]] = [[one.name, one.value, one.note] for one in content.figures(evaluation)]
    return table("Key figures", ["", "", ""], rows, (1,))


def lift(evaluation: Evaluation) -> "Table":
    """Lift at the telling sizes beside the baselines."""
    lines = content.methods(evaluation)
    band = f"{content.confidence(evaluation)} band"
    columns = ["Size", "People", lines[0].name.removesuffix(" (chosen)"), band]
    columns += [line.name.split()[0] for line in lines[1:]]
    asked = percent(content.asked_share(evaluation))
    rows: list[list[Any]] = content.curve_rows(evaluation, "lift", telling=True)
    rows = [[f"› {row[0]}" if row[0] == asked else row[0], *row[1:]] for row in rows]
    return table("Lift by size (› asked for)", [clean(name, 16) for name in columns], rows, tuple(range(len(columns))))


def scorers(evaluation: Evaluation) -> "Table":
    """The scorers tried, the chosen one marked."""
    rows: list[list[Any]] = [[clean(row[0], LABEL_WIDTH), *row[1:]] for row in content.scorer_rows(evaluation)]
    return table(
        "Scorers, at the size asked for", ["Scorer", "Lift", "Band", "AUC", "First 5 %", ""], rows, (1, 2, 3, 4)
    )


def more(group: FeatureGroup) -> "list[Table | str]":
    """A group's strongest rows, with a bar for the ratio on the scale common to all groups."""
    title = f"More than the base: {clean(group.title.text, 40)}"
    rows: list[list[Any]] = [
        [clean(row.label.text, LABEL_WIDTH), bar(row.bar), row.ratio, row.band, row.audience, row.base]
        for row in group.rows[:ROWS_PER_GROUP]
    ]
    if not rows:
        return ["", text(f"{title}. {group.note}")]
    return ["", table(title, ["", "", "Ratio", "Band", "Audience", "Base"], rows, (2, 3, 4, 5))]


def bar(percent: float) -> str:
    """Blocks for 0 to 100, to an eighth of a character."""
    eighths = round(percent / 100 * BAR_WIDTH * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(BAR_WIDTH)

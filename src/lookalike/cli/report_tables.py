"""The lift report for a terminal of 80 columns: the main figures, or with `everything` all of them."""

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lookalike.cli.tables import Shown, block_table, table
from lookalike.reporting import backtest_section, content, encoder_section, seed_section, slices_section
from lookalike.reporting.formatting import clean, percent, printable
from lookalike.reporting.messages import sentence
from lookalike.reporting.over_index import TraitGroup, trait_groups
from lookalike.reporting.verdict_text import verdict_text

if TYPE_CHECKING:
    from rich.table import Table

    from lookalike.expansion.result import Evaluation

WIDTH = 80
LABEL_WIDTH = 26
BAR_WIDTH = 14
ROWS_PER_GROUP = 5
EIGHTHS = " ▏▎▍▌▋▊▉█"
MARKS = {"for": "+", "against": "-", "note": "!"}


def report_tables(evaluation: "Evaluation", *, everything: bool = False) -> list[Shown]:
    """What to print, in order: the verdict and the key figures; with `everything` what the page shows as well."""
    shown: list[Shown] = [verdict_lines(evaluation), figure_table(evaluation)]
    if whom := seed_section.whom_and_what(evaluation):
        shown += ["", wrapped(whom)]
    if told := [
        *filter(None, (slices_section.slices_sentence(evaluation), encoder_section.encoder_sentence(evaluation.blocks)))
    ]:
        shown += ["", wrapped(told)]
    warnings = [f"warning: {sentence(warning)}" for warning in evaluation.warnings]
    if everything:
        shown += _sections(evaluation)
    if warnings:
        shown += ["", wrapped(warnings)]
    return shown


def _sections(evaluation: "Evaluation") -> list[Shown]:
    """Lift by size, the scorers, the slices, the encoder, the tiers, the backtest, the seed, and what the audience does more
    than the base."""
    shown: list[Shown] = ["", lift_table(evaluation), "", scorer_table(evaluation)]
    if tie := content.centroid_tie(evaluation):
        shown.append(wrapped([tie]))
    if slices := slices_section.slice_rows(evaluation):
        columns = ["", "People", "Seeds", "Lift", "Band", "The list"]
        shown += ["", table("Among whom the list gains", columns, slices, (1, 2, 3, 4))]
        shown.append(wrapped([slices_section.slices_measured(evaluation)]))
    if evaluation.blocks:
        shown += ["", block_table("Does the encoder pay? A logistic model on hidden seed people", evaluation.blocks)]
    if tiers := content.tier_rows(evaluation):
        columns = ["Tier", "Ranks", "People", "Scores", "Lift", "Band"]
        shown += ["", table("Tiers", columns, tiers, (1, 2, 3, 4, 5))]
    if evaluation.backtest:
        rows = backtest_section.backtest_rows(evaluation)
        shown += ["", table("Later seeds, by method", ["", "Lift", "Band"], rows, (1, 2))]
        shown.append(wrapped([backtest_section.backtest_sentence(evaluation)]))
    shown += ["", wrapped(seed_section.seed_facts(evaluation))]
    if clusters := seed_section.cluster_rows(evaluation):
        shown += ["", table("Clusters of the seed", ["", "Seed", "List", "Has more of"], clusters, (1, 2))]
    described = evaluation.prospect_list
    for group in trait_groups(described.over_index if described else None):
        shown += _group_tables(group)
    return shown


def wrapped(lines: Iterable[str]) -> str:
    """Lines wrapped to the width, with nothing in them read as markup."""
    from rich.markup import escape

    return escape("\n".join(textwrap.fill(printable(line), WIDTH, subsequent_indent="  ") for line in lines))


def verdict_lines(evaluation: "Evaluation") -> str:
    """The decision with the name, the key sentence, and a line for each check."""
    text = verdict_text(evaluation)
    lines = [f"{clean(evaluation.name, 40)}: {text.headline.lower()}", text.sentence]
    lines += [f"{MARKS[line.mark]} {line.text}" for line in text.lines]
    lines += [f"! {text.caution}"] if text.caution else []
    lines += [text.note] if text.note else []
    return wrapped([*lines, ""])


def figure_table(evaluation: "Evaluation") -> "Table":
    """The key figures, each with a line that puts it in context."""
    rows = [[figure.name, figure.value, figure.note] for figure in content.key_figures(evaluation)]
    return table("Key figures", ["", "", ""], rows, (1,))


def lift_table(evaluation: "Evaluation") -> "Table":
    """Lift at about eight sizes beside the baselines."""
    methods = content.methods(evaluation)
    columns = ["Size", "People", methods[0].name.removesuffix(" (chosen)"), f"{percent(evaluation.confidence)} band"]
    columns += [method.name.split()[0] for method in methods[1:]]
    requested = percent(evaluation.held_out.share)
    rows = [
        [f"› {row[0]}" if row[0] == requested else row[0], *row[1:]]
        for row in content.curve_rows(evaluation, "lift", few=True)
    ]
    return table("Lift by size (› requested)", [clean(name, 16) for name in columns], rows, range(len(columns)))


def scorer_table(evaluation: "Evaluation") -> "Table":
    """The scorers measured, the chosen one marked."""
    rows = [[clean(row[0], LABEL_WIDTH), *row[1:]] for row in content.scorer_rows(evaluation)]
    columns = ["Scorer", "Lift", "Band", "AUC", "First 5%", ""]
    return table("Scorers, at the requested size", columns, rows, (1, 2, 3, 4))


def _group_tables(group: TraitGroup) -> list[Shown]:
    """A group's strongest rows, with a bar for the ratio on the scale common to all groups."""
    title = f"More than the base: {clean(group.title.text, 40)}"
    rows = [
        [clean(row.label.text, LABEL_WIDTH), bar(row.bar), row.ratio, row.band, row.audience, row.base]
        for row in group.rows[:ROWS_PER_GROUP]
    ]
    if not rows:
        return ["", wrapped([f"{title}. {group.note}"])]
    return ["", table(title, ["", "", "Ratio", "Band", "Audience", "Base"], rows, (2, 3, 4, 5))]


def bar(percent_of_width: float) -> str:
    """Blocks for 0 to 100, to an eighth of a character."""
    full, eighths = divmod(round(percent_of_width / 100 * BAR_WIDTH * 8), 8)
    return ("█" * full + (EIGHTHS[eighths] if eighths else "")).ljust(BAR_WIDTH)

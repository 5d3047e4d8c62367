"""What the audience does more than the base: groups of rows with bars on one common scale."""

import math
from dataclasses import dataclass

from lookalike.expansion.result import OverIndex, OverIndexGroup, OverIndexRow
from lookalike.reporting.formatting import Label, band, count, label, people, percent, times

ROWS_PER_GROUP = 12
LESS_PER_GROUP = 6
MAX_FALSE_DISCOVERIES = 0.05


@dataclass(frozen=True)
class TraitRow:
    """One thing the audience does more than the base. Bar ends are in percent of the bar's width."""

    label: Label
    audience: str
    audience_share: str
    base: str
    base_share: str
    ratio: str
    band: str
    bar: float
    low: float
    high: float
    open_ended: bool


@dataclass(frozen=True)
class TraitGroup:
    """One kind of trait, strongest first, and what is not shown of it."""

    title: Label
    rows: list[TraitRow]
    less: str  # what the audience does less, in one sentence
    note: str


def trait_groups(comparison: OverIndex | None) -> list[TraitGroup]:
    """The groups of a comparison on one common scale, so that bars can be compared across groups."""
    if comparison is None:
        return []
    shown = [clear_rows(group)[:ROWS_PER_GROUP] for group in comparison.groups]
    top = max((_reach(row) for rows in shown for row in rows), default=2.0)
    return [
        TraitGroup(
            label(group.title), [_trait_row(row, top) for row in rows], _less(group), _not_shown(group, comparison)
        )
        for group, rows in zip(comparison.groups, shown, strict=True)
    ]


def clear_rows(group: OverIndexGroup) -> list[OverIndexRow]:
    """The rows whose whole interval is above 1 and that are unlikely to be chance; highest lower bound first."""
    rows = [row for row in group.rows if row.ratio_low > 1 and row.q <= MAX_FALSE_DISCOVERIES]
    return sorted(rows, key=lambda row: (-row.ratio_low, -row.ratio, row.label))


def _reach(row: OverIndexRow) -> float:
    """How far the scale must go for one row. A very wide interval is cut: it would press all bars to the left."""
    return max(row.ratio, min(row.ratio_high, row.ratio * 2))


def _trait_row(row: OverIndexRow, top: float) -> TraitRow:
    """One row with its bar on a log scale from 1 to `top`."""
    return TraitRow(
        label=label(row.label),
        audience=count(row.audience_count),
        audience_share=percent(row.audience_rate),
        base=count(row.base_count),
        base_share=percent(row.base_rate),
        ratio=times(row.ratio),
        band=band(row.ratio_low, row.ratio_high),
        bar=along(row.ratio, top),
        low=along(row.ratio_low, top),
        high=along(row.ratio_high, top),
        open_ended=row.ratio_high > top,
    )


def along(value: float, top: float) -> float:
    """The position of a ratio on a log scale from 1 (0) to `top` (100)."""
    return round(min(100.0, max(0.0, 100 * math.log(max(value, 1.0)) / math.log(max(top, 1.01)))), 2)


def _less(group: OverIndexGroup) -> str:
    names = [f"{label(row.label).text} ({times(row.ratio)})" for row in group.less[:LESS_PER_GROUP]]
    return f"Less than the base: {', '.join(names)}." if names else ""


def _not_shown(group: OverIndexGroup, comparison: OverIndex) -> str:
    """What a group does not show, and why."""
    clear = len(clear_rows(group))
    unclear = len(group.rows) - clear
    notes = []
    if not clear:
        notes.append("Nothing here is clearly more frequent than in the base.")
    if clear > ROWS_PER_GROUP:
        notes.append(f"{count(clear - ROWS_PER_GROUP)} weaker ones not shown.")
    if unclear and clear:
        notes.append(f"{count(unclear)} not clearly above the base.")
    if group.hidden:
        notes.append(f"{count(group.hidden)} hidden: fewer than {people(comparison.min_cell)}.")
    return " ".join(notes)

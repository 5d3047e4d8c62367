"""What the audience does more than the base: groups of rows with bars on one common scale."""

import math
from dataclasses import dataclass
from typing import Any

from lookalike.reporting.content import Evaluation, part, people
from lookalike.reporting.formatting import Label, band, count, label, number, percent, times

ROWS_PER_GROUP = 12


LESS_PER_GROUP = 6


FALSE_FINDS = 0.05


@dataclass(frozen=True)
class FeatureRow:
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
class FeatureGroup:
    """One group of insights, strongest first, and what was left out of it."""

    title: Label
    rows: list[FeatureRow]
    less: str  # what the audience does less, in one sentence
    note: str


def clear(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows whose whole interval is above 1, and few of which are there by chance; strongest lower bound first."""
    rows = [
        row
        for row in group.get("rows") or []
        if (number(row.get("ratio_low")) or 0) > 1 and (number(row.get("q")) or 0) <= FALSE_FINDS
    ]
    return sorted(
        rows, key=lambda row: (-float(row["ratio_low"]), -(number(row.get("ratio")) or 0), str(row.get("label")))
    )


def groups(evaluation: Evaluation, key: str = "insights") -> list[FeatureGroup]:
    """The groups of a comparison on one common scale, so that bars can be compared across them."""
    insights = part(evaluation, key)
    given = insights.get("groups") or []
    shown = [clear(group)[:ROWS_PER_GROUP] for group in given]
    top = max((reach(row) for rows in shown for row in rows), default=2.0)
    return [
        FeatureGroup(
            label(group.get("title")), [group_row(row, top) for row in rows], less(group), left_out(group, insights)
        )
        for group, rows in zip(given, shown, strict=True)
    ]


def reach(row: dict[str, Any]) -> float:
    """How far the scale must go for one row. A very wide interval is cut, or it would press every bar to the left."""
    ratio, high = number(row.get("ratio")) or 1.0, number(row.get("ratio_high"))
    return ratio * 2 if high is None else max(ratio, min(high, ratio * 2))


def group_row(row: dict[str, Any], top: float) -> FeatureRow:
    """One row with its bar on a log scale from 1 to `top`."""
    high = number(row.get("ratio_high"))
    return FeatureRow(
        label=label(row.get("label")),
        audience=count(row.get("audience_count")),
        audience_share=percent(row.get("audience_rate"), trim=False),
        base=count(row.get("base_count")),
        base_share=percent(row.get("base_rate"), trim=False),
        ratio=times(row.get("ratio")),
        band=band(row.get("ratio_low"), row.get("ratio_high")),
        bar=along(number(row.get("ratio")) or 1, top),
        low=along(float(row["ratio_low"]), top),
        high=100.0 if high is None else along(high, top),
        open_ended=high is None or high > top,
    )


def along(value: float, top: float) -> float:
    """Where a ratio stands on a log scale from 1 (0) to `top` (100)."""
    return round(min(100.0, max(0.0, 100 * math.log(max(value, 1.0)) / math.log(max(top, 1.01)))), 2)


def less(group: dict[str, Any]) -> str:
    """The things the audience does surely less than the base, with their ratios."""
    rows = (group.get("less") or [])[:LESS_PER_GROUP]
    named = [f"{label(row.get('label')).text} ({times(row.get('ratio'))})" for row in rows]
    return f"Less than the base: {', '.join(named)}." if named else ""


def left_out(group: dict[str, Any], insights: dict[str, Any]) -> str:
    """What a group does not show, and why."""
    sure = len(clear(group))
    unsure, hidden = len(group.get("rows") or []) - sure, number(group.get("hidden")) or 0
    said = []
    if not sure:
        said.append("Nothing here is clearly more frequent than in the base.")
    if sure > ROWS_PER_GROUP:
        said.append(f"{count(sure - ROWS_PER_GROUP)} weaker not shown.")
    if unsure and sure:
        said.append(f"{count(unsure)} not clearly above the base.")
    if hidden:
        said.append(f"{count(hidden)} hidden for having fewer than {people(insights.get('min_cell'))}.")
    return " ".join(said)

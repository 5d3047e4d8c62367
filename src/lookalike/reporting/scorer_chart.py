"""The chart that compares the scorers at the requested size."""

from typing import Any

from lookalike.expansion.result import Evaluation, ScorerFigures
from lookalike.reporting.content import scorers
from lookalike.reporting.formatting import band, clean, percent, score, times
from lookalike.reporting.vega import Spec, chart, lift_axis


def scorer_chart(evaluation: Evaluation) -> Spec:
    """Each scorer's lift as a dot on its interval, the chosen one filled, baselines as rules."""
    rows = [_row(figures) for figures in scorers(evaluation)]
    rules = [
        {"value": 1.0, "text": "random"},
        {"value": evaluation.held_out.activity_lift, "text": "activity"},
    ]
    top = max([row["high"] for row in rows] + [rule["value"] for rule in rules] + [1.2]) * 1.1
    axis = lift_axis("Lift at the requested size, times a random pick", top)
    return chart(44 * len(rows) + 20, [*_rule_layers(rules, axis), *_interval_layers(rows, axis, evaluation)])


def _row(figures: ScorerFigures) -> dict[str, Any]:
    name = clean(figures.name, 24)
    return {
        "name": f"{name} (chosen)" if figures.chosen else name,
        "value": figures.lift,
        "low": figures.low,
        "high": figures.high,
        "chosen": figures.chosen,
        "lift": times(figures.lift),
        "band": band(figures.low, figures.high),
        "auc": score(figures.auc),
        "who": clean(figures.name, 60),
    }


def _rule_layers(rules: list[dict[str, Any]], axis: Spec) -> list[Spec]:
    """Vertical rules at the baselines, with their names above."""
    colour = {
        "field": "text",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["random", "activity"], "range": ["var(--random)", "var(--activity)"]},
    }
    # the left rule's name ends at it and the right one's begins there, so that close rules do not overlap
    ordered = sorted(rules, key=lambda rule: float(rule["value"]))
    names = [
        {
            "data": {"values": [rule]},
            "mark": {"type": "text", "baseline": "bottom", "align": align, "dy": -3, "fontSize": 12},
            "encoding": {"x": axis, "y": {"value": 0}, "color": colour, "text": {"field": "text"}},
        }
        for rule, align in zip(ordered, ("right", "left"), strict=True)
    ]
    return [
        {
            "data": {"values": rules},
            "mark": {"type": "rule", "strokeDash": [3, 2], "strokeWidth": 1.5},
            "encoding": {"x": axis, "color": colour},
        },
        *names,
    ]


def _interval_layers(rows: list[dict[str, Any]], axis: Spec, evaluation: Evaluation) -> list[Spec]:
    """The intervals, the dots, and large transparent dots that carry the tooltips."""
    vertical = {
        "field": "name",
        "type": "nominal",
        "sort": [row["name"] for row in rows],
        "axis": {"title": None, "labelColor": "var(--ink)", "labelFontSize": 13, "labelLimit": 150, "domain": False},
    }
    chosen = {"test": "datum.chosen", "value": "var(--chosen)"}
    stroke = {"condition": chosen, "value": "var(--muted)"}
    fill = {"condition": chosen, "value": "var(--page)"}
    tips = [
        ("who", "Scorer"), ("lift", "Lift"), ("band", f"{percent(evaluation.confidence)} band"), ("auc", "AUC"),
    ]  # fmt: skip
    data = {"values": rows}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"},
            "encoding": {"x": {**axis, "field": "low"}, "x2": {"field": "high"}, "y": vertical, "stroke": stroke},
        },
        {
            "data": data,
            "mark": {"type": "point", "size": 110, "strokeWidth": 2.5, "opacity": 1},
            "encoding": {"x": axis, "y": vertical, "stroke": stroke, "fill": fill},
        },
        {
            "data": data,
            "mark": {"type": "point", "filled": True, "size": 1600, "opacity": 0},
            "encoding": {
                "x": axis,
                "y": vertical,
                "tooltip": [{"field": field, "type": "nominal", "title": title} for field, title in tips],
            },
        },
    ]

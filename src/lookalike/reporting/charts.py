"""Vega-Lite specifications of the report's charts, as plain dicts.

Colours are CSS variables: the SVG then follows the page's colour scheme, in print too, without being drawn again. Nothing
is clipped by Vega-Lite, as clip paths of several charts on one page would share their ids. There is no `nearest`
selection: Vega-Lite shows `undefined` for text in its tooltips (vega/vega-lite pull request 9707).
"""

import itertools
import math
from typing import Any

from lookalike.expansion.result import CurvePoint, Evaluation
from lookalike.reporting.content import Measure, Method, methods, points, value_and_band
from lookalike.reporting.formatting import count, percent, times
from lookalike.reporting.scorer_chart import scorer_chart
from lookalike.reporting.vega import Spec, chart, lift_axis

DASHES = {"chosen": [1, 0], "centroid": [7, 3], "activity": [3, 2], "random": [1, 3]}
TICKS = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LABEL_LEFT_FROM = 0.6  # of the axis, from where the requested size's label stands left of its rule


def charts(evaluation: Evaluation) -> dict[str, Spec]:
    """Every chart of the page by its id."""
    return {
        "lift": curve_chart(evaluation, "lift"),
        "recall": curve_chart(evaluation, "recall"),
        "scorers": scorer_chart(evaluation),
    }


def curve_chart(evaluation: Evaluation, measure: Measure) -> Spec:
    """Lift or recall by size: a line for each method, the chosen one's band, the requested size, tooltips at every size."""
    lines = methods(evaluation)
    top = axis_top(evaluation, measure, lines)
    layers = [_band_layer(evaluation, measure, lines[0], top), _line_layer(evaluation, measure, lines, top)]
    layers += _requested_layers(evaluation, measure, top)
    layers.append(_tooltip_layer(evaluation, measure, lines, top))
    for layer in layers:
        layer.setdefault("encoding", {}).setdefault("x", _size_axis(evaluation, lines[0]))
        layer["encoding"].setdefault("y", _measure_axis(measure, top))
    return chart(320, layers)


def axis_top(evaluation: Evaluation, measure: Measure, lines: list[Method]) -> float:
    """Where the vertical axis ends: above every line and the band at the requested size, not above every wide band."""
    if measure == "recall":
        return 1.0
    lifts = [point.lift for line in lines for point in evaluation.curves[line.key]]
    top = max([*lifts, evaluation.held_out.high, 1.2]) * 1.12
    step = 10.0 ** math.floor(math.log10(top)) / 2
    return math.ceil(top / step) * step


def _value(point: CurvePoint, measure: Measure) -> float:
    return point.lift if measure == "lift" else point.recall


def _size_axis(evaluation: Evaluation, line: Method) -> Spec:
    """The share of the candidates, in percent, on a log scale."""
    shares = [share * 100 for share in points(evaluation, line.key)]
    low, high = min(shares), max(shares)
    low = low if low < high else high / 10
    return {
        "field": "percent",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {
            "title": "Audience size, share of the candidates (log scale)",
            "values": [tick for tick in TICKS if low <= tick * 1.0001 and tick <= high * 1.0001],
            "labelExpr": "datum.value + '%'",
            "labelOverlap": "greedy",
            "labelSeparation": 8,
            "grid": False,
        },
    }


def _measure_axis(measure: Measure, top: float) -> Spec:
    if measure == "lift":
        return lift_axis("Lift: times a random pick", top)
    axis = lift_axis("Seed people found", top)
    axis["axis"]["labelExpr"] = "format(datum.value * 100, '~g') + '%'"
    return axis


def _line_layer(evaluation: Evaluation, measure: Measure, lines: list[Method], top: float) -> Spec:
    """One line for each method, told apart by colour, dash and width."""
    rows = [
        {
            "percent": share * 100,
            "value": min(_value(point, measure), top),
            "method": line.name,
            "main": line is lines[0],
        }
        for line in lines
        for share, point in points(evaluation, line.key).items()
    ]
    names, roles = [line.name for line in lines], [line.role for line in lines]

    def by_method(values: list[Any]) -> Spec:
        return {
            "field": "method",
            "type": "nominal",
            "scale": {"domain": names, "range": values},
            "sort": None,
            "legend": None,
        }

    return {
        "data": {"values": rows},
        "mark": {"type": "line", "strokeCap": "round"},
        "encoding": {
            "color": by_method([f"var(--{role})" for role in roles]),
            "strokeDash": by_method([DASHES[role] for role in roles]),
            "strokeWidth": {"condition": {"test": "datum.main", "value": 3}, "value": 1.75},
        },
    }


def _band_layer(evaluation: Evaluation, measure: Measure, line: Method, top: float) -> Spec:
    """The chosen scorer's band, cut at the top of the axis."""
    rows = []
    for share, point in points(evaluation, line.key).items():
        low, high = (point.lift_low, point.lift_high) if measure == "lift" else (point.recall_low, point.recall_high)
        rows.append({"percent": share * 100, "value": min(max(low, 0.0), top), "high": min(high, top)})
    return {
        "data": {"values": rows},
        "mark": {"type": "area", "color": f"var(--{line.role})", "opacity": 0.16},
        "encoding": {"y2": {"field": "high"}},
    }


def _requested_layers(evaluation: Evaluation, measure: Measure, top: float) -> list[Spec]:
    """A vertical rule at the requested size with its label, and the measured point."""
    held = evaluation.held_out
    shares = list(points(evaluation, methods(evaluation)[0].key))
    low, high = math.log(min(shares)), math.log(max(shares))
    left_of_rule = high > low and (math.log(held.share) - low) / (high - low) > LABEL_LEFT_FROM
    text = {"type": "text", "align": "right" if left_of_rule else "left", "dx": -7 if left_of_rule else 7, "dy": 8}
    rule = {"percent": held.share * 100, "value": top, "text": f"requested: {percent(held.share)}"}
    value = held.lift if measure == "lift" else held.recall
    point = {
        "percent": held.share * 100,
        "value": min(value, top),
        "text": times(value) if measure == "lift" else percent(value),
    }
    return [
        {
            "data": {"values": [rule]},
            "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1, "opacity": 0.6},
            "encoding": {"y": {**_measure_axis(measure, top), "field": "value"}},
        },
        {
            "data": {"values": [rule]},
            "mark": {**text, "color": "var(--ink)", "fontSize": 12},
            "encoding": {"text": {"field": "text"}},
        },
        # lift falls with size and recall rises: the free side of the line is above right, or above left
        _point_layer(point, "right" if measure == "recall" else "left"),
    ]


def _point_layer(point: dict[str, Any], align: str) -> Spec:
    """The figure at the requested size: a dot with its number beside it."""
    dot = {
        "type": "point",
        "filled": True,
        "size": 80,
        "color": "var(--chosen)",
        "stroke": "var(--page)",
        "strokeWidth": 2,
        "opacity": 1,
    }
    text = {
        "type": "text",
        "align": align,
        "dx": 9 if align == "left" else -9,
        "dy": -11,
        "color": "var(--ink)",
        "fontSize": 14,
        "fontWeight": 600,
    }
    return {
        "data": {"values": [point]},
        "layer": [{"mark": dot}, {"mark": text, "encoding": {"text": {"field": "text"}}}],
    }


def _tooltip_layer(evaluation: Evaluation, measure: Measure, lines: list[Method], top: float) -> Spec:
    """A transparent strip at every size, as high as the chart, whose tooltip names each method's figure there."""
    curves = [points(evaluation, line.key) for line in lines]
    shares = list(curves[0])
    edges = [math.sqrt(left * right) for left, right in itertools.pairwise(shares)]
    rows = [
        {
            "percent": left * 100,
            "right": right * 100,
            "value": 0,
            "top": top,
            **_strip_texts(measure, [curve.get(share) for curve in curves], share),
        }
        for share, left, right in zip(shares, [shares[0], *edges], [*edges, shares[-1]], strict=True)
    ]
    name = lines[0].name.removesuffix(" (chosen)")
    tips = [("at", "Size"), *((f"m{number}", line.name) for number, line in enumerate(lines))]
    tips.append(("band", f"{name}, {percent(evaluation.confidence)} band"))
    return {
        "data": {"values": rows},
        "params": [
            {"name": f"{measure}_hover", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
        ],
        "mark": {"type": "rect", "fill": "var(--ink)", "strokeWidth": 0},
        "encoding": {
            "x2": {"field": "right"},
            "y2": {"field": "top"},
            "fillOpacity": {"condition": {"param": f"{measure}_hover", "empty": False, "value": 0.08}, "value": 0},
            "tooltip": [{"field": field, "type": "nominal", "title": title} for field, title in tips],
        },
    }


def _strip_texts(measure: Measure, at: list[CurvePoint | None], share: float) -> dict[str, str]:
    """The tooltip at one size; `at` has each method's point there, the chosen scorer's first."""
    texts = {f"m{number}": value_and_band(point, measure)[0] for number, point in enumerate(at)}
    texts["at"] = f"{percent(share)}, {count(at[0].size if at[0] else None)} people"
    texts["band"] = value_and_band(at[0], measure)[1]
    return texts

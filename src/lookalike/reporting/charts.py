"""Vega-Lite specs of the report's charts, as plain dicts.

Colours are CSS variables: the SVG then follows the page's colour scheme, and print, without being drawn again. Nothing
is clipped by Vega-Lite, as clip paths of several charts on one page would share their ids. There is no `nearest`
selection: Vega-Lite shows `undefined` for text in its tooltips (vega/vega-lite pull request 9707).
"""

import itertools
import math
from typing import Any

from lookalike.reporting.content import Evaluation, Method, asked_share, confidence, methods, part, points, scorers
from lookalike.reporting.formatting import band, clean, count, number, percent, percent_band, score, times

Spec = dict[str, Any]


SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


DASHES = {"chosen": [1, 0], "centroid": [7, 3], "activity": [3, 2], "random": [1, 3]}


TICKS = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def charts(evaluation: Evaluation) -> dict[str, Spec]:
    """Every chart of the page by its id; one that has nothing to show is left out."""
    made = {}
    if methods(evaluation) and points(evaluation, methods(evaluation)[0].key):
        made["lift"] = curve(evaluation, "lift")
        made["recall"] = curve(evaluation, "recall")
    if any(number(one.get("lift")) is not None for one in scorers(evaluation)):
        made["scorers"] = bake_off(evaluation)
    return made


def frame(height: int, layers: list[Spec]) -> Spec:
    """A chart as wide as its place, in the page's own colours and type."""
    text = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 12, "titleFontSize": 12}
    axis = {**text, "domainColor": "var(--line)", "gridColor": "var(--line)", "tickColor": "var(--line)"}
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "background": "transparent",
        "padding": {"left": 2, "top": 4, "right": 12, "bottom": 2},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "layer": layers,
        "config": {
            # The place of the chart says its finding as one image; a hundred labelled marks would bury it.
            "aria": False,
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {**axis, "titleFontWeight": "normal", "titlePadding": 10, "labelPadding": 6, "ticks": False},
        },
    }


def curve(evaluation: Evaluation, measure: str) -> Spec:
    """Lift or recall by size: a line a method, the chosen one's band, the size asked for, a tooltip at every size."""
    lines = methods(evaluation)
    top = ceiling(evaluation, measure, lines)
    layers = [band_layer(evaluation, measure, lines[0], top), line_layer(evaluation, measure, lines, top)]
    layers += asked_layers(evaluation, measure, top)
    layers.append(tooltip_layer(evaluation, measure, lines, top))
    for layer in layers:
        layer.setdefault("encoding", {}).setdefault("x", size_axis(evaluation, lines[0]))
        layer["encoding"].setdefault("y", measure_axis(measure, top))
    return frame(320, layers)


def ceiling(evaluation: Evaluation, measure: str, lines: list[Method]) -> float:
    """Where the upright axis ends: above every line and the band at the size asked for, not above every wide band."""
    if measure == "recall":
        return 1.0
    seen = [number(point.get(measure)) or 0 for line in lines for point in points(evaluation, line.key).values()]
    high = number(part(evaluation, "held_out").get("high")) or 0
    top = max([*seen, high, 1.2]) * 1.12
    step = 10.0 ** math.floor(math.log10(top)) / 2
    return math.ceil(top / step) * step


def size_axis(evaluation: Evaluation, line: Method) -> Spec:
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
            "labelExpr": "datum.value + ' %'",
            "labelOverlap": "greedy",
            "labelSeparation": 8,
            "grid": False,
        },
    }


def measure_axis(measure: str, top: float) -> Spec:
    """Lift in times, or recall in percent."""
    lift = measure == "lift"
    return {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {
            "title": "Lift: times a random pick" if lift else "Seed people found",
            "labelExpr": "format(datum.value, ',~g') + ' ×'" if lift else "format(datum.value * 100, '~g') + ' %'",
            "tickCount": 6,
            "domain": False,
            "grid": True,
        },
    }


def line_layer(evaluation: Evaluation, measure: str, lines: list[Method], top: float) -> Spec:
    """One line a method, told apart by colour, dash and width."""
    rows = [
        {"percent": share * 100, "value": min(value, top), "method": line.name, "main": line is lines[0]}
        for line in lines
        for share, point in points(evaluation, line.key).items()
        if (value := number(point.get(measure))) is not None
    ]
    names, roles = [line.name for line in lines], [line.role for line in lines]

    def scale(values: list[Any]) -> Spec:
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
            "color": scale([f"var(--{role})" for role in roles]),
            "strokeDash": scale([DASHES[role] for role in roles]),
            "strokeWidth": {"condition": {"test": "datum.main", "value": 3}, "value": 1.75},
        },
    }


def band_layer(evaluation: Evaluation, measure: str, line: Method, top: float) -> Spec:
    """The chosen scorer's band, cut at the top of the axis."""
    rows = [
        {"percent": share * 100, "value": min(max(low, 0.0), top), "high": min(high, top)}
        for share, point in points(evaluation, line.key).items()
        if (low := number(point.get(f"{measure}_low"))) is not None
        and (high := number(point.get(f"{measure}_high"))) is not None
    ]
    return {
        "data": {"values": rows},
        "mark": {"type": "area", "color": f"var(--{line.role})", "opacity": 0.16},
        "encoding": {"y2": {"field": "high"}},
    }


def asked_layers(evaluation: Evaluation, measure: str, top: float) -> list[Spec]:
    """An upright rule at the size asked for, with its words, and the measured point."""
    share, held = asked_share(evaluation), part(evaluation, "held_out")
    if share is None:
        return []
    curve_shares = list(points(evaluation, methods(evaluation)[0].key))
    low, high = math.log(min(curve_shares)), math.log(max(curve_shares))
    right = high > low and (math.log(share) - low) / (high - low) > 0.6
    at = {"percent": share * 100, "value": top, "text": f"asked for: {percent(share)}"}
    words = {"type": "text", "align": "right" if right else "left", "dx": -7 if right else 7, "dy": 8}
    made: list[Spec] = [
        {"data": {"values": [at]}, "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1, "opacity": 0.6}},
        {
            "data": {"values": [at]},
            "mark": {**words, "color": "var(--ink)", "fontSize": 12},
            "encoding": {"text": {"field": "text"}},
        },
    ]
    made[0]["encoding"] = {"y": {**measure_axis(measure, top), "field": "value"}}
    value = number(held.get(measure))
    if value is not None:
        at = {"percent": share * 100, "value": min(value, top)}
        at["text"] = times(value) if measure == "lift" else percent(value)
        # Lift falls and recall rises with size: the free side of the line is above right, or above left.
        made.append(measured(at, "right" if measure == "recall" else "left"))
    return made


def measured(at: dict[str, Any], align: str) -> Spec:
    """The figure at the size asked for: a dot with its number beside it."""
    return {
        "data": {"values": [at]},
        "layer": [
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 80,
                    "color": "var(--chosen)",
                    "stroke": "var(--page)",
                    "strokeWidth": 2,
                    "opacity": 1,
                }
            },
            {
                "mark": {
                    "type": "text",
                    "align": align,
                    "dx": 9 if align == "left" else -9,
                    "dy": -11,
                    "color": "var(--ink)",
                    "fontSize": 14,
                    "fontWeight": 600,
                },
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }


def tooltip_layer(evaluation: Evaluation, measure: str, lines: list[Method], top: float) -> Spec:
    """A transparent strip at every size, as high as the chart, whose tooltip names each method's figure there."""
    curves = [points(evaluation, line.key) for line in lines]
    shares = list(curves[0])
    edges = [math.sqrt(one * two) for one, two in itertools.pairwise(shares)]
    bounds = zip(shares, [shares[0], *edges], [*edges, shares[-1]], strict=True)
    rows = [
        {
            "percent": left * 100,
            "right": right * 100,
            "value": 0,
            "top": top,
            **strip_texts(measure, [curve.get(share, {}) for curve in curves], share),
        }
        for share, left, right in bounds
    ]
    tips = [("at", "Size"), *((f"m{place}", line.name) for place, line in enumerate(lines)), ("band", "Band")]
    tips[-1] = ("band", f"{lines[0].name.removesuffix(' (chosen)')}, {confidence(evaluation)} band")
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


def strip_texts(measure: str, at: list[dict[str, Any]], share: float) -> dict[str, str]:
    """The tooltip's words at one size; `at` holds each method's point there, the chosen one's first."""
    say, say_band = (times, band) if measure == "lift" else (percent, percent_band)
    texts = {f"m{place}": say(point.get(measure)) for place, point in enumerate(at)}
    texts["at"] = f"{percent(share)}, {count(at[0].get('size'))} people"
    texts["band"] = say_band(at[0].get(f"{measure}_low"), at[0].get(f"{measure}_high"))
    return texts


def bake_off(evaluation: Evaluation) -> Spec:
    """Each scorer's lift at the size asked for as a dot on its interval, the chosen one filled, baselines as rules."""
    tried = [one for one in scorers(evaluation) if number(one.get("lift")) is not None]
    rows = [scorer_point(evaluation, one) for one in tried]
    order = [row["name"] for row in rows]
    activity = number(part(evaluation, "held_out").get("activity_lift"))
    rules = [{"value": 1.0, "text": "random"}]
    if activity is not None and "activity" not in [one.get("name") for one in tried]:
        rules.append({"value": activity, "text": "activity"})
    top = max([row["high"] for row in rows] + [rule["value"] for rule in rules] + [1.2]) * 1.1
    axis = {
        **measure_axis("lift", top),
        "axis": {**measure_axis("lift", top)["axis"], "title": "Lift at the size asked for, times a random pick"},
    }
    return frame(44 * len(rows) + 20, [*rule_layers(rules, axis), *interval_layers(rows, order, axis, evaluation)])


def scorer_point(evaluation: Evaluation, one: dict[str, Any]) -> dict[str, Any]:
    """One scorer as the chart's row."""
    lift = number(one.get("lift")) or 0.0
    low, high = number(one.get("low")), number(one.get("high"))
    name = clean(one.get("name"), 24)
    return {
        "name": f"{name} (chosen)" if one.get("chosen") else name,
        "value": lift,
        "low": lift if low is None else low,
        "high": lift if high is None else high,
        "chosen": bool(one.get("chosen")),
        "lift": times(lift),
        "band": band(one.get("low"), one.get("high")),
        "auc": score(one.get("auc")),
        "who": clean(one.get("name"), 60),
    }


def rule_layers(rules: list[dict[str, Any]], axis: Spec) -> list[Spec]:
    """Upright rules at the baselines, with their names above."""
    colour = {
        "field": "text",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["random", "activity"], "range": ["var(--random)", "var(--activity)"]},
    }
    # the left rule's name ends at it and the right one's begins there, so that close rules do not write over each other
    ordered = sorted(rules, key=lambda rule: float(rule["value"]))
    names = [
        {
            "data": {"values": [rule]},
            "mark": {"type": "text", "baseline": "bottom", "align": align, "dy": -3, "fontSize": 12},
            "encoding": {"x": axis, "y": {"value": 0}, "color": colour, "text": {"field": "text"}},
        }
        for rule, align in zip(ordered, ("right", "left") if len(ordered) > 1 else ("center",), strict=True)
    ]
    return [
        {
            "data": {"values": rules},
            "mark": {"type": "rule", "strokeDash": [3, 2], "strokeWidth": 1.5},
            "encoding": {"x": axis, "color": colour},
        },
        *names,
    ]


def interval_layers(rows: list[dict[str, Any]], order: list[str], axis: Spec, evaluation: Evaluation) -> list[Spec]:
    """The intervals, the dots, and large transparent dots that carry the tooltips."""
    upright = {
        "field": "name",
        "type": "nominal",
        "sort": order,
        "axis": {"title": None, "labelColor": "var(--ink)", "labelFontSize": 13, "labelLimit": 150, "domain": False},
    }
    chosen = {"test": "datum.chosen", "value": "var(--chosen)"}
    colour = {"condition": chosen, "value": "var(--muted)"}
    fill = {"condition": chosen, "value": "var(--page)"}
    tips = [("who", "Scorer"), ("lift", "Lift"), ("band", f"{confidence(evaluation)} band"), ("auc", "AUC")]
    data = {"values": rows}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"},
            "encoding": {"x": {**axis, "field": "low"}, "x2": {"field": "high"}, "y": upright, "stroke": colour},
        },
        {
            "data": data,
            "mark": {"type": "point", "size": 110, "strokeWidth": 2.5, "opacity": 1},
            "encoding": {"x": axis, "y": upright, "stroke": colour, "fill": fill},
        },
        {
            "data": data,
            "mark": {"type": "point", "filled": True, "size": 1600, "opacity": 0},
            "encoding": {
                "x": axis,
                "y": upright,
                "tooltip": [{"field": field, "type": "nominal", "title": title} for field, title in tips],
            },
        },
    ]

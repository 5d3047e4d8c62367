"""Draws docs/lift.svg from the first table of docs/benchmarks.md: `python docs/lift_chart.py`."""

import json
from pathlib import Path
from typing import Any

import vl_convert

HERE = Path(__file__).resolve().parent
METHODS = {  # row of the table -> label in the chart
    "lookalike `auto`": "lookalike",
    "best recorded of all peers": "best of two dozen recorded methods",
    "best centroid of a single embedding (peer)": "best centroid of one embedding",
    "activity (number of events)": "ranking by activity alone",
}
COLOURS = ["#1f5fbf", "#8d99ae", "#c3cad6", "#e6e3d3"]


def lifts() -> list[dict[str, Any]]:
    """A row for each bar: set, method, lift."""
    table = []
    for line in (HERE / "benchmarks.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            break
    sets = [name.split(" (")[0] for name in table[0][1:]]
    rows = {row[0]: row[1:] for row in table[2:]}
    return [
        {"set": name, "method": label, "lift": float(value)}
        for method, label in METHODS.items()
        for name, value in zip(sets, rows[method], strict=True)
    ]


def chart(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The Vega-Lite chart: grouped bars with their figures, and a line at chance."""
    labels = list(METHODS.values())
    position = {
        "x": {"field": "set", "type": "nominal", "title": None, "axis": {"labelAngle": 0, "labelFontSize": 12}},
        "xOffset": {"field": "method", "sort": labels},
        "y": {"field": "lift", "type": "quantitative", "title": "lift at 5 %, chance is 1", "axis": {"grid": False}},
    }
    colour = {
        "field": "method",
        "sort": labels,
        "scale": {"domain": labels, "range": COLOURS},
        "legend": {"title": None, "orient": "top", "columns": 2, "labelLimit": 400, "labelFontSize": 12},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "width": 640,
        "height": 220,
        "data": {"values": rows},
        "config": {"font": "sans-serif", "view": {"stroke": None}},
        "layer": [
            {"mark": "bar", "encoding": {**position, "color": colour}},
            {
                "mark": {"type": "text", "dy": -6, "fontSize": 10},
                "encoding": {**position, "text": {"field": "lift", "format": ".2f"}},
            },
            {"mark": {"type": "rule", "strokeDash": [4, 3]}, "data": {"values": [{}]}, "encoding": {"y": {"datum": 1}}},
        ],
    }


if __name__ == "__main__":
    (HERE / "lift.svg").write_text(vl_convert.vegalite_to_svg(json.dumps(chart(lifts()))), encoding="utf-8")

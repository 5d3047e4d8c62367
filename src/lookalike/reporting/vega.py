"""What all charts share: size, colours, type, and the axis of lift."""

from typing import Any

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


def chart(height: int, layers: list[Spec]) -> Spec:
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
            # The element around the chart describes it as one image; a hundred labelled marks would bury that.
            "aria": False,
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {**axis, "titleFontWeight": "normal", "titlePadding": 10, "labelPadding": 6, "ticks": False},
        },
    }


def lift_axis(title: str, top: float) -> Spec:
    """An axis from 0 to `top` in times."""
    return {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {
            "title": title,
            "labelExpr": "format(datum.value, ',~g') + '×'",
            "tickCount": 6,
            "domain": False,
            "grid": True,
        },
    }

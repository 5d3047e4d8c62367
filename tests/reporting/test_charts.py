"""The Vega-Lite specifications of lift and recall by size."""

import json
from typing import Any

import pytest

from example_evaluation import SHARES, example_evaluation, hostile_evaluation, replaced
from lookalike.expansion.result import Evaluation
from lookalike.reporting import content
from lookalike.reporting.charts import axis_top, charts, curve_chart
from lookalike.reporting.page import static_picture
from lookalike.reporting.vega import Spec


def layers_of(spec: Spec, mark: str) -> list[dict[str, Any]]:
    """The layers with a mark, those of nested layers included."""
    layers = [inner for layer in spec["layer"] for inner in layer.get("layer", [layer])]
    return [layer for layer in layers if layer["mark"]["type"] == mark]


def tooltips(spec: Spec) -> list[dict[str, str]]:
    """The tooltip at each size, by the titles of its rows."""
    (strips,) = layers_of(spec, "rect")
    titles = {tip["field"]: tip["title"] for tip in strips["encoding"]["tooltip"]}
    return [{title: row[field] for field, title in titles.items()} for row in strips["data"]["values"]]


def test_there_are_three_charts_and_each_can_be_drawn() -> None:
    specs = charts(example_evaluation())
    assert list(specs) == ["lift", "recall", "scorers"]
    for spec in specs.values():
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        assert static_picture(spec).startswith("<svg")


def test_every_method_has_a_line_with_a_point_at_each_size() -> None:
    (line,) = layers_of(curve_chart(example_evaluation(), "lift"), "line")
    methods = [row["method"] for row in line["data"]["values"]]
    assert set(methods) == {"logistic (chosen)", "centroid", "activity alone", "random pick"}
    assert len(methods) == 4 * len(SHARES)
    assert {row["method"] for row in line["data"]["values"] if row["main"]} == {"logistic (chosen)"}


def test_a_tooltip_names_each_methods_figure_at_its_size() -> None:
    at_five_percent = SHARES.index(0.05)
    assert tooltips(curve_chart(example_evaluation(), "lift"))[at_five_percent] == {
        "Size": "5%, 168 people",
        "logistic (chosen)": "3.8×",
        "centroid": "2.7×",
        "activity alone": "2.0×",
        "random pick": "1×",
        "logistic, 95% band": "2.4–5.2",
    }
    recall = tooltips(curve_chart(example_evaluation(), "recall"))[at_five_percent]
    assert recall["logistic (chosen)"] == "19.1%"
    assert recall["logistic, 95% band"] == "12%–26.2%"
    assert recall["random pick"] == "5%"


def test_the_requested_size_has_a_rule_a_label_and_its_figure() -> None:
    spec = curve_chart(example_evaluation(), "lift")
    (rule,) = layers_of(spec, "rule")
    assert rule["data"]["values"][0]["percent"] == 5
    assert rule["data"]["values"][0]["text"] == "requested: 5%"
    assert any(
        layer["encoding"].get("text") == {"field": "text"} and layer["mark"]["fontSize"] == 14
        for layer in layers_of(spec, "text")
    )
    (point,) = (layer["data"]["values"][0] for layer in spec["layer"] if "layer" in layer)
    assert point == {"percent": 5.0, "value": pytest.approx(3.8162), "text": "3.8×"}


@pytest.mark.parametrize(("share", "align"), [(0.01, "left"), (0.5, "right")])
def test_the_label_of_the_requested_size_stays_inside_the_chart(share: float, align: str) -> None:
    spec = curve_chart(replaced(example_evaluation(), "held_out.share", share), "lift")
    label = next(layer for layer in layers_of(spec, "text") if layer["mark"]["fontSize"] == 12)
    assert label["mark"]["align"] == align


def test_the_band_is_cut_at_the_top_of_the_axis() -> None:
    evaluation = example_evaluation()
    top = axis_top(evaluation, "lift", content.methods(evaluation))
    (band,) = layers_of(curve_chart(evaluation, "lift"), "area")
    assert evaluation.curves["logistic"][0].lift_high > top > 8.4
    assert max(row["high"] for row in band["data"]["values"]) == top
    assert min(row["value"] for row in band["data"]["values"]) == 0
    assert axis_top(evaluation, "recall", content.methods(evaluation)) == 1


def first_points(evaluation: Evaluation, count: int) -> Evaluation:
    """The evaluation with the last sizes only, as a tiny universe has them."""
    return replaced(evaluation, "curves", {method: curve[-count:] for method, curve in evaluation.curves.items()})


@pytest.mark.parametrize("sizes", [1, 2])
def test_a_curve_of_few_sizes_is_drawn(sizes: int) -> None:
    evaluation = first_points(example_evaluation(), sizes)
    for measure in ("lift", "recall"):
        spec = curve_chart(evaluation, measure)
        assert len(tooltips(spec)) == sizes
        assert static_picture(spec).startswith("<svg")


def test_a_baseline_that_lacks_a_size_has_a_dash_there() -> None:
    evaluation = replaced(example_evaluation(), "curves.centroid", example_evaluation().curves["centroid"][1:])
    assert tooltips(curve_chart(evaluation, "lift"))[0]["centroid"] == "–"


def test_a_chart_of_hostile_names_is_drawn_without_them_as_markup() -> None:
    text = "</script><script>alert(1)</script>"
    for spec in charts(hostile_evaluation(text)).values():
        assert "<script" not in static_picture(spec)

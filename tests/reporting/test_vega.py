"""What all charts share."""

import json

from lookalike.reporting.vega import SCHEMA, chart, lift_axis


def test_a_chart_is_as_wide_as_its_place_and_takes_the_pages_colours() -> None:
    spec = chart(320, [])
    assert (spec["$schema"], spec["width"], spec["height"], spec["layer"]) == (SCHEMA, "container", 320, [])
    colours = {value for key, value in spec["config"]["axis"].items() if key.endswith("Color")}
    assert colours == {"var(--muted)", "var(--line)"}
    assert "clip" not in json.dumps(spec)


def test_the_axis_of_lift_starts_at_zero_and_is_in_times() -> None:
    axis = lift_axis("Lift", 4.5)
    assert axis["scale"] == {"domain": [0, 4.5], "nice": False}
    assert axis["axis"]["labelExpr"].endswith("'×'")

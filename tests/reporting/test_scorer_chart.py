"""The chart of the scorers: dots on their intervals, and rules for random and activity."""

from example_evaluation import example_evaluation, replaced
from lookalike.reporting.scorer_chart import scorer_chart


def test_each_scorer_is_a_row_with_its_interval_best_first() -> None:
    *_, intervals, _, dots = scorer_chart(example_evaluation())["layer"]
    rows = intervals["data"]["values"]
    assert [(row["name"], row["lift"], row["band"]) for row in rows] == [
        ("logistic (chosen)", "3.8×", "2.4–5.2"),
        ("ensemble", "3.5×", "2.2–4.9"),
        ("centroid", "2.7×", "1.5–4.0"),
    ]
    assert [tip["title"] for tip in dots["encoding"]["tooltip"]] == ["Scorer", "Lift", "95% band", "AUC"]


def test_the_chart_is_as_high_as_it_has_rows_and_as_wide_as_its_intervals() -> None:
    spec = scorer_chart(example_evaluation())
    assert spec["height"] == 3 * 44 + 20
    low, high = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert (low, high) == (0, 5.2377 * 1.1)


def test_the_names_of_close_rules_stand_apart() -> None:
    for activity, alignments in (
        (1.05, {"random": "right", "activity": "left"}),
        (0.9, {"activity": "right", "random": "left"}),
    ):
        spec = scorer_chart(replaced(example_evaluation(), "held_out.activity_lift", activity))
        names = {layer["data"]["values"][0]["text"]: layer["mark"]["align"] for layer in spec["layer"][1:3]}
        assert names == alignments

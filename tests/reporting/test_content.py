"""Key figures, curves, scorers, tiers, counts and settings as text."""

import pytest

from example_evaluation import SCORERS, example_evaluation, refused_evaluation, replaced
from lookalike.expansion.suppression_figures import Suppression
from lookalike.reporting import content
from lookalike.reporting.formatting import NBSP


def figures() -> dict[str, content.Figure]:
    return {figure.name: figure for figure in content.key_figures(example_evaluation())}


def test_key_figures_come_with_their_context() -> None:
    assert figures()["Audience"][1:] == ("168", f"requested: 5%, which is 168{NBSP}people")
    assert figures()["Candidates"][1:] == (
        "3,360",
        f"of 3,611{NBSP}people eligible; 37 of 40{NBSP}ids given are suppressed",
    )
    assert figures()["Seed match rate"][1:] == ("94.7%", "214 of 226 ids; 214 used")
    assert figures()[f"Lift at 168{NBSP}people"][1:] == ("3.8×", "likely 2.4–5.2; at most 16× is possible")
    assert figures()["Hidden seed people found"][1:] == ("19.1%", "12%–26.2% of those held out")
    assert figures()["Largest list worth taking"][1:] == ("1,234", "its last half is reliably better than chance")


def test_without_a_list_to_suppress_nothing_is_said_of_it() -> None:
    nobody = replaced(example_evaluation(), "suppression", Suppression(given=0, matched=0))
    assert content.key_figures(nobody)[1].note == f"of 3,611{NBSP}people eligible"


def test_a_refused_seed_has_no_audience() -> None:
    assert content.key_figures(refused_evaluation())[0] == ("Audience", "0", "no list written")


def test_seeds_without_an_earlier_event_are_counted() -> None:
    evaluation = replaced(replaced(example_evaluation(), "seed.point_in_time", True), "seed.used", 200)
    assert content.key_figures(evaluation)[2].note == "214 of 226 ids; 200 used; 14 had no earlier event"


def test_no_size_worth_taking_and_a_minimum_lift() -> None:
    nothing = replaced(refused_evaluation(), "held_out.largest", None)
    assert content.key_figures(nothing)[-1][1:] == ("none", "no size has a last half reliably better than chance")
    to_be_made = replaced(example_evaluation(), "held_out.largest", None)
    assert content.key_figures(to_be_made)[-1].value == "not known", "a list that is to be made is worth something"
    stricter = replaced(example_evaluation(), "settings", {"expand.min_lift": 2})
    assert content.key_figures(stricter)[-1].note == "its last half is reliably above 2.0×"


@pytest.mark.parametrize(
    ("requested", "prospects", "words"),
    [
        ("168", 168, "as many as requested"),
        ("168", 100, f"168{NBSP}people requested"),
        ("auto", 168, f"requested: auto, which is 168{NBSP}people"),
    ],
)
def test_the_requested_size_is_in_the_words_of_the_request(requested: str, prospects: int, words: str) -> None:
    evaluation = example_evaluation().model_copy(update={"requested_size": requested, "prospects": prospects})
    assert content.requested_size(evaluation) == words


def test_methods_are_the_chosen_scorer_and_the_baselines() -> None:
    assert content.methods(example_evaluation()) == [
        ("logistic", "logistic (chosen)", "chosen"),
        ("centroid", "centroid", "centroid"),
        ("activity", "activity alone", "activity"),
        ("random", "random pick", "random"),
    ]
    chosen = content.methods(replaced(example_evaluation(), "scorer", "centroid"))
    assert [method.key for method in chosen] == ["centroid", "activity", "random"]


def test_curve_rows_have_the_band_of_the_chosen_scorer_and_the_baselines() -> None:
    rows = content.curve_rows(example_evaluation(), "lift")
    assert len(rows) == 13
    assert rows[6] == ["5%", "168", "3.8×", "2.4–5.2", "2.7×", "2.0×", "1×", "3.0× (2.4–3.6)"]
    recall = content.curve_rows(example_evaluation(), "recall")
    assert recall[6][:4] == ["5%", "168", "19.1%", "12%–26.2%"]


def test_a_few_rows_are_about_the_round_sizes_and_the_requested_one() -> None:
    rows = content.curve_rows(example_evaluation(), "lift", few=True)
    assert [row[0] for row in rows] == ["0.1%", "0.5%", "1%", "2%", "5%", "10%", "30%", "50%"]
    assert {len(row) for row in rows} == {7}


def test_a_baseline_without_a_point_at_a_size_has_a_dash() -> None:
    evaluation = replaced(example_evaluation(), "curves.centroid", example_evaluation().curves["centroid"][1:])
    assert content.curve_rows(evaluation, "lift")[0][4] == "–"


def test_a_curve_is_described_in_words() -> None:
    lift = content.curve_description(example_evaluation(), "lift")
    assert lift.startswith(
        "Line chart of lift by audience size for logistic (chosen), centroid, activity alone and random"
    )
    assert lift.endswith(f"At 168{NBSP}people, the requested size, it is 3.8× (likely 2.4–5.2).")
    assert content.curve_description(example_evaluation(), "recall").endswith("it is 19.1%.")


def test_scorers_are_sorted_by_lift_and_the_chosen_one_is_marked() -> None:
    evaluation = replaced(example_evaluation(), "scorers", SCORERS[::-1])
    assert content.scorer_rows(evaluation) == [
        ["logistic", "3.8×", "2.4–5.2", "0.812", "0.11", "chosen"],
        ["ensemble", "3.5×", "2.2–4.9", "0.806", "0.11", ""],
        ["centroid", "2.7×", "1.5–4.0", "0.741", "0.11", ""],
    ]
    assert "logistic 3.8× (2.4–5.2), chosen; ensemble" in content.scorer_description(evaluation)


def test_a_tie_with_the_centroid_is_pointed_out() -> None:
    assert "lies within the chosen scorer's band" in content.centroid_tie(example_evaluation())
    beaten = replaced(example_evaluation(), "scorers.2.lift", 2.0)
    chosen = replaced(example_evaluation(), "scorer", "centroid")
    alone = replaced(example_evaluation(), "scorers", SCORERS[:1])
    assert [content.centroid_tie(evaluation) for evaluation in (beaten, chosen, alone)] == ["", "", ""]


def test_tiers_have_ranks_people_scores_and_lift() -> None:
    rows = content.tier_rows(example_evaluation())
    assert rows[1] == ["2", "35 to 84", "50", "1.479 to 0.935", "4.0×", "1.9–6.1"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert content.tier_rows(refused_evaluation()) == []


def test_provenance_names_where_the_figures_come_from() -> None:
    rows = dict(content.provenance(example_evaluation()))
    assert rows["Made"] == "10 December 2011, 09:14 UTC"
    assert rows["Events before"] == "10 November 2011, 00:00"
    assert rows["Scorer"] == "logistic (requested: auto)"
    assert rows["Measured by"] == "5-fold hold-out, 4 times"
    assert (rows["Stored vectors"], rows["Run"]) == ("v000001", "r000001")
    assert rows["Blocks (columns)"] == "sequence (128), content (128), aggregates (300)"


def test_counts_and_settings_are_complete() -> None:
    counts = dict(content.count_rows(example_evaluation()))
    assert counts["Seed ids given"] == "231"
    assert counts["Seeds used"] == "214"
    assert counts["Users suppressed"] == "37"
    assert counts["Prospects listed"] == "168"
    settings = {key.text: value.text for key, value in content.setting_rows(example_evaluation())}
    assert settings == {"expand.folds": "5", "expand.repeats": "4", "expand.min_lift": "1.0", "expand.min_cell": "25"}

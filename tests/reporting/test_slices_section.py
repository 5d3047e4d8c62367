"""Where the list gains, in words and as a table."""

import pytest

from example_evaluation import SLICES, a_slice, detailed_evaluation, example_evaluation, replaced
from lookalike.expansion.result import Evaluation
from lookalike.expansion.slice_figures import SliceBy, SliceVerdict
from lookalike.reporting.page import page
from lookalike.reporting.slices_section import slice_name, slice_rows, slices_measured, slices_sentence


def with_verdicts(*verdicts: SliceVerdict) -> Evaluation:
    slices = tuple(
        a_slice(name, (500, 50), (1, 0.5, 2), each) for name, each in zip(("DE", "FR", None), verdicts, strict=True)
    )
    return replaced(
        detailed_evaluation(),
        "slices.groups",
        (SLICES.groups[0].model_copy(update={"by": "country", "slices": slices}),),
    )


def test_every_slice_is_a_row_below_everybody() -> None:
    assert slice_rows(detailed_evaluation()) == [
        ["everybody", "", "", "3.8×", "2.4–5.2", ""],
        ["1-4 events", "2,000", "60", "1.02×", "0.40–2.2", "gains nothing"],
        ["5+ events", "1,360", "154", "4.1×", "2.6–5.9", "gains"],
        ["country France", "3,000", "180", "3.9×", "2.5–5.6", "gains"],
        ["other countries", "360", "34", "2.1×", "0.50–6.0", "too few to say"],
    ]


def test_the_slices_where_the_list_gains_nothing_are_named() -> None:
    assert slices_sentence(detailed_evaluation()) == "The list gains nothing among these people: 1-4 events."
    sentence = slices_sentence(with_verdicts("gains_nothing", "gains", "gains_nothing"))
    assert sentence == "The list gains nothing among these people: country DE and other countries."


def test_without_such_a_slice_the_sentence_says_what_is_known() -> None:
    assert "known to be useless" in slices_sentence(with_verdicts("gains", "gains", "too_few"))
    assert slices_sentence(with_verdicts("too_few", "too_few", "too_few")) == (
        "There are too few people in each slice to say where the list gains."
    )


@pytest.mark.parametrize(
    ("by", "value", "name"),
    [
        ("events", "1", "1 event"),
        ("events", "2-4", "2-4 events"),
        ("events", "20+", "20+ events"),
        ("tenure", "less than a week", "known less than a week"),
        ("device", "app", "device app"),
        ("device", None, "other devices"),
        ("country", "", "country (blank)"),
        ("country", "x" * 31, f"country {'x' * 29}…"),
    ],
)
def test_a_slice_is_named_in_plain_words(by: SliceBy, value: str | None, name: str) -> None:
    assert slice_name(by, value) == name


def test_the_measure_is_named() -> None:
    assert slices_measured(detailed_evaluation()).endswith("Measured on hidden seed people.")
    without_deeds = replaced(detailed_evaluation(), "slices.measured_on", "hidden_seeds_without_deeds")
    assert "read as if they had not done" in slices_measured(without_deeds)
    assert "not with the lift that is promised" in slices_measured(without_deeds)


@pytest.mark.parametrize("evaluation", [example_evaluation(), replaced(detailed_evaluation(), "slices.groups", ())])
def test_where_people_were_not_cut_there_is_nothing(evaluation: Evaluation) -> None:
    assert (slice_rows(evaluation), slices_sentence(evaluation), slices_measured(evaluation)) == ([], "", "")
    assert 'id="slices"' not in page(evaluation)


def test_the_page_shows_them_and_escapes_values() -> None:
    evaluation = replaced(with_verdicts("gains_nothing", "gains", "gains"), "slices.groups.0.slices.0.label", "<b>")
    html = page(evaluation)
    assert "Among whom the list gains" in html
    assert html.count("country &lt;b&gt;") == 2, "in the sentence and in the table"
    assert "country <b>" not in html

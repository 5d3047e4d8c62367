"""Whether the encoder pays, in words and as a table."""

import pytest

from example_evaluation import BLOCKS, detailed_evaluation, example_evaluation, replaced
from lookalike.encoder.block_figures import BlockComparison, EncoderWorth, Interval
from lookalike.reporting.encoder_section import COLUMNS, block_rows, encoder_sentence, signed
from lookalike.reporting.page import page


def test_each_metric_has_a_figure_of_every_model_and_of_the_gain_with_its_interval() -> None:
    rows = dict(block_rows(BLOCKS))
    assert list(rows) == ["Lift@5%", "AUC", "Log-loss", "NDCG@5%"]
    assert all(len(cells) == len(COLUMNS) - 1 for cells in rows.values())
    assert [tuple(cell) for cell in rows["Lift@5%"]] == [
        ("2.4×", "1.6–3.4"), ("2.9×", "2.0–4.0"), ("3.0×", "2.1–4.1"), ("+0.60", "0.10 to 1.10"),
    ]  # fmt: skip
    assert rows["AUC"][0] == ("0.710", "0.670–0.750")
    assert rows["Log-loss"][3] == ("−0.0041", "−0.0062 to −0.0020")
    assert rows["NDCG@5%"][3] == ("+0.030", "−0.010 to 0.070")


@pytest.mark.parametrize(
    ("verdict", "begins"),
    [
        (
            "pays",
            "The encoder pays: the lift of a list of 5% is 3.0× with it and 2.4× without (+0.60, likely 0.10 to 1.10).",
        ),
        (
            "adds_nothing",
            "It cannot be told from chance whether the encoder adds to the lift here: the lift of a list of 5% is 3.0×",
        ),
        ("costs", "The encoder does harm here: "),
    ],
    ids=["pays", "adds nothing", "costs"],
)
def test_one_sentence_says_whether_it_pays(verdict: EncoderWorth, begins: str) -> None:
    assert encoder_sentence(BLOCKS.model_copy(update={"encoder": verdict})).startswith(begins)


def test_that_it_adds_nothing_is_said_where_more_than_a_small_gain_is_ruled_out() -> None:
    narrow = replaced(
        BLOCKS.model_copy(update={"encoder": "adds_nothing"}), "gain.lift", Interval(value=0, low=-0.4, high=0.6)
    )
    assert encoder_sentence(narrow).startswith(
        "The encoder adds nothing to the lift here that plain counts do not have: "
    )
    wide = replaced(narrow, "gain.lift", Interval(value=0, low=-0.4, high=0.61))
    assert encoder_sentence(wide).startswith(
        "It cannot be told from chance whether the encoder adds to the lift here: "
    )


def test_a_lower_log_loss_is_named_where_the_list_is_no_better() -> None:
    nothing = BLOCKS.model_copy(update={"encoder": "adds_nothing"})
    assert encoder_sentence(nothing).endswith("it tells a little more: over all people, log-loss is reliably lower.")
    unsure: BlockComparison = replaced(nothing, "gain.log_loss", Interval(value=-0.001, low=-0.002, high=0.001))
    assert "log-loss" not in encoder_sentence(unsure)


def test_signs_are_as_wide_as_each_other() -> None:
    assert [signed(value, 2, "+") for value in (0.5, -0.5, 0.001, -0.001)] == ["+0.50", "−0.50", "0.00", "0.00"]


def test_the_page_shows_it_where_it_was_measured() -> None:
    html = page(detailed_evaluation())
    assert "Does the encoder pay?" in html
    assert "0.2264 tells nobody apart" in html
    assert "Does the encoder pay?" not in page(example_evaluation())
    assert (block_rows(None), encoder_sentence(None)) == ([], "")

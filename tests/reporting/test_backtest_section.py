"""The backtest in words and as a table."""

import pytest

from example_evaluation import detailed_evaluation, example_evaluation, replaced
from lookalike.reporting.backtest_section import backtest_rows, backtest_sentence
from lookalike.reporting.formatting import NBSP


def test_the_backtest_stands_beside_the_hold_out() -> None:
    assert backtest_sentence(detailed_evaluation()) == (
        f"A list of 5% made on 1 September 2011, 00:00, from the 120{NBSP}people who were seeds by then, holds 3.1× as many "
        f"of the 64{NBSP}people who became seeds later as a random pick (likely 2.0–4.4). "
        f"9{NBSP}more people had no event by then: no list could have held them. Today's hold-out says 3.8×."
    )


@pytest.mark.parametrize(("newcomers", "words"), [(0, None), (1, f"1{NBSP}more person had no event by then")])
def test_newcomers_are_named_if_there_are_any(newcomers: int, words: str | None) -> None:
    sentence = backtest_sentence(replaced(detailed_evaluation(), "backtest.newcomers", newcomers))
    assert ("had no event" in sentence) == bool(words)
    assert words is None or words in sentence


def test_the_chosen_scorer_is_the_first_row() -> None:
    evaluation = replaced(detailed_evaluation(), "scorer", "centroid")
    assert backtest_rows(evaluation) == [
        ["centroid", "2.5×", "1.5–3.7"],
        ["logistic", "3.1×", "2.0–4.4"],
        ["aggregates alone (leakage-free)", "2.2×", "1.3–3.4"],
        ["activity alone", "1.4×", "0.70–2.4"],
    ]


def test_without_a_backtest_there_is_nothing() -> None:
    assert backtest_sentence(example_evaluation()) == ""
    assert backtest_rows(example_evaluation()) == []

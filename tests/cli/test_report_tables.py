"""The lift report on a terminal of 80 columns."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from example_evaluation import (
    HOSTILE_TEXTS,
    detailed_evaluation,
    example_evaluation,
    hostile_evaluation,
    refused_evaluation,
    replaced,
)
from lookalike.cli.report_tables import BAR_WIDTH, WIDTH, bar, report_tables
from lookalike.expansion.result import Evaluation


def printed(evaluation: Evaluation, everything: bool = True) -> str:
    """What a terminal of 80 columns shows."""
    output = io.StringIO()
    console = Console(file=output, width=WIDTH, highlight=False)
    for shown in report_tables(evaluation, everything=everything):
        console.print(shown)
    return output.getvalue()


def words(evaluation: Evaluation, everything: bool = True) -> str:
    """The same on one line; a no-break space is a space."""
    return " ".join(printed(evaluation, everything).split())


def widest(text: str) -> int:
    return max(cell_len(line) for line in text.splitlines())


def test_the_verdict_with_its_key_number_comes_first() -> None:
    text = words(example_evaluation())
    assert text.startswith(
        "retro-bags: expand this seed In a test with hidden seed people, the first 168 people on the list held 3.8× as many "
        "of them as a random pick (likely 2.4–5.2). Ranking by activity alone: 2.0×. + Better than chance: 3.8×"
    )


def test_the_main_figures_fit_half_a_screen() -> None:
    text = printed(example_evaluation(), everything=False)
    assert len(text.splitlines()) < 30
    assert "Lift at 168 people" in words(example_evaluation(), everything=False)
    assert "warning: 12 of 226 seed ids are not known users" in words(example_evaluation(), everything=False)
    assert "Lift by size" not in text


@pytest.mark.parametrize(
    "evaluation", [example_evaluation(), detailed_evaluation(), refused_evaluation()], ids=range(3)
)
def test_the_tables_fit_eighty_columns(evaluation: Evaluation) -> None:
    assert widest(printed(evaluation)) <= WIDTH == 80


def test_the_requested_size_is_marked() -> None:
    text = printed(example_evaluation())
    assert re.search(r"› 5% +168 +3\.8× +2\.4–5\.2 +2\.7× +2\.0× +1×", text)
    assert text.count("› ") == 2  # in the title and in its row


def test_a_refused_seed() -> None:
    text = words(refused_evaluation())
    assert text.startswith("retro-bags: do not expand this seed")
    assert "- Not reliably better than chance: 1.2× a random pick" in text
    assert "No list was written." in text
    assert "More than the base" not in text


def test_an_evaluation_with_as_little_as_possible_has_its_tables() -> None:
    evaluation = refused_evaluation()
    curves = {method: points[-1:] for method, points in evaluation.curves.items() if method != "centroid"}
    changes = {"curves": curves, "warnings": (), "scorers": evaluation.scorers[:1]}
    text = words(evaluation.model_copy(update=changes))
    assert "Lift by size" in text
    assert "warning" not in text


def test_the_backtest_the_sub_audiences_and_the_clusters() -> None:
    text = words(detailed_evaluation())
    for fact in (
        "Later seeds, by method",
        "Today's hold-out says 3.8×.",
        "95% like part 1 (60% of the seed), 5% like part 2 (40% of the seed)",
        "Separate lists find 12% more of the hidden seeds than one list of the same size; make them with --split.",
        "12 seed ids match no user: 4 differ from the log's only by the way they are written",
        "3 seeds rank behind 95% of the candidates when hidden; by chance it would be 8.",
        "word=tea",
        "1,234",
    ):
        assert fact in text


def test_slices_and_the_worth_of_the_encoder_are_told_in_short_and_shown_with_everything() -> None:
    short = words(detailed_evaluation(), everything=False)
    assert "The list gains nothing among these people: 1-4 events." in short
    assert "The encoder pays: the lift of a list of 5% is 3.0× with it and 2.4× without" in short
    assert "Among whom the list gains" not in short
    text = words(detailed_evaluation())
    assert "Among whom the list gains People Seeds Lift Band The list everybody 3.8× 2.4–5.2" in text
    assert "1-4 events 2,000 60 1.02× 0.40–2.2 gains nothing" in text
    assert "other countries 360 34 2.1× 0.50–6.0 too few to say" in text
    assert "Does the encoder pay? A logistic model on hidden seed people Plain counts Embedding Both" in text
    assert "AUC 0.710 0.730 0.740 +0.030 0.670–0.750 0.690–0.770 0.700–0.780 0.010 to 0.050" in text
    assert "Among whom" not in words(example_evaluation())


def test_a_seed_that_is_better_split_says_so_first() -> None:
    assert words(replaced(detailed_evaluation(), "verdict.parts", 2)).startswith(
        "retro-bags: split this seed into 2 lists"
    )


def test_a_caution_stands_with_the_checks() -> None:
    leaks = hostile_evaluation("x").seed_profile.leaks
    evaluation = replaced(example_evaluation(), "seed_profile.leaks", leaks)
    assert "! 2 features nearly define the seed" in words(evaluation, everything=False)


def test_traits_have_a_bar_and_a_group_without_any_says_so() -> None:
    text = printed(example_evaluation())
    assert re.search(r"Rabbit night light +█+▏? +4\.3× +3\.2–5\.9 +38 +187", text)
    assert "Event types. Nothing here is clearly more frequent than in the base." in words(example_evaluation())


@pytest.mark.parametrize(
    ("percent", "shown"), [(0, ""), (100, "█" * BAR_WIDTH), (50, "█" * (BAR_WIDTH // 2)), (1, "▏")]
)
def test_bars_are_as_wide_as_their_column(percent: float, shown: str) -> None:
    assert bar(percent) == shown.ljust(BAR_WIDTH)
    assert len(bar(percent)) == BAR_WIDTH


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_no_text_from_outside_drives_the_terminal(text: str) -> None:
    shown = printed(hostile_evaluation(text))
    assert not set(shown) & set("\x00\x1b\u202e\u2028")
    assert widest(shown) <= WIDTH
    assert shown.encode()


def test_markup_in_a_text_is_shown_as_it_is() -> None:
    assert "[red]markup[/red][/]: expand this seed" in printed(hostile_evaluation("[red]markup[/red][/]"))


def test_very_small_and_very_large_figures_fit() -> None:
    evaluation = example_evaluation().model_copy(update={"size": 10**12, "candidates": 10**15, "prospects": 10**12})
    held_out = {"lift": 1e-9, "low": 0, "high": 1e300, "share": 1e-12, "max_lift": 1e300}
    evaluation = evaluation.model_copy(update={"held_out": evaluation.held_out.model_copy(update=held_out)})
    assert widest(printed(evaluation)) <= WIDTH

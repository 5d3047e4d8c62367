"""Numbers and foreign text as people read them."""

from datetime import UTC, datetime

import pytest

from example_evaluation import HOSTILE_TEXTS
from lookalike.reporting import formatting
from lookalike.reporting.formatting import MISSING, NBSP


def test_counts_and_people_have_thousands_separators() -> None:
    assert formatting.count(1_234_567) == "1,234,567"
    assert formatting.people(1) == f"1{NBSP}person"
    assert formatting.people(1_234) == f"1,234{NBSP}people"
    assert formatting.plural(2, "id", "ids") == f"2{NBSP}ids"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.001, f"<{NBSP}0.01"),
        (0.96, "0.96"),
        (1, "1"),
        (1.04, "1.04"),
        (1.194, "1.19"),
        (1.195, "1.2"),
        (3.14159, "3.1"),
        (9.94, "9.9"),
        (9.95, "10"),
        (42.04, "42"),
        (1_234.5, "1,234"),
    ],
)
def test_ratios_have_one_precision_everywhere(value: float, text: str) -> None:
    assert formatting.ratio(value) == text
    assert formatting.times(value) == f"{text}×"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.00001, f"<{NBSP}0.01%"),
        (0.001, "0.1%"),
        (0.0025, "0.25%"),
        (0.05, "5%"),
        (0.9474, "94.7%"),
        (0.9999, f">{NBSP}99.9%"),
        (1, "100%"),
        (12.5, "1,250%"),
    ],
)
def test_percentages_are_never_rounded_to_nothing_or_everything(share: float, text: str) -> None:
    assert formatting.percent(share) == text


def test_bands_are_two_numbers_and_a_dash() -> None:
    assert formatting.band(2.2, 4.2) == "2.2–4.2"
    assert formatting.likely(2.2, 4.2) == "likely 2.2–4.2"
    assert formatting.percent_band(0.12, 0.262) == "12%–26.2%"


def test_missing_figures_are_a_dash() -> None:
    for text in (
        formatting.count(None),
        formatting.ratio(None),
        formatting.times(None),
        formatting.percent(None),
        formatting.score(None),
        formatting.band(1, None),
        formatting.percent_band(None, 1),
        formatting.day(None),
        formatting.clean(None),
    ):
        assert text == MISSING == "–"


def test_moments_name_month_and_zone() -> None:
    assert formatting.moment("2011-12-10T09:14:27+00:00") == "10 December 2011, 09:14 UTC"
    assert formatting.moment("2011-12-10T09:14:27Z") == "10 December 2011, 09:14 UTC"
    assert formatting.moment(datetime(2011, 9, 1)) == "1 September 2011, 00:00"
    assert formatting.moment("soon") == "soon"
    assert formatting.day(datetime(2011, 12, 10, 9, tzinfo=UTC)) == "2011-12-10"


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [formatting.listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_cleaned_text_is_one_short_line_that_drives_nothing(text: str) -> None:
    cleaned = formatting.clean(text, 60)
    assert len(cleaned) <= 60
    assert not set(cleaned) & set("\x00\x1b\n\r\t\u202e\u2066\u2028\u2029\ud800")
    assert formatting.clean(cleaned, 60) == cleaned
    assert cleaned == cleaned.encode().decode()
    assert not set(formatting.printable(text)) & set("\x00\x1b\n\r\t\u202e\u2028\u2029")


def test_ordinary_text_is_kept() -> None:
    for text in ("Jumbo bag red retrospot", "שלום עולם", "नमस्ते", "你好", "déjà vu"):
        assert formatting.clean(text) == text


def test_a_label_is_never_empty_and_keeps_its_longer_form() -> None:
    assert formatting.label("") == formatting.label(" \n ") == ("(blank)", "")
    assert formatting.label("short") == ("short", "")
    text, full = formatting.label("long " * 40)
    assert len(text) <= formatting.LABEL_LENGTH
    assert text.endswith("…")
    assert full == ("long " * 40).strip()
    assert len(formatting.label("x" * 10_000).full) == formatting.TITLE_LENGTH

"""The language of rules: what is read, how it is written, and where it says that something is wrong."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import SettingsError
from lookalike.expansion.rule import Rule, parse_rule

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("item = 4711", Rule((("item", "4711"),))),
        ("product_category = DOG FOODS", Rule((("product_category", "DOG FOODS"),))),
        ("category=DOG FOODS since 2017-05-01", Rule((("category", "DOG FOODS"),), 1, date(2017, 5, 1))),
        ('a = x OR "b c" = "or" at least 3 times', Rule((("a", "x"), ("b c", "or")), 3)),
        ('a = "say ""hi"""', Rule((("a", 'say "hi"'),))),
        ("shop = Meet at the corner", Rule((("shop", "Meet at the corner"),))),
        ("a = '; DROP TABLE events; --", Rule((("a", "'; DROP TABLE events; --"),))),
        ("a = 日本 🙂", Rule((("a", "日本 🙂"),))),
        ("a = x or a = x", Rule((("a", "x"),))),
    ],
)  # fmt: skip
def test_a_rule_is_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@given(
    terms=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4, unique=True),
    times=st.integers(1, 999_999),
    since=st.none() | st.dates(),
)
def test_a_written_rule_is_read_back(terms: list[tuple[str, str]], times: int, since: date | None) -> None:
    rule = Rule(tuple(terms), times, since)
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "column 1: expected a field"),
        ("= x", "column 1: expected a field"),
        ("category", "column 9: expected = after the field"),
        ("category =", "column 11: expected a value"),
        ("category = or b = c", "column 12: expected a value"),
        ("a = b = c", "column 7: unexpected '='"),
        ('a = "b', "column 5: a quote is opened and never closed"),
        ('a = b "c"', "column 7: unexpected 'c'"),
        ("a = b or", "column 9: expected a field"),
        ("a = b since May", "column 13: expected a date such as 2026-05-01"),
        ("a = b at least no times", "column 16: expected a number from 1 on"),
        ("a = b at least 2", "column 17: expected: times"),
        ("a" * 10_000, "a rule of 10,000 characters is too long"),
        (" or ".join(f"a = {number}" for number in range(51)), "a rule of 51 terms is too long"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_rule(text)
    assert problem in raised.value.message

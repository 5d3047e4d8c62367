"""No cell is run by a spreadsheet, whatever separates its cells, and every text can be had back."""

import csv
import io
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.spreadsheet_cells import escaped, is_formula, unescaped

HOSTILE = st.text("a1'\";,|=+-@\uff1d\uff0b\uff0d\uff20 \t\r\n\x00\u00a0", max_size=10) | st.text(max_size=6)
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def cells(text: str) -> list[str]:
    """The cells that programs may find in a line with the text: with quotes and without, by several separators."""
    line = pl.DataFrame({"rank": [1], "user_id": [text], "score": [0.5]}).write_csv(include_header=False)
    found = re.split(r"[;\t\r\n]", line)
    for separator in ";\t,|":
        found += [cell for row in csv.reader(io.StringIO(line, newline=""), delimiter=separator) for cell in row]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
        ("\uff1d1", "'\uff1d1"),
        ("a\n=1", "a\n'=1"),
        ("\t=1", "'\t'=1"),
        ('a;"=1"', 'a;\'"=1"'),
        ("a;'=1", "a;''=1"),
        ("'-12", "''-12"),
    ],
)
def test_a_formula_has_an_apostrophe_in_front(text: str, expected: str) -> None:
    assert escaped(pl.Series([text])).to_list() == [expected]
    assert is_formula(pl.Series([text])).to_list() == [True]


@pytest.mark.parametrize("text", ["-12", "+3.5", "ann", "a=b", "a-b", "x@y", "'ann'", "a; b", ""])
def test_other_text_stays(text: str) -> None:
    assert escaped(pl.Series([text])).to_list() == unescaped(pl.Series([text])).to_list() == [text]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.none() | HOSTILE))
def test_no_cell_is_run_and_every_text_can_be_had_back(texts: list[str | None]) -> None:
    given = pl.Series(texts, dtype=pl.String)
    written = escaped(given)
    assert unescaped(written).to_list() == texts
    for text in written.drop_nulls():
        for cell in cells(text):
            begin = cell.lstrip(" \t\r\n\x00\u00a0")
            assert not begin.startswith(
                ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
            ) or NUMBER.fullmatch(begin)

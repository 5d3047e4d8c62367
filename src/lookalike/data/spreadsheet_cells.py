"""Text that a spreadsheet would run as a formula: a ' in front of it prevents that, and is taken away when it is read.

A cell is run if it begins with `=`, `+`, `-` or `@`, in full width too, or with one after blanks. A program may split our
cells as well: at line breaks and tabs whatever the quotes say, and at the `;` that separates cells in much of Europe. So
whatever follows such a character counts as the beginning of a cell.
"""

import re
from collections.abc import Callable

import polars as pl

from lookalike.data.ingest.cells import WHITESPACE

_SIGNS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"
_BETWEEN = ";|\t\n\r"  # what may separate cells
_BEFORE = WHITESPACE + "\x00'\""
_NUMBER = r"^[+-]?\d+(\.\d+)?$"  # a whole text that is one is safe


def _any_of(characters: str, but: str = "") -> str:
    """A class of characters, as Python and Polars both read it."""
    return "[" + but + "".join(map(re.escape, characters)) + "]"


_FORMULA = f"{_any_of(_BEFORE)}*{_any_of(_SIGNS)}"
_CELL_FORMULA = re.compile(f"(?<!{_any_of(_BETWEEN, but='^')})(?={_FORMULA})")
_CELL_ESCAPE = re.compile(f"(?<!{_any_of(_BETWEEN, but='^')})'(?={_FORMULA})")
# Polars cannot look around, but tells quickly which few texts are concerned.
_HAS_FORMULA = f"(^|{_any_of(_BETWEEN)}){_FORMULA}"
_HAS_ESCAPE = f"(^|{_any_of(_BETWEEN)})'{_FORMULA}"


def is_formula(texts: pl.Series) -> pl.Series:
    """Whether a spreadsheet would run each text, or a part of it, or whether `unescaped` would change it."""
    return (texts.str.contains(_HAS_FORMULA) & ~texts.str.contains(_NUMBER)).fill_null(False)


def escaped(texts: pl.Series) -> pl.Series:
    """The texts with a ' wherever a formula could begin; `unescaped` gives them back."""
    return _replaced(texts, is_formula(texts), lambda text: _CELL_FORMULA.sub("'", text))


def unescaped(texts: pl.Series) -> pl.Series:
    """The texts as they were before `escaped`."""
    has_escape = texts.str.contains(_HAS_ESCAPE).fill_null(False)
    return _replaced(texts, has_escape, lambda text: _CELL_ESCAPE.sub("", text))


def _replaced(texts: pl.Series, concerned: pl.Series, change: Callable[[str], str]) -> pl.Series:
    places = concerned.arg_true()
    if not len(places):
        return texts
    return texts.clone().scatter(places, [change(text) for text in texts.gather(places)])

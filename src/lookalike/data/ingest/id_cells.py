"""What an id is, in every file: of users and items, in logs, tables, seeds and other lists.

Two ids are one if they differ only in what programs add to a number or a text: `12345`, `12345.0` and DECIMAL
`12345.000` are one, as are `00123`, `'00123`, `"00123"` and `="00123"`. Leading zeros and case stay: they may tell people
apart. Ids that were rounded are no longer of one person, and are reported.
"""

from typing import Final

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.cells import WHITESPACE
from lookalike.data.ingest.synonyms import word_list

_SPACE: Final = r"\s\x0b\x00\x{00a0}\x{3000}\x{feff}"
# Whether there is anything to clean: cleaning takes ten times as long as this test.
_UNCLEAN: Final = rf"^[{_SPACE}'\"]|[{_SPACE}\"]$|^=\"|^-?\d+\.0+$"
_QUOTED: Final = r'^=?"(.*)"$'  # ="00123" keeps a spreadsheet from reading a number
_APOSTROPHES: Final = r"^'+(.*?)'*$"  # '00123 does too
_WHOLE: Final = r"^(-?\d+)\.0+$"
THOUSANDS: Final = r"[1-9]\d{0,2}(\.\d{3})+"
_ROUNDS: Final = 2  # quotes within quotes

# Whole numbers from here on are rounded by the type.
_EXACT: Final = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}

_EXPONENT: Final = r"\d([.,]\d+)?[eE]\+\d+|\d+\.0"  # 1.23457E+15; and a double without a fraction, see `id_text`
_EXACT_DIGITS: Final = 15  # that a spreadsheet keeps
_LONG_NUMBER: Final = rf"\d{{{_EXACT_DIGITS + 1},}}"
_MIN_LONG_NUMBERS: Final = 5  # all of which end in zeros by chance once in 100,000 times


def id_text(column: str, kind: str, keeps_thousands: bool = False) -> str:
    """SQL of the column's ids as text, NULL where there is none. `kind` is the column's DuckDB type.

    With `keeps_thousands`, 12.000 is not taken for the decimal of 12. Floats too large to be exact keep their fraction or
    exponent, so that `is_rounded` finds them.
    """
    name = quoted(column)
    if kind in _EXACT:
        whole = f"{name} = trunc({name}) AND abs({name}) < {_EXACT[kind]}"
        text = f"CASE WHEN {whole} THEN {name}::BIGINT::VARCHAR ELSE {name}::VARCHAR END"
        return f"CASE WHEN isfinite({name}) THEN {text} END"
    if kind.startswith("DECIMAL"):
        return f"CASE WHEN {name} = trunc({name}) THEN {name}::HUGEINT::VARCHAR ELSE rtrim({name}::VARCHAR, '0') END"
    if kind != "VARCHAR":
        return f"{name}::VARCHAR"
    text = _trimmed(name)
    for _ in range(_ROUNDS):
        text = f"regexp_replace({text}, {sql.literal(_QUOTED)}, '\\1', 's')"
        text = _trimmed(f"regexp_replace({text}, {sql.literal(_APOSTROPHES)}, '\\1', 's')")
    whole = f"regexp_replace({text}, {sql.literal(_WHOLE)}, '\\1')"
    if keeps_thousands:
        whole = f"CASE WHEN regexp_full_match({text}, {sql.literal(THOUSANDS)}) THEN {text} ELSE {whole} END"
    return f"nullif(CASE WHEN regexp_matches({name}, {sql.literal(_UNCLEAN)}) THEN {whole} ELSE {name} END, '')"


def _trimmed(text: str) -> str:
    return f"trim({text}, {sql.literal(WHITESPACE)} || chr(0))"


def is_unclean(text: str) -> str:
    """An SQL condition: the stored id is not as `id_text` gives it."""
    return f"regexp_matches({text}, {sql.literal(_UNCLEAN)})"


def is_placeholder(text: str) -> str:
    """An SQL condition: the id stands for many people, or for nobody: `unknown`, `#REF!`, zeros only."""
    words = word_list("placeholder_ids")
    return (
        f"((strlen({text}) <= {max(map(len, words))} AND lower({text}) IN ({sql.literals(words)})) "
        f"OR (starts_with({text}, '0') AND ltrim({text}, '0-') = ''))"
    )


def is_rounded(text: str) -> str:
    """An SQL condition: a program has rounded the number that the id is. Several people may have become one."""
    return f"regexp_full_match({text}, {sql.literal(_EXPONENT)})"


def rounded_count(text: str) -> str:
    """SQL that counts the rounded ids among all rows, those of spreadsheets too: these keep 15 digits of a number.

    Such numbers end in zeros; that counts where all long ids do.
    """
    is_long = f"strlen({text}) > {_EXACT_DIGITS} AND regexp_full_match({text}, {sql.literal(_LONG_NUMBER)})"
    ends_in_zeros = f"rtrim(substr({text}, {_EXACT_DIGITS + 1}), '0') = ''"
    longs = f"count(*) FILTER ({is_long})"
    all_end_so = f"{longs} = count(*) FILTER ({is_long} AND {ends_in_zeros})"
    several = f"count(DISTINCT CASE WHEN {is_long} THEN {text} END) >= {_MIN_LONG_NUMBERS}"
    return f"count(*) FILTER ({is_rounded(text)}) + CASE WHEN {all_end_so} AND {several} THEN {longs} ELSE 0 END"

"""SQL that cleans the cells of a column: texts, empty values, numbers."""

from typing import Final

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.synonyms import word_list
from lookalike.data.schema import MAX_TEXT_LENGTH

WHITESPACE: Final = " \t\n\r\f\v\u00a0\u3000\ufeff"  # cut from both ends of every text

# Whether there is whitespace to cut: trimming takes ten times as long as this test.
_WHITESPACE_AT_END: Final = "^[\\s\\x0b\\x{00a0}\\x{3000}\\x{feff}]|[\\s\\x0b\\x{00a0}\\x{3000}\\x{feff}]$"

# A number as a till prints it: with sign, currency, thousands separators, brackets.
_AMOUNT: Final = r"\s*\(?[+-]?\s*([A-Z]{3}|\p{Sc})?\s*[+-]?[0-9.,][0-9.,' \x{00a0}]*([A-Z]{3}|\p{Sc})?\)?\s*"

_CUT: Final = "…"
_FRACTIONAL_TYPES: Final = ("FLOAT", "DOUBLE", "DECIMAL")


def clean_text(column: str, kind: str) -> str:
    """The column as text without surrounding whitespace; NULL when nothing is left. Whole floats lose their '.0'; NaN and
    infinities, which other programs write for an empty cell, are NULL."""
    name = quoted(column)
    if kind.startswith(_FRACTIONAL_TYPES):
        whole = f"{name} = trunc({name}) AND abs({name}) < 9007199254740992"
        text = f"CASE WHEN {whole} THEN TRY_CAST({name} AS BIGINT)::VARCHAR ELSE {name}::VARCHAR END"
        return text if kind.startswith("DECIMAL") else f"CASE WHEN isfinite({name}) THEN {text} END"
    if kind != "VARCHAR":
        return f"{name}::VARCHAR"
    needs_trim = f"regexp_matches({name}, {sql.literal(_WHITESPACE_AT_END)})"
    trimmed = f"trim({name}, {sql.literal(WHITESPACE)})"
    return f"nullif(CASE WHEN {needs_trim} THEN {trimmed} ELSE {name} END, '')"


def bounded(text: str, short: str = "") -> str:
    """The text expression, cut to `MAX_TEXT_LENGTH` characters, of which the last is an ellipsis then; `short` where it is
    not longer."""
    is_long = f"strlen({text}) > {MAX_TEXT_LENGTH} AND length({text}) > {MAX_TEXT_LENGTH}"
    return f"CASE WHEN {is_long} THEN left({text}, {MAX_TEXT_LENGTH - 1}) || '{_CUT}' ELSE {short or text} END"


def was_cut(text: str) -> str:
    """An SQL condition: a stored text was cut."""
    return f"strlen({text}) > {MAX_TEXT_LENGTH} AND length({text}) = {MAX_TEXT_LENGTH} AND ends_with({text}, '{_CUT}')"


def is_empty(cell: str, kind: str) -> str:
    """An SQL condition: the cell, a quoted column, holds nothing. So does NaN."""
    if kind == "VARCHAR":
        return f"trim(coalesce({cell}, '')) = ''"
    return f"({cell} IS NULL OR isnan({cell}))" if kind in ("FLOAT", "DOUBLE") else f"{cell} IS NULL"


def without_null_words(text: str) -> str:
    """The text expression, NULL for words such as `null` or `(not set)`."""
    words = word_list("null_words")
    longest = max(map(len, words))
    return f"CASE WHEN strlen({text}) > {longest} OR lower({text}) NOT IN ({sql.literals(words)}) THEN {text} END"


def parse_number(column: str, kind: str, decimal_comma: bool) -> str:
    """The column as a double, NULL where it is not a number. Text may have a currency and thousands separators."""
    name = quoted(column)
    if kind != "VARCHAR":
        return f"TRY_CAST({name} AS DOUBLE)"
    signed = f"regexp_replace({name}, '^\\s*\\((.*)\\)\\s*$', '-\\1')"  # bookkeepers write (2.50) for -2.50
    digits = f"regexp_replace({signed}, '[^0-9,.+-]', '', 'g')"
    bare = f"replace(replace({digits}, '.', ''), ',', '.')" if decimal_comma else f"replace({digits}, ',', '')"
    amount = f"CASE WHEN regexp_full_match({name}, {sql.literal(_AMOUNT)}) THEN TRY_CAST({bare} AS DOUBLE) END"
    return amount if decimal_comma else f"coalesce(TRY_CAST({name} AS DOUBLE), {amount})"


def finite_or_null(expression: str) -> str:
    return f"CASE WHEN isfinite({expression}) THEN {expression} END"


def has_decimal_comma(connection: duckdb.DuckDBPyConnection, reader: Reader, column: str) -> bool:
    """Whether more of the first 10,000 numbers of a text column have a decimal comma than a decimal point."""
    if reader.delimiter == ",":
        return False
    row = connection.execute(
        "SELECT count(*) FILTER (regexp_matches(t, '\\d,\\d+$')), count(*) FILTER (regexp_matches(t, '\\d\\.\\d+$')) "
        f"FROM (SELECT trim({quoted(column)}, ' €$£\u00a0') AS t FROM {reader.scan} LIMIT 10000)"
    ).fetchone()
    assert row is not None
    return bool(row[0] > row[1])

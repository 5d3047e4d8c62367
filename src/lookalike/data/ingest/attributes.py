"""What the columns of an items or users table become: rows of (key, attribute, value).

It follows from the content: a list gives one row for each element, numbers become tenths of the table, text of several
words becomes words, values of which there are few stay as they are. Identifiers say nothing about similarity and are
left out; personal data are never stored.
"""

from typing import Final, Literal

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.cells import clean_text, finite_or_null, without_null_words
from lookalike.data.ingest.personal_data import is_personal_name, looks_personal
from lookalike.data.ingest.staging import KEYED_ROWS
from lookalike.data.ingest.synonyms import normalised, word_list
from lookalike.data.schema import MAX_TEXT_LENGTH, WORD

Shape = Literal["list", "tenths", "words", "value", "identifier", "personal", "nested", "empty"]
NOT_STORED: Final = ("identifier", "personal", "nested", "empty")

_MAX_CODES = 20  # distinct numbers; with more of them a column holds amounts
_MAX_SHORT_TABLE = 20  # distinct texts; with fewer no column holds identifiers
_MIN_DISTINCT_SHARE = 0.5  # of the rows, above which a text names single rows
_MIN_SHARE = 0.5  # of the rows, above which nested values or several words decide the shape
_MAX_PERSONAL_SHARE = 0.1
_MAX_VALUE_LENGTH = 200
_MAX_WORDS_LENGTH = 10 * MAX_TEXT_LENGTH
_TENTHS = [tenth / 10 for tenth in range(1, 10)]


def column_shape(connection: duckdb.DuckDBPyConnection, column: str, kind: str, is_title: bool) -> Shape:
    """What a column of the keyed rows becomes. `kind` is its DuckDB type."""
    if is_personal_name(column):
        return "personal"
    if kind.endswith("[]"):
        return "nested" if kind.endswith("[][]") or kind.startswith("STRUCT") else "list"
    if kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")) or kind in ("BLOB", "JSON"):
        return "nested"
    text = f"SELECT {clean_value(column, kind)} AS t, {_amount(column, kind)} AS x FROM {KEYED_ROWS}"
    row = connection.execute(
        f"SELECT count(t), count(DISTINCT t), count(x), avg((t SIMILAR TO '.*\\S\\s+\\S.*')::INT), max(length(t)), "
        f"count(*) FILTER ({looks_personal('t')}) / count(t), "
        f"avg(starts_with(t, '{{')::INT) FROM ({text})"
    ).fetchone()
    assert row is not None
    count, distinct, numbers, several_words_share, max_length, personal_share, object_share = row
    if not count:
        return "empty"
    if personal_share > _MAX_PERSONAL_SHARE:
        return "personal"
    if object_share > _MIN_SHARE:
        return "nested"
    names_rows = distinct > _MIN_DISTINCT_SHARE * count and distinct > _MAX_SHORT_TABLE
    if numbers == count and not _holds_codes(column):
        return "tenths" if distinct > _MAX_CODES else "value"
    if is_title or (several_words_share > _MIN_SHARE and names_rows):
        return "words"
    return "identifier" if names_rows or max_length > _MAX_VALUE_LENGTH else "value"


def attribute_values(column: str, kind: str, shape: Shape) -> tuple[str, str] | None:
    """The attribute and the query that gives __key and v for one column; None when it is not stored."""
    if shape in NOT_STORED:
        return None
    if shape == "words":
        return WORD, _words(column, kind)
    # a column that is called as the attribute of words would be mixed with them
    attribute = column if column != WORD else f"{WORD}_column"
    if shape == "list":
        element = f"left(trim(unnest({quoted(column)}::VARCHAR[])), {_MAX_VALUE_LENGTH})"
        return attribute, f"SELECT __key, {element} AS v FROM {KEYED_ROWS}"
    if shape == "tenths":
        return attribute, _tenths(column, kind)
    return attribute, f"SELECT __key, {clean_value(column, kind)} AS v FROM {KEYED_ROWS}"


def is_cut(column: str, kind: str, shape: Shape, is_title: bool) -> str:
    """An SQL condition over the keyed rows: part of the cell is not stored, because it is too long. Empty if none can be."""
    if shape == "list":
        return (
            f"len(list_filter({quoted(column)}::VARCHAR[], lambda element: length(element) > {_MAX_VALUE_LENGTH})) > 0"
        )
    limit = MAX_TEXT_LENGTH if is_title else _MAX_WORDS_LENGTH
    return f"length({clean_value(column, kind)}) > {limit}" if shape == "words" else ""


def clean_value(column: str, kind: str) -> str:
    """The column as text, NULL where a cell is empty or a word for nothing."""
    return without_null_words(clean_text(column, kind))


def _words(column: str, kind: str) -> str:
    text = f"left({clean_value(column, kind)}, {_MAX_WORDS_LENGTH})"
    # words are cut after they are found: a pattern that counts characters takes 25 times as long
    words = f"regexp_extract_all(lower({text}), '\\p{{L}}[\\p{{L}}\\p{{M}}]+')"
    found = f"SELECT __key, left(unnest({words}), {_MAX_VALUE_LENGTH}) AS v FROM {KEYED_ROWS}"
    return f"SELECT * FROM ({found}) WHERE v NOT IN ({sql.literals(word_list('stop_words'))})"


def _tenths(column: str, kind: str) -> str:
    """q01 to q10: the tenth of the table that a number is in; with fewer distinct edges, fewer of them."""
    amounts = f"(SELECT __key, {_amount(column, kind)} AS x FROM {KEYED_ROWS})"
    edges = f"(SELECT list_distinct(quantile_cont(x, {_TENTHS})) AS edges FROM {amounts})"
    tenth = "lpad((1 + len(list_filter(edges, lambda edge: edge < x)))::VARCHAR, 2, '0')"
    return f"SELECT __key, 'q' || {tenth} AS v FROM {amounts}, {edges} WHERE x IS NOT NULL"


def _holds_codes(column: str) -> bool:
    """Whether numbers in the column are codes by its name: it ends in id, code, number ..."""
    last_part = column.replace("-", "_").replace(" ", "_").split("_")[-1]
    return normalised(last_part) in word_list("identifier_names") or column.endswith(("Id", "ID", "Code"))


def _amount(column: str, kind: str) -> str:
    """The column as a number, a date as seconds; NULL for other text. Stricter than for events: '12 cm' is NULL."""
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"epoch({quoted(column)})"
    if kind in ("BOOLEAN", "UUID", "BLOB", "INTERVAL") or kind.startswith("TIME"):
        return "NULL::DOUBLE"
    return finite_or_null(f"TRY_CAST({quoted(column)} AS DOUBLE)")

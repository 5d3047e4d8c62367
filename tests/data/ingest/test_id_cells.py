"""What an id is, in every kind of column."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_ids import clean_ids
from lookalike.data.ingest.id_cells import id_text


def text_of(value: str) -> str | None:
    """The id in an SQL value, whatever its type."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS SELECT {value} AS id")
        ((kind,),) = connection.execute("SELECT data_type FROM duckdb_columns() WHERE table_name = 't'").fetchall()
        ((text,),) = connection.execute(f"SELECT {id_text('id', kind)} FROM t").fetchall()
    return text


@pytest.mark.parametrize(
    "value",
    [
        "12345", "12345::DOUBLE", "12345::FLOAT", "12345::DECIMAL(20, 9)", "12345::DECIMAL(9, 0)", "12345::HUGEINT",
        "'12345'", "'12345.0'", "'12345.000000000'", "' 12345 '", "'12345' || chr(0)", "chr(0) || '12345'",
        "'\u00a012345'", "'=\"12345\"'", "'\"12345\"'", "'''12345'", "'''12345'''", "'\"=\"12345\"\"'",
        "'=\"12345.0\"'", "'12345\r\n'",
    ],
)  # fmt: skip
def test_one_id_however_a_program_wrote_it(value: str) -> None:
    assert text_of(value) == "12345"


@pytest.mark.parametrize(
    "text", ["00123", "-5", "1.5", "1.50", "12,0", "O'Brien", "=x", "1e5", "5e10", "a.0", "v1.0", "é", "A", "a"]
)
def test_what_may_tell_people_apart_stays(text: str) -> None:
    assert text_of("'" + text.replace("'", "''") + "'") == text


@pytest.mark.parametrize(
    "value", ["''", "' '", "chr(0)", "'\"\"'", "'=\"\"'", "''''", "'nan'::DOUBLE", "'inf'::DOUBLE", "NULL::INTEGER"]
)
def test_nothing_is_no_id(value: str) -> None:
    assert text_of(value) is None


def test_a_decimal_of_any_size_is_exact() -> None:
    assert text_of("12345678901234567890123456789::DECIMAL(38, 0)") == "12345678901234567890123456789"
    assert text_of("9007199254740993.500::DECIMAL(25, 3)") == "9007199254740993.5"


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=50))
def test_an_id_that_was_read_is_read_again_as_it_is(ids: list[str]) -> None:
    once = [text for text in clean_ids(ids) if not set(text[:1] + text[-1:]) & set("'\"")]
    assert clean_ids(once) == once

"""Lists of ids: read from files and frames, written so that no spreadsheet runs them, and the same when read back."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clean_ids import clean_ids
from lookalike.data import id_lists
from lookalike.data.id_lists import IdFrame, IdSource
from lookalike.errors import DataError, StateError


def read(folder: Path, content: str, name: str = "ids.csv") -> list[str]:
    (folder / name).write_bytes(content.encode())
    return ids_of(folder / name)


def ids_of(source: IdSource) -> list[str]:
    return id_lists.read_ids(source).ids["user_id"].to_list()


def prospects(ids: list[str]) -> pl.DataFrame:
    count = len(ids)
    columns = {"rank": range(1, count + 1), "user_id": ids, "score": [0.5] * count, "tier": [1] * count}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String})


# --- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "user_id\nann\nbob\n",
        "User_ID\nann\nbob",
        " user_id ,value\nann,1\nbob,2\n",
        "value,user_id\n1,ann\n2,bob\n",
        "customer\nann\nbob\n",
        "user_id\r\nann\r\nbob\r\n",
        "\ufeffuser_id\nann\nbob\n",
        'user_id\n"ann"\n bob \n\n',
        "user_id,value\nann,1\n,2\nbob,3\n",
    ],
    ids=["plain", "capitals", "blanks", "second", "customer", "crlf", "bom", "quotes", "empty_id"],
)
def test_ids_are_found_in_the_usual_forms_of_csv(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == ["ann", "bob"]


def test_ids_stay_text_whatever_they_look_like(tmp_path: Path) -> None:
    ids = ["007", "1e5", "-3", "1.50", "true"]
    assert read(tmp_path, "user_id\n" + "".join(f"{user}\n" for user in ids)) == ids


def test_numbers_in_parquet_are_read_as_text(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [7, None, 9], "value": [1, 2, 3]}).write_parquet(tmp_path / "ids.parquet")
    assert ids_of(tmp_path / "ids.parquet") == ["7", "9"]


@pytest.mark.parametrize(
    "content",
    ["", "user_id\n", "user_id\n\n \n", "a,b\n1,2\n", "user_id,v\n1,2,3\n"],
    ids=["empty", "heading_only", "blank_lines", "no_id_column", "extra_cell"],
)
def test_a_file_without_ids_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, content)
    assert raised.value.message.startswith(f"{tmp_path / 'ids.csv'}: ")
    assert raised.value.hint


# --- frames --------------------------------------------------------------------------------------------------------------


def frame_of(**columns: Any) -> IdFrame:
    return IdFrame(pl.DataFrame(columns), "fans")


def test_a_frame_is_read_as_the_same_parquet_file_is(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [" ann ", "'=1", None, "007"],
            "value": ["1.5", "2", "3", "4"],
            "ts": [datetime(2024, 3, day) for day in range(1, 5)],
            "note": ["a", "b", "c", "d"],
        }
    )
    frame.write_parquet(tmp_path / "ids.parquet")
    from_frame = id_lists.read_ids(IdFrame(frame, "fans"), with_values=True)
    from_file = id_lists.read_ids(tmp_path / "ids.parquet", with_values=True)
    assert_frame_equal(from_frame.ids, from_file.ids)
    assert from_frame.unused == from_file.unused == ("note",)
    assert from_frame.ids["user_id"].to_list() == ["ann", "=1", "007"]
    assert from_frame.ids["value"].to_list() == [1.5, 2, 4]


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        (frame_of(user_id=[12, None, 34]), ["12", "34"]),
        (frame_of(user_id=[12.0, 34.0]), ["12", "34"]),
        (frame_of(user_id=pl.Series(["b", "a"], dtype=pl.Categorical)), ["b", "a"]),
        (frame_of(customer=["b", "a"]), ["b", "a"]),
        (frame_of(CustomerID=["b", "a"], other=[1, 2]), ["b", "a"]),
    ],
    ids=["integers", "floats", "categories", "only_column", "known_name"],
)
def test_ids_are_found_in_frames(source: IdFrame, ids: list[str]) -> None:
    assert ids_of(source) == ids


@pytest.mark.parametrize(
    "source",
    [
        IdFrame(pl.DataFrame(), "fans"),
        frame_of(user_id=[]),
        frame_of(user_id=[None, " "]),
        frame_of(a=[1], b=[2]),
        frame_of(user_id=[object()]),
        frame_of(user_id=["ann"], value=[-1]),
    ],
    ids=["no_columns", "no_rows", "blank_ids", "no_id_column", "objects", "negative_value"],
)
def test_an_error_names_the_frame(source: IdFrame) -> None:
    with pytest.raises(DataError) as raised:
        id_lists.read_ids(source, with_values=True)
    assert raised.value.message.startswith("fans: ")
    assert "parquet" not in raised.value.message
    assert raised.value.hint


def test_sources_have_a_name_and_a_hash(tmp_path: Path) -> None:
    read(tmp_path, "user_id\nann\n")
    file, frame = tmp_path / "ids.csv", frame_of(user_id=["ann"])
    assert (id_lists.source_name(file), id_lists.source_name(frame)) == ("ids.csv", "fans")
    expected = hashlib.sha256(b"user_id\nann\n").hexdigest()
    assert id_lists.source_sha256(file) == id_lists.source_sha256(frame) == expected
    assert id_lists.source_sha256(frame_of(user_id=["bob"])) != expected


def test_a_frame_that_has_no_csv_text_is_refused() -> None:
    with pytest.raises(DataError, match=r"^fans: "):
        id_lists.source_sha256(frame_of(user_id=["ann"], visits=[[1, 2]]))


# --- written lists -------------------------------------------------------------------------------------------------------


def test_a_written_list_has_its_columns_and_six_decimals(tmp_path: Path) -> None:
    assert id_lists.write_prospects(prospects(["ann", "7"]), tmp_path / "p.csv") == 0
    assert (tmp_path / "p.csv").read_text() == "rank,user_id,score,tier\n1,ann,0.500000,1\n2,7,0.500000,1\n"


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r"], ids=["equals", "plus", "minus", "at", "tab", "return"]
)
def test_an_id_that_a_spreadsheet_would_run_is_escaped(tmp_path: Path, sign: str) -> None:
    assert id_lists.write_prospects(prospects([f"{sign}1+1", "plain"]), tmp_path / "p.csv") == 1
    written = pl.read_csv(tmp_path / "p.csv", infer_schema=False)["user_id"].to_list()
    assert written == [f"'{sign}1+1", "plain"]


def test_a_signed_number_is_not_a_formula(tmp_path: Path) -> None:
    assert id_lists.write_prospects(prospects(["-12", "+3.5"]), tmp_path / "p.csv") == 0


def test_parquet_keeps_every_id_as_it_is(tmp_path: Path) -> None:
    ids = ["=1+1", "'=1", "\x00", "two\nlines", "\u202eשלום"]
    assert id_lists.write_prospects(prospects(ids), tmp_path / "p.parquet") == 0
    assert pl.read_parquet(tmp_path / "p.parquet")["user_id"].to_list() == ids


IDS = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    | st.from_regex(r"'{0,3}[=+\-@][a-z0-9.,\"]{0,4}", fullmatch=True)
    | st.text("a1'\";,|=+-@\uff1d\uff20 \t\r\n\x00", min_size=1, max_size=8)
)
ID_LISTS = st.lists(IDS, min_size=1, max_size=20).map(clean_ids).filter(bool)  # as a log has them


@settings(deadline=None)
@given(ID_LISTS)
def test_written_ids_given_as_a_seed_are_the_same(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("lists") / "p.csv"
    id_lists.write_prospects(prospects(ids), path)
    assert ids_of(path) == ids


@settings(deadline=None)
@given(ID_LISTS, st.sampled_from(["csv", "parquet"]))
def test_a_written_list_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("lists") / f"prospects.{suffix}"
    id_lists.write_prospects(prospects(ids), path)
    assert_frame_equal(id_lists.read_list(path), prospects(ids))
    assert_frame_equal(id_lists.read_prospects(path.parent), prospects(ids).select("user_id"))


@settings(deadline=None)
@given(st.lists(st.none() | IDS, min_size=1, max_size=20))
def test_reasons_are_read_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]) -> None:
    reasons = pl.DataFrame(
        {"rank": [1] * len(texts), "user_id": ["ann"] * len(texts), "cluster": [1] * len(texts), "shared": texts},
        schema_overrides={"shared": pl.String},
    )
    path = tmp_path_factory.mktemp("lists") / "reasons.csv"
    id_lists.write_prospects(reasons, path)
    assert_frame_equal(id_lists.read_list(path), reasons)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_reasons_are_read_back_with_their_types(tmp_path: Path, suffix: str) -> None:
    reasons = pl.DataFrame(
        {
            "rank": pl.Series([1, 2, 3], dtype=pl.UInt32),
            "user_id": ["007", "-1.5", "=x"],
            "cluster": pl.Series([0, 1, 0], dtype=pl.Int8),
            "shared": ["=1+1; item a", None, "item 'b', \"c\""],
        }
    )
    id_lists.write_prospects(reasons, tmp_path / f"reasons.{suffix}")
    assert_frame_equal(
        id_lists.read_list(tmp_path / f"reasons.{suffix}"), reasons.cast({"rank": pl.Int64, "cluster": pl.Int64})
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"rank,user_id\none,ann\n", b"rank,score\n1,0.5\n", b"PAR1"],
    ids=["missing", "empty", "wrong_type", "no_ids", "cut_off"],
)
def test_a_damaged_list_is_a_state_error(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    file = tmp_path / f"prospects.{suffix}"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StateError) as raised:
        id_lists.read_list(file)
    assert str(file) in raised.value.message
    assert raised.value.hint


def test_an_expansion_without_a_list_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no list"):
        id_lists.read_prospects(tmp_path)

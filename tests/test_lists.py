"""Lists of ids: read as they come, written so that no spreadsheet runs them, and the same ids when read again."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lookalike.data import id_lists
from lookalike.errors import DataError


def read(folder: Path, content: str | bytes, name: str = "ids.csv") -> list[str]:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return id_lists.read_ids(folder / name).ids["user_id"].to_list()


def prospects(ids: list[str]) -> pl.DataFrame:
    count = len(ids)
    columns = {"rank": range(1, count + 1), "user_id": ids, "score": [0.5] * count, "tier": [1] * count}
    return pl.DataFrame(columns, schema_overrides={"user_id": pl.String})


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
)
def test_ids_are_found(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == ["ann", "bob"]


def test_ids_are_text_however_they_look(tmp_path: Path) -> None:
    assert read(tmp_path, "user_id\n007\n1e5\n-3\n1.50\nnull\nNA\ntrue\n") == [
        "007",
        "1e5",
        "-3",
        "1.50",
        "null",
        "NA",
        "true",
    ]


def test_parquet_of_numbers_is_read_as_text(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [7, None, 9], "value": [1, 2, 3]}).write_parquet(tmp_path / "ids.parquet")
    assert id_lists.read_ids(tmp_path / "ids.parquet").ids["user_id"].to_list() == ["7", "9"]


@pytest.mark.parametrize("content", ["", "user_id\n", "user_id\n\n \n", "a,b\n1,2\n", "user_id,v\n1,2,3\n"])
def test_file_without_ids_is_refused(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, content)
    assert raised.value.message.startswith(f"{tmp_path / 'ids.csv'}: ")
    assert raised.value.hint


def test_written_list_has_its_columns_and_whole_numbers(tmp_path: Path) -> None:
    assert id_lists.write_prospects(prospects(["ann", "7"]), tmp_path / "p.csv") == 0
    assert (tmp_path / "p.csv").read_text() == "rank,user_id,score,tier\n1,ann,0.500000,1\n2,7,0.500000,1\n"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_id_that_a_spreadsheet_would_run_is_escaped(tmp_path: Path, sign: str) -> None:
    assert id_lists.write_prospects(prospects([f"{sign}1+1", "plain"]), tmp_path / "p.csv") == 1
    shown = pl.read_csv(tmp_path / "p.csv", infer_schema=False)["user_id"].to_list()
    assert shown == [f"'{sign}1+1", "plain"]


def test_number_is_no_formula(tmp_path: Path) -> None:
    assert id_lists.write_prospects(prospects(["-12", "+3.5"]), tmp_path / "p.csv") == 0


def test_parquet_keeps_every_id_as_it_is(tmp_path: Path) -> None:
    ids = ["=1+1", "'=1", "\x00", "two\nlines", "\u202eשלום"]
    assert id_lists.write_prospects(prospects(ids), tmp_path / "p.parquet") == 0
    assert pl.read_parquet(tmp_path / "p.parquet")["user_id"].to_list() == ids


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.from_regex(
    r"'{0,3}[=+\-@][a-z0-9.,\"]{0,4}", fullmatch=True
)


@effort(deadline=None)
@given(st.lists(IDS.map(str.strip).filter(bool), min_size=1, max_size=20))
def test_written_ids_are_read_again_as_they_were(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("lists") / "p.csv"
    id_lists.write_prospects(prospects(ids), path)
    assert id_lists.read_ids(path).ids["user_id"].to_list() == [one for one in ids if one.strip()]


@pytest.mark.parametrize("written", ["=1", "'=1"])
def test_suppression_misses_neither_reading_of_an_id(tmp_path: Path, written: str) -> None:
    read(tmp_path, f"user_id\n{written}\n")
    both = id_lists.with_escaped_forms(id_lists.read_ids(tmp_path / "ids.csv").ids)["user_id"].to_list()
    assert set(both) >= {written, written.removeprefix("'")}

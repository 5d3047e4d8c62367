"""Files of ids: which column is read, and what is refused."""

from pathlib import Path

import pytest

from log_files import write
from lookalike.data.ingest.id_file import read_id_file
from lookalike.errors import DataError


def test_weights_and_times_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = write(
        tmp_path / "ids.csv", "Customer ID;Value;ts;plan\nann;1,5;2024-03-01T12:00;x\n;9;;y\nbob;2,0;1970-01-02;x\n"
    )
    ids = read_id_file(path, with_values=True)
    assert ids.ids.rows() == [("ann", 1.5, 1_709_294_400), ("bob", 2.0, 86_400)]
    assert ids.ids.columns == ["user_id", "value", "ts"]
    assert ids.unused == ("plan",)
    assert read_id_file(path).unused == ("Value", "ts", "plan")


def test_a_single_column_with_any_heading_is_a_list_without_a_header(tmp_path: Path) -> None:
    assert read_id_file(write(tmp_path / "ids.csv", "ann\nbob\n")).ids["user_id"].to_list() == ["ann", "bob"]


def test_ids_that_a_spreadsheet_made_numbers_lose_their_fraction(tmp_path: Path) -> None:
    assert read_id_file(write(tmp_path / "a.csv", "user_id\n1.0\n22.0\n")).ids["user_id"].to_list() == ["1", "22"]
    assert read_id_file(write(tmp_path / "b.csv", "user_id\n1.0\nx\n")).ids["user_id"].to_list() == ["1.0", "x"]


@pytest.mark.parametrize("cell", ["0", "-1", "inf", "much", ""])
def test_a_value_that_is_not_a_weight_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "ids.csv", f"user_id,value\nann,1\nbob,{cell}\n")
    with pytest.raises(DataError, match=r"ids\.csv: line 3: value .* is not a number above 0 \(1 such line\)"):
        read_id_file(path, with_values=True)


def test_a_wrong_time_and_a_malformed_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: ts 'soon' is not a time"):
        read_id_file(write(tmp_path / "a.csv", "user_id,ts\nann,soon\n"), with_values=True)
    with pytest.raises(DataError, match="1 of 2 lines are malformed"):
        read_id_file(write(tmp_path / "b.csv", "user_id,plan\nann,x\nbob,x,y\n"))

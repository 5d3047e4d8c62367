"""Files of ids: which column is read, and what is refused."""

from pathlib import Path

import pytest

from log_files import write, write_parquet
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
    assert read_id_file(write(tmp_path / "n.csv", "1001.0\n1002.0\n")).ids["user_id"].to_list() == ["1001", "1002"]
    assert read_id_file(write(tmp_path / "q.csv", "'001\n'002\n")).ids["user_id"].to_list() == ["001", "002"]


def test_ids_that_a_spreadsheet_made_numbers_lose_their_fraction(tmp_path: Path) -> None:
    assert read_id_file(write(tmp_path / "a.csv", "user_id\n1.0\n22.0\n")).ids["user_id"].to_list() == ["1", "22"]
    assert read_id_file(write(tmp_path / "b.csv", "user_id\n1.0\nx\n")).ids["user_id"].to_list() == ["1", "x"]


def test_of_several_columns_of_ids_the_first_with_ids_is_read(tmp_path: Path) -> None:
    ids = read_id_file(write(tmp_path / "a.csv", "email,phone,uid,value\na@b.c,,,1\nd@e.f,,,1\n"))
    assert ids.ids["user_id"].to_list() == ["a@b.c", "d@e.f"]
    assert (ids.column, ids.empty) == ("email", ("uid",))


def test_a_file_without_ids_names_the_column_that_was_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column email holds no id"):
        read_id_file(write(tmp_path / "a.csv", "email,uid,value\n,,1\n,,2\n"))


def test_what_stands_for_nobody_is_no_id(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user_id\n#REF!\nann\n[object Object]\nunknown\n000\n")
    assert read_id_file(path).ids["user_id"].to_list() == ["ann"]


@pytest.mark.parametrize("cells", [["1.23457E+15", "ann"], ["1e+18", "2e+18"]])
def test_rounded_ids_are_refused_with_their_number(tmp_path: Path, cells: list[str]) -> None:
    count = sum("+" in cell for cell in cells)
    with pytest.raises(DataError, match=rf"{count} of 2 cells of the column user_id are numbers that a spreadsheet"):
        read_id_file(write(tmp_path / "a.csv", "\n".join(["user_id", *cells])))
    write_parquet(tmp_path / "a.parquet", "SELECT 9007199254740994::DOUBLE AS user_id")
    with pytest.raises(DataError, match="1 of 1 cells"):
        read_id_file(tmp_path / "a.parquet")


@pytest.mark.parametrize("cell", ["-1", "inf", "much", ""])
def test_a_value_that_is_not_a_weight_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "ids.csv", f"user_id,value\nann,1\nbob,{cell}\n")
    with pytest.raises(DataError, match=r"ids\.csv: line 3: value is .*, not a number from 0 on \(1 such line\)"):
        read_id_file(path, with_values=True)


def test_a_wrong_time_and_a_malformed_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column ts: the times cannot be read"):
        read_id_file(write(tmp_path / "a.csv", "user_id,ts\nann,soon\n"), with_values=True)
    with pytest.raises(DataError, match="1 of 2 lines are malformed"):
        read_id_file(write(tmp_path / "b.csv", "user_id,plan\nann,x\nbob,x,y\n"))


def test_a_value_of_zero_is_a_value(tmp_path: Path) -> None:
    ids = read_id_file(write(tmp_path / "ids.csv", "user_id,value\nann,0\nbob,2\n"), with_values=True)
    assert ids.ids["value"].to_list() == [0, 2]


@pytest.mark.parametrize(
    "cell",
    ["2026-10-11T03:01:00Z", "2026-10-11T12:01:00+09:00", "2026-10-11 12:01", "11 Oct 2026 12:01", "1791687660", "1791687660000"],
)  # fmt: skip
def test_times_are_read_as_a_log_in_that_zone_reads_them(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "ids.csv", f"user_id,ts\nann,{cell}\n")
    assert read_id_file(path, with_values=True, timezones=("Asia/Tokyo",)).ids["ts"].to_list() == [1_791_687_660]


def test_times_without_a_zone_are_refused_when_the_log_was_read_in_several(tmp_path: Path) -> None:
    zones = ("Asia/Tokyo", "UTC")
    local = write(tmp_path / "local.csv", "user_id,ts\nann,2026-10-11 12:01\n")
    with pytest.raises(DataError, match=r"times without a zone, and the log was read in several \(Asia/Tokyo, UTC\)"):
        read_id_file(local, with_values=True, timezones=zones)
    with_zone = write(tmp_path / "zone.csv", "user_id,ts\nann,2026-10-11T12:01+09:00\n")
    assert read_id_file(with_zone, with_values=True, timezones=zones).ids["ts"].to_list() == [1_791_687_660]


def test_a_time_that_may_be_of_two_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may be day/month or month/day"):
        read_id_file(write(tmp_path / "a.csv", "user_id,ts\nann,03/04/2026\n"), with_values=True)


def test_a_list_of_json_lines_with_a_line_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    ids = b"\n".join(b'{"user_id": "person number %d of the list"}' % number for number in range(30_000))
    with pytest.raises(DataError, match="1 of 30,001 lines are malformed"):
        read_id_file(write(tmp_path / "ids.jsonl", ids + b'\n{"user_id": "m\xfcller"}\n'))


@pytest.mark.parametrize("fault", [b"m\xfcller", b"z" * (1 << 24)], ids=["other byte", "long"])
@pytest.mark.parametrize("form", [b"%s", b"%s,x", b'{"user_id": "%s"}'], ids=["one column", "two columns", "json"])
def test_a_list_with_a_line_that_would_be_lost_is_refused(tmp_path: Path, form: bytes, fault: bytes) -> None:
    header = {b"%s": [b"user_id"], b"%s,x": [b"user_id,plan"]}.get(form, [])
    lines = [*header, *(form % cell for cell in ("zoë".encode(), b"ann", fault, b"bob"))]
    with pytest.raises(DataError, match="1 of 4 lines are malformed"):
        read_id_file(write(tmp_path / "ids.txt", b"\n".join(lines)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_long_line_of_a_list_is_never_lost_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = "user_id\nann\n" + "z" * (70 << 20) + "\nbob\n"
    with pytest.raises(DataError, match="1 of 3 lines are malformed"):
        read_id_file(write(tmp_path / "ids.csv", text.encode(encoding)))


def test_a_nul_in_a_list_loses_nothing(tmp_path: Path) -> None:
    ids = read_id_file(write(tmp_path / "ids.csv", b"user_id\na\x00nn\nbob\n")).ids["user_id"]
    assert ids.to_list() == ["a\x00nn", "bob"]
    with pytest.raises(DataError, match="1 of 2 lines are malformed"):
        read_id_file(write(tmp_path / "ids.jsonl", b'{"user_id": "a\x00nn"}\n{"user_id": "bob"}'))

"""Columns in files: what is pickled as a name, and what as values."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.data.column_files import ColumnRef, map_column, new_column

VALUES = np.arange(50_000, dtype=np.int32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    VALUES.tofile(tmp_path / "item.bin")
    return tmp_path / "item.bin"


def test_a_mapped_column_is_pickled_as_its_file(file: Path) -> None:
    column = map_column(file, VALUES.dtype)
    ref = ColumnRef.of(column[:-7])
    assert (ref.file, ref.length, ref.array) == (str(file), len(VALUES) - 7, None)
    assert ref.open().tolist() == VALUES[:-7].tolist()


def test_a_column_that_does_not_begin_its_file_is_pickled_by_value(file: Path) -> None:
    for column in (map_column(file, VALUES.dtype)[3:], VALUES):
        ref = ColumnRef.of(column)
        assert ref.file is None
        assert ref.open().tolist() == column.tolist()


def test_an_empty_file_is_an_empty_column(tmp_path: Path) -> None:
    (tmp_path / "time.bin").touch()
    assert len(map_column(tmp_path / "time.bin", np.dtype(np.int64))) == 0


@pytest.mark.parametrize("length", [0, 1, 1_000])
def test_a_new_column_is_written_to_its_file(tmp_path: Path, length: int) -> None:
    column = new_column(tmp_path, "value", np.dtype(np.float32), length)
    column[:] = 7
    assert np.fromfile(tmp_path / "value.bin", np.float32)[:length].tolist() == [7] * length
    assert not isinstance(new_column(None, "value", np.dtype(np.float32), length), np.memmap)

"""Columns of events in files: memory-mapped, and sent to another process as a reference rather than as data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.workspace.files import reserve_space


def column_file(folder: Path, name: str) -> Path:
    """Where a folder keeps a column: the plain values, without a header."""
    return folder / f"{name}.bin"


def map_column(folder: Path, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column of a folder, memory-mapped for reading."""
    file = column_file(folder, name)
    return np.memmap(file, dtype, "r") if file.stat().st_size else np.empty(0, dtype)


def new_column(folder: Path | None, name: str, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
    """A column to fill, in a file of the folder, or in memory without one."""
    if folder is None:
        return np.empty(length, dtype)
    file = column_file(folder, name)
    whole = np.memmap(file, dtype, "w+", shape=(max(1, length),))  # an empty file cannot be mapped
    reserve_space(file)
    return whole[:length]


@dataclass(frozen=True)
class ColumnRef:
    """A column as it is pickled: the path of its file, or the values where it has none."""

    dtype: np.dtype[Any]
    length: int
    file: str | None = None
    array: NDArray[Any] | None = None

    @classmethod
    def of(cls, array: NDArray[Any]) -> "ColumnRef":
        if isinstance(array, np.memmap) and array.filename and _starts_at_file_start(array):
            return cls(array.dtype, len(array), file=str(array.filename))
        return cls(array.dtype, len(array), array=np.asarray(array))

    def open(self) -> NDArray[Any]:
        if self.file is None:
            assert self.array is not None
            return self.array
        whole = np.memmap(self.file, self.dtype, "r")
        return whole[: self.length]


def _starts_at_file_start(array: "np.memmap[Any, Any]") -> bool:
    """Whether the array begins where its file does: a slice has the same `filename` but may begin later."""
    mapped = getattr(array, "_mmap", None)
    return mapped is not None and np.frombuffer(mapped, np.uint8).ctypes.data == array.ctypes.data

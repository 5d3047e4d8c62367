"""Columns of the event arrays in files: mapped into memory, and sent to another process as a file name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.workspace.files import reserve_space


def map_column(file: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A whole file as a read-only column."""
    return np.memmap(file, dtype, "r") if file.stat().st_size else np.empty(0, dtype)


def new_column(folder: Path | None, name: str, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
    """A column to fill: mapped to a new file of the folder, or in memory without one. Raises OSError if the disk is full."""
    if folder is None:
        return np.empty(length, dtype)
    file = folder / f"{name}.bin"
    column = np.memmap(file, dtype, "w+", shape=(max(1, length),))  # an empty file cannot be mapped
    reserve_space(file)
    return column[:length]


@dataclass(frozen=True)
class ColumnRef:
    """A column as it is pickled: the name of its file where it begins one, else the values themselves."""

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
        return np.memmap(self.file, self.dtype, "r")[: self.length]


def _starts_at_file_start(array: "np.memmap[Any, Any]") -> bool:
    """Whether the array begins where its file does; a slice keeps the name of the file too."""
    mapped = getattr(array, "_mmap", None)
    return mapped is not None and np.frombuffer(mapped, np.uint8).ctypes.data == array.ctypes.data

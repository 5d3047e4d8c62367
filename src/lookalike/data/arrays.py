"""Type names of the arrays that functions exchange. Shapes are given where an array is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # user rows, or positions in another array
Seconds = NDArray[np.int64]  # since 1970, UTC
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Csr = tuple[
    NDArray[np.int64], NDArray[np.int32]
]  # offsets [N + 1], codes; row i has codes[offsets[i] : offsets[i + 1]]
Matrix = NDArray[np.floating[Any]]  # columns in the precision they are stored or computed in


def union(*parts: Rows) -> Rows:
    """Every row of the parts once, ascending. Merging is much faster than `np.union1d`, which hashes."""
    rows = np.sort(np.concatenate(parts), kind="stable")
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows[1:] != rows[:-1]
    merged: Rows = rows[is_first]
    return merged


def is_member(rows: Rows, ascending: Rows) -> Flags:
    """Which of `rows` are among `ascending`. Memory and time follow `rows`, however many are ascending."""
    if not len(ascending):
        return np.zeros(len(rows), bool)
    positions = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return np.asarray(ascending[positions] == rows)

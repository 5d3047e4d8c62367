"""Names of the array types that functions exchange. Shapes are given where an array is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # user rows, or places in another array
Seconds = NDArray[np.int64]  # since 1970, UTC
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Matrix = NDArray[np.floating[Any]]  # columns in whatever precision they are stored or computed


def is_member(rows: Rows, ascending: Rows) -> Flags:
    """Which rows are in an ascending array."""
    if not len(ascending):
        return np.zeros(len(rows), bool)
    places = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    members: Flags = ascending[places] == rows
    return members

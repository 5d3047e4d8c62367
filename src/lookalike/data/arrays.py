"""Names of the array types that functions exchange. Shapes are given where an array is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # user rows, or places in another array
Seconds = NDArray[np.int64]  # since 1970, UTC
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Matrix = NDArray[np.floating[Any]]  # columns in whatever precision they are stored or computed

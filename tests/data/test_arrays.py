"""Membership in ascending rows, against Python's sets."""

import numpy as np
import pytest

from lookalike.data.arrays import is_member


@pytest.mark.parametrize("ascending", [[], [5], [0, 1, 2], [3, 7, 11], list(range(20))])
@pytest.mark.parametrize("rows", [[], [0], [5, 5, 3], [19, 0, 7, 12]])
def test_members_are_those_that_are_in_the_ascending_rows(rows: list[int], ascending: list[int]) -> None:
    members = is_member(np.array(rows, np.int64), np.array(ascending, np.int64))
    assert members.dtype == bool
    assert members.tolist() == [row in ascending for row in rows]

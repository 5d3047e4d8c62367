"""Where blocks and columns are."""

import numpy as np
import pytest

from lookalike.embeddings.layout import BlockLayout

LAYOUT = BlockLayout(
    {"sequence": 3, "content": 2, "aggregates": 4}, ("log_events", "brand=x", "hour_00_03", "country=DE")
)


def test_blocks_are_side_by_side() -> None:
    assert LAYOUT.width == 9
    assert LAYOUT.spans == {"sequence": (0, 3), "content": (3, 5), "aggregates": (5, 9)}
    assert LAYOUT.aggregates_start == 5


def test_columns_are_found_by_block_and_by_name() -> None:
    assert LAYOUT.columns("content").tolist() == [3, 4]
    assert LAYOUT.columns("sequence", "aggregates").tolist() == [0, 1, 2, 5, 6, 7, 8]
    assert LAYOUT.column("log_events") == 5
    assert LAYOUT.column("country=DE") == 8
    with pytest.raises(ValueError, match="not in tuple"):
        LAYOUT.column("brand=y")


def test_counted_columns_are_those_of_values() -> None:
    assert LAYOUT.columns("counted").tolist() == [6, 8]
    assert LAYOUT.columns("sequence", "counted").tolist() == [0, 1, 2, 6, 8]
    assert BlockLayout({"sequence": 1, "content": 1, "aggregates": 1}, ("a",)).columns("counted").dtype == np.int64

"""The largest absolute values of stored blocks, on which the error bound of the ranking rests."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.embeddings.writer import max_abs
from small_representation import USERS, WIDTHS, normal_vectors, store, use_small_steps


def test_the_largest_absolute_value_may_have_either_sign() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(99), -rng.random(99), rng.random(99), np.zeros(9), np.array([-65504.0, 1])):
        halves = values.astype(np.float16)
        assert max_abs(halves) == float(np.abs(halves).max())
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        assert not np.isfinite(max_abs(np.array([1, bad, -1], np.float16)))


def test_each_shard_has_the_largest_values_of_its_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_steps(monkeypatch)
    live = store(tmp_path, normal_vectors())
    assert sorted(live.manifest.largest) == sorted(WIDTHS)
    largest = [live.largest(row, tuple(WIDTHS)) for row in (0, 699, 700, USERS - 1)]
    assert largest[0] == largest[1] != largest[2]
    stored = live.raw(np.arange(700))
    assert largest[0] == {block: float(np.abs(values).max()) for block, values in stored.items()}

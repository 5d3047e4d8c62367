"""The largest absolute value of stored halves."""

import numpy as np

from lookalike.embeddings.representation import max_abs


def test_the_largest_absolute_value_may_have_either_sign() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(99), -rng.random(99), rng.random(99), np.zeros(9), np.array([-65504.0, 1])):
        halves = values.astype(np.float16)
        assert max_abs(halves) == float(np.abs(halves).max())
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        assert not np.isfinite(max_abs(np.array([1, bad, -1], np.float16)))

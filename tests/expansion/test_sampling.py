"""Samples of users: distinct, eligible, as many as there are, and everybody equally likely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lookalike.expansion.sampling import draw_background, draw_sample


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 5), st.data())
def test_a_background_has_distinct_eligible_users_and_as_many_as_there_are(
    users: int, max_users: int, random_seed: int, data: st.DataObject
) -> None:
    suppressed = np.array(sorted(data.draw(st.sets(st.integers(0, users - 1), max_size=users - 1))), np.int64)
    background = draw_background(users, suppressed, max_users, random_seed)
    assert (np.diff(background) > 0).all()
    assert not set(background.tolist()) & set(suppressed.tolist())
    assert set(background.tolist()) <= set(range(users))
    assert len(background) == min(max_users, users - len(suppressed))
    assert np.array_equal(background, draw_background(users, suppressed, max_users, random_seed))


@pytest.mark.parametrize("users", [190, 210, 5_000])
def test_every_eligible_user_is_equally_likely_in_the_background(users: int) -> None:
    """Below and above the number of users up to which all of them are listed."""
    suppressed = np.arange(0, users, 7)
    counts = np.zeros(users)
    for random_seed in range(400):
        counts[draw_background(users, suppressed, 100, random_seed)] += 1
    eligible = np.setdiff1d(np.arange(users), suppressed)
    expected = 400 * 100 / len(eligible)
    quarters = [part.mean() for part in np.array_split(counts[eligible], 4)]
    assert quarters == pytest.approx([expected] * 4, rel=0.06)
    assert counts[suppressed].sum() == 0


def test_another_random_seed_gives_another_background() -> None:
    nobody = np.zeros(0, np.int64)
    assert not np.array_equal(draw_background(5_000, nobody, 100, 0), draw_background(5_000, nobody, 100, 1))


def test_a_sample_is_of_the_rows_and_ascending() -> None:
    rows = np.array([9, 3, 77, 5])
    assert draw_sample(rows, 10, 0).tolist() == [3, 5, 9, 77]
    assert set(draw_sample(rows, 2, 0).tolist()) < set(rows.tolist())


def test_a_sample_depends_on_the_random_seed_alone() -> None:
    rows = np.arange(1_000)
    assert np.array_equal(draw_sample(rows, 50, 3), draw_sample(rows, 50, 3))
    assert not np.array_equal(draw_sample(rows, 50, 3), draw_sample(rows, 50, 4))

"""Guessed thresholds: nearly always below the last score on the list, and left out where they do not help."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.embeddings.linear import Linear
from lookalike.expansion.ranking import threshold
from lookalike.expansion.ranking.score_readers import reader_of
from lookalike.expansion.ranking.threshold import NO_GUESS, guess_threshold
from lookalike.expansion.scorers.centroids import SoftMaximum
from small_representation import NOBODY, USERS, WIDTH, brute_force, normal_vectors, store, use_small_steps


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_steps(monkeypatch)


@pytest.mark.parametrize("size", [10, 100, 400])
@pytest.mark.parametrize("excluded", [NOBODY, np.arange(0, USERS, 3)], ids=["nobody", "a third"])
def test_a_guess_is_a_little_below_the_last_score_of_the_list(tmp_path: Path, size: int, excluded: np.ndarray) -> None:
    live = store(tmp_path, normal_vectors())
    for random_seed in range(5):
        score = Linear(np.random.default_rng(random_seed).standard_normal(WIDTH))
        guess = guess_threshold(live, reader_of(score, live), size, excluded)
        scores = brute_force(live, score, USERS, excluded).scores
        assert scores[min(6 * size + 200, len(scores) - 1)] < guess < scores[size - 1]


def test_there_is_no_guess_for_long_lists_few_users_or_scores_that_are_not_linear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, linear = store(tmp_path, normal_vectors()), Linear(np.ones(WIDTH))
    assert guess_threshold(live, reader_of(linear, live), 10, NOBODY) > NO_GUESS
    assert guess_threshold(live, reader_of(linear, live), USERS, NOBODY) == NO_GUESS
    assert guess_threshold(live, reader_of(SoftMaximum(np.ones((1, WIDTH))), live), 10, NOBODY) == NO_GUESS
    monkeypatch.setattr(threshold, "SAMPLE_USERS", USERS // 2)
    assert guess_threshold(live, reader_of(linear, live), 10, NOBODY) == NO_GUESS

"""The columns that scores read."""

import numpy as np

from lookalike.embeddings.linear import Linear
from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage
from lookalike.expansion.scorers.selected_columns import Selected, columns_read


def test_a_selected_score_is_given_its_columns_in_its_order() -> None:
    score = Selected(np.array([3, 1]), Linear(np.array([1.0, 10.0])))
    assert score(np.arange(8.0).reshape(2, 4)).tolist() == [13.0, 57.0]


def test_the_columns_of_combined_scores_are_those_of_their_parts() -> None:
    first, second = (Selected(np.array(columns), Linear(np.ones(2))) for columns in ([5, 1], [1, 3]))
    background = np.random.default_rng(0).normal(0, 1, (50, 8))
    average = RankAverage.of((first, second), background, np.array([0.5, 0.5]))
    balanced = Balanced.of(average, np.array([0, 1]), background, [background[:9, :2]])
    assert columns_read(first, 8).tolist() == [1, 5]
    assert columns_read(average, 8).tolist() == [1, 3, 5]
    assert columns_read(balanced, 8).tolist() == [0, 1, 3, 5]
    assert columns_read(Linear(np.ones(8)), 8).tolist() == list(range(8))

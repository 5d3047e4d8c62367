"""One pass over the stored blocks: few users are scored exactly, and values that are not finite are always found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.embeddings.linear import Linear
from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError
from lookalike.expansion.ranking.block_pass import PartialList, offer_all_users
from lookalike.expansion.ranking.score_readers import reader_of
from lookalike.expansion.ranking.threshold import guess_threshold
from lookalike.expansion.ranking.top_k import Ranking, TopK
from lookalike.expansion.scorers import RankAverage, Score, Selected
from lookalike.expansion.scorers.centroids import SoftMaximum
from small_representation import NOBODY, SEQUENCE_AND_AGGREGATES, USERS, normal_vectors, store, use_small_steps
from stored_vectors import spoil

LINEAR = Selected(SEQUENCE_AND_AGGREGATES, Linear(np.random.default_rng(7).standard_normal(27)))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_steps(monkeypatch)


def partial_list(live: Representation, score: Score, size: int) -> PartialList:
    reader = reader_of(score, live)
    return PartialList(reader, NOBODY, TopK(size, guess_threshold(live, reader, size, NOBODY)))


def rankings(live: Representation, scores: Sequence[Score], size: int) -> list[Ranking]:
    lists = [partial_list(live, score, size) for score in scores]
    offer_all_users(live, lists, lambda users: None)
    return [partial.top.result() for partial in lists]


def test_most_users_are_never_scored_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, scored = store(tmp_path, normal_vectors()), []
    original = Linear.__call__

    def counted(self: Linear, block: NDArray[np.float64]) -> Floats:
        scored.append(len(block))
        return original(self, block)

    monkeypatch.setattr(Linear, "__call__", counted)
    rankings(live, [LINEAR], 20)
    assert 20 <= sum(scored) < 256 + 300


def test_users_are_reported_in_order_and_once(tmp_path: Path) -> None:
    live, reported = store(tmp_path, normal_vectors()), list[int]()
    offer_all_users(live, [partial_list(live, LINEAR, 20)], reported.append)
    assert reported == sorted(set(reported))
    assert reported[-1] == USERS


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 15, 29])
@pytest.mark.parametrize("size", [1, USERS])
@pytest.mark.parametrize("row", [3, 1_111])  # the first is in the sample by which thresholds are guessed
def test_a_value_that_is_not_finite_is_found_in_every_block_that_is_read(
    tmp_path: Path, bad: float, column: int, size: int, row: int
) -> None:
    live = store(tmp_path, normal_vectors())
    spoil(live, row, column, bad)
    spoil(live, row, 2, -np.inf)  # the sum of the two is not finite either
    for score in (LINEAR, Selected(SEQUENCE_AND_AGGREGATES, SoftMaximum(np.ones((1, 27))))):
        with pytest.raises(StateError), np.errstate(invalid="ignore"):
            rankings(live, [score], size)


def test_blocks_that_are_not_read_are_not_checked(tmp_path: Path) -> None:
    live = store(tmp_path, normal_vectors())
    spoil(live, 5, 17, np.nan)
    soft_maximum = Selected(np.arange(16), SoftMaximum(np.random.default_rng(5).standard_normal((3, 16))))
    average = RankAverage.of((LINEAR, soft_maximum), normal_vectors(9), np.array([0.4, 0.6]))
    for score in (LINEAR, soft_maximum, Selected(np.arange(16), Linear(np.ones(16))), average):
        assert len(rankings(live, [score], 10)[0].rows) == 10

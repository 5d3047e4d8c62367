"""Scores computed from stored blocks equal those of the columns side by side, to the last bit."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.data.arrays import Rows
from lookalike.embeddings.linear import Linear
from lookalike.embeddings.representation import Representation
from lookalike.expansion.ranking import score_readers
from lookalike.expansion.ranking.score_readers import Blocks, LinearReader, TileReader, reader_of
from lookalike.expansion.scorers import Selected
from lookalike.expansion.scorers.centroids import SoftMaximum
from small_representation import (
    SEQUENCE_AND_AGGREGATES,
    USERS,
    WIDTH,
    brute_force,
    normal_vectors,
    store,
    use_small_steps,
)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_steps(monkeypatch)


@pytest.fixture
def live(tmp_path: Path) -> Representation:
    return store(tmp_path, normal_vectors())


def blocks_of(live: Representation, names: tuple[str, ...]) -> Blocks:
    return live.raw(np.arange(USERS), names)


def tile() -> np.ndarray:
    return np.zeros((score_readers.TILE_USERS, WIDTH))


COLUMNS = {
    "one block": np.arange(16),
    "two blocks": SEQUENCE_AND_AGGREGATES,
    "some of two blocks": np.delete(SEQUENCE_AND_AGGREGATES, [3, 20]),
    "descending": SEQUENCE_AND_AGGREGATES[::-1],
    "the last blocks": np.arange(16, 30),
    "one column": np.array([18]),
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_a_linear_score_reads_any_columns(live: Representation, columns: Rows) -> None:
    score = Selected(columns, Linear(np.random.default_rng(3).standard_normal(len(columns)), 0.25))
    reader = reader_of(score, live)
    assert isinstance(reader, LinearReader)
    scores = reader.all_scores(blocks_of(live, tuple(reader.spans)), tile())
    expected = brute_force(live, score, USERS, np.zeros(0, np.int64))
    assert np.array_equal(scores[expected.rows], expected.scores)


def test_a_linear_score_of_some_users_is_that_among_all(live: Representation) -> None:
    reader = reader_of(Selected(np.arange(16), Linear(np.random.default_rng(3).standard_normal(16))), live)
    assert isinstance(reader, LinearReader)
    blocks, places = blocks_of(live, ("sequence",)), np.sort(np.random.default_rng(0).permutation(USERS)[:99])
    assert np.array_equal(reader.scores(blocks, places, tile()), reader.all_scores(blocks, tile())[places])


def test_other_scores_are_given_whole_tiles(live: Representation) -> None:
    sizes = []

    class Counted(SoftMaximum):
        def __call__(self, block: np.ndarray) -> np.ndarray:
            sizes.append(len(block))
            return super().__call__(block)

    score = Selected(np.arange(16), Counted(np.random.default_rng(5).standard_normal((3, 16))))
    reader = reader_of(score, live)
    assert isinstance(reader, TileReader)
    scores = reader.all_scores(blocks_of(live, ("sequence",)), tile())
    assert set(sizes) == {score_readers.TILE_USERS}
    assert len(scores) == USERS
    expected = brute_force(live, score, USERS, np.zeros(0, np.int64))
    assert scores[expected.rows] == pytest.approx(expected.scores, rel=1e-12)


def test_a_score_whose_columns_are_unknown_reads_all_blocks(live: Representation) -> None:
    reader = reader_of(lambda block: block[:, 0], live)
    assert isinstance(reader, TileReader)
    assert list(reader.spans) == ["sequence", "content", "aggregates"]

"""Everybody past several scorers: the list of brute force to the last bit, whatever is guessed, read ahead or shut out."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.embeddings import representation, writer
from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError
from lookalike.expansion.ranking import prefilter, scan
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.ranking.top_k import Ranking
from lookalike.expansion.scorers import RankAverage, Score, Selected
from lookalike.expansion.scorers.centroids import SoftMaximum
from lookalike.expansion.scorers.logistic import Linear
from lookalike.workspace.executor import Columns, Task
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import spoil, write

USERS = 2_000
WIDTHS = {"sequence": 16, "content": 3, "aggregates": 11}
NOBODY = np.zeros(0, np.int64)
LEFT_OUT = np.arange(0, USERS, 9)
READ = np.concatenate([np.arange(16), np.arange(19, 30)])  # the sequence and the aggregates


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many shards, steps and tiles, and a sample that is a part of the users."""
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 700)
    monkeypatch.setattr(scan, "USERS_PER_STEP", 128)
    monkeypatch.setattr(scan, "TILE_USERS", 64)
    monkeypatch.setattr(scan, "SAMPLE_USERS", 256)
    monkeypatch.setattr(scan, "SAMPLE_RUN", 8)
    monkeypatch.setattr(scan, "WIDEN_USERS", 32)
    monkeypatch.setattr(prefilter, "USERS_PER_STEP", 48)


def made(folder: Path, values: NDArray[np.float32], ties: NDArray[np.uint64] | None = None) -> Representation:
    edges = np.cumsum(list(WIDTHS.values()))[:-1]
    folder.mkdir(exist_ok=True)
    write(WorkspaceFolder(folder), dict(zip(WIDTHS, np.split(values, edges, axis=1), strict=True)), ties)
    return representation.live_version(WorkspaceFolder(folder))


def ordinary(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((USERS, sum(WIDTHS.values()))).astype(np.float32)


def brute(live: Representation, score: Score, size: int, left_out: NDArray[np.int64]) -> Ranking:
    """Everybody scored in doubles at once, and one plain sort."""
    whole = live.gather(np.arange(live.users)).astype(np.float64)
    ties = np.concatenate([of for _, _, of in live.stream(10**9)])
    scores = np.concatenate([score(part) for part in np.split(whole, range(64, len(whole), 64))])
    order = np.lexsort((np.arange(len(scores)), ties, -scores))
    order = order[~np.isin(order, left_out)][:size]
    return Ranking(scores[order], order)


def same(found: Ranking, expected: Ranking) -> bool:
    return np.array_equal(found.rows, expected.rows) and np.array_equal(found.scores, expected.scores)


def rank(live: Representation, score: Score, size: int, left_out: NDArray[np.int64] = LEFT_OUT) -> Ranking:
    return scan.rank(live, [RankingRequest(score, size, left_out)], lambda done: None)[0]


def near_ties(seed: int) -> NDArray[np.float32]:
    """Few kinds of users, and among the equals a difference that no single-precision sum could show."""
    rng = np.random.default_rng(seed)
    values = ordinary(seed)[rng.integers(0, 5, USERS)]
    values[:, 0], values[:, 1] = 1_000, rng.integers(0, 3, USERS)
    return values


def weights_of(kind: str) -> Floats:
    weights = np.random.default_rng(7).standard_normal(len(READ))
    if kind == "near ties":
        weights[0], weights[1] = 1e3, 1e-9
    return weights * {"tiny": 1e-310, "small": 1e-200, "large": 1e6, "huge": 1e250}.get(kind, 1.0)


@pytest.mark.parametrize("kind", ["ordinary", "near ties", "tiny", "small", "large", "huge"])
@pytest.mark.parametrize("offset", [0.0, -1e7])
@pytest.mark.parametrize("size", [1, 40, 900, USERS])
def test_the_list_and_its_scores_are_those_of_brute_force(tmp_path: Path, kind: str, offset: float, size: int) -> None:
    live = made(tmp_path / "live", near_ties(1) if kind == "near ties" else ordinary())
    score = Selected(READ, Linear(weights_of(kind), offset))
    assert same(rank(live, score, size), brute(live, score, size, LEFT_OUT))


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 60_000.0])
def test_figures_at_the_ends_of_half_precision_are_ranked_as_exactly(tmp_path: Path, scale: float) -> None:
    live = made(tmp_path / "live", np.clip(ordinary() * scale, -65_504, 65_504).astype(np.float32))
    score = Selected(READ, Linear(weights_of("ordinary")))
    assert same(rank(live, score, 60), brute(live, score, 60, LEFT_OUT))


@pytest.mark.parametrize(
    "columns", [np.arange(16), READ, np.delete(READ, [3, 20]), READ[::-1], np.arange(16, 30), np.array([18])]
)
def test_whatever_columns_are_read(tmp_path: Path, columns: NDArray[np.int64]) -> None:
    live = made(tmp_path / "live", ordinary())
    score = Selected(columns, Linear(np.random.default_rng(3).standard_normal(len(columns)), 0.25))
    assert same(rank(live, score, 50), brute(live, score, 50, LEFT_OUT))


def test_neither_steps_nor_threads_nor_shards_change_a_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = Selected(READ, Linear(weights_of("ordinary")))
    lists = []
    for at, (shard, step, small, threads) in enumerate([(700, 128, 48, 1), (2_000, 2_000, 2_000, 5), (33, 7, 3, 2)]):
        monkeypatch.setattr(writer, "USERS_PER_SHARD", shard)
        monkeypatch.setattr(scan, "USERS_PER_STEP", step)
        monkeypatch.setattr(prefilter, "USERS_PER_STEP", small)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, threads=threads: set(range(threads)), raising=False)
        live = made(tmp_path / str(at), ordinary(), np.arange(USERS, dtype=np.uint64))
        lists.append(rank(live, score, 300))
    assert same(lists[0], lists[1])
    assert same(lists[0], lists[2])


def test_a_score_is_the_same_beside_whomever_it_is_made(tmp_path: Path) -> None:
    values = ordinary()
    linear = Linear(np.random.default_rng(1).standard_normal(values.shape[1]), 0.1)
    alone = np.concatenate([linear(values[at : at + 1]) for at in range(USERS)])
    assert np.array_equal(linear(values), alone)
    assert np.array_equal(linear(np.asfortranarray(values)), alone)
    assert np.array_equal(linear(values[3:70:2]), alone[3:70:2])


def test_most_are_never_scored_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, scored = made(tmp_path / "live", ordinary()), []
    original = Linear.__call__

    def counted(self: Linear, block: NDArray[np.float64]) -> Floats:
        scored.append(len(block))
        return original(self, block)

    monkeypatch.setattr(Linear, "__call__", counted)
    rank(live, Selected(READ, Linear(weights_of("ordinary"))), 20)
    assert 20 <= sum(scored) < 256 + 300


def test_a_guess_that_was_too_high_is_taken_back(tmp_path: Path) -> None:
    """Whoever stands where the sample looks is far above everybody else."""
    values = ordinary()
    looked_at = (np.linspace(0, USERS - 8, 32).astype(np.int64)[:, None] + np.arange(8)).ravel()
    values[looked_at, 0] = 500
    live, score = made(tmp_path / "live", values), Selected(READ, Linear(np.eye(len(READ))[0]))
    seen: list[int] = []
    found = scan.rank(live, [RankingRequest(score, 600, NOBODY), RankingRequest(score, 20, NOBODY)], seen.append)
    assert seen.count(USERS) == 2
    assert same(found[0], brute(live, score, 600, NOBODY))
    assert same(found[1], brute(live, score, 20, NOBODY))


def scorers() -> Iterator[Score]:
    rng = np.random.default_rng(5)
    linear = Selected(READ, Linear(rng.standard_normal(len(READ))))
    soft = Selected(np.arange(16), SoftMaximum(rng.standard_normal((3, 16))))
    yield from (linear, soft, Selected(np.arange(16), Linear(rng.standard_normal(16))))
    yield RankAverage.of((linear, soft), ordinary(9), np.array([0.4, 0.6]))
    yield lambda block: np.asarray(block, np.float64).max(axis=1)


@pytest.mark.parametrize("together", [10**12, 0])
def test_several_lists_are_made_in_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(scan, "MIN_SHARED_SUMS", together)
    live, seen = made(tmp_path / "live", ordinary()), list[int]()
    wanted = [RankingRequest(score, 30 + 100 * at, LEFT_OUT[at:]) for at, score in enumerate(scorers())]
    together = scan.rank(live, wanted, seen.append)
    assert seen.count(USERS) == 1
    for one, found in zip(wanted, together, strict=True):
        assert same(found, rank(live, one.score, one.size, one.left_out))
        assert same(found, brute(live, one.score, one.size, one.left_out))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 15, 29])
@pytest.mark.parametrize("size", [1, USERS])
@pytest.mark.parametrize("row", [3, 1_111])  # the first stands in the sample
def test_a_figure_that_is_no_number_is_found_wherever_it_is_read(
    tmp_path: Path, bad: float, column: int, size: int, row: int
) -> None:
    live = made(tmp_path / "live", ordinary())
    spoil(live, row, column, bad)
    spoil(live, row, 2, -np.inf)  # their sum is no number either
    for score in (Selected(READ, Linear(weights_of("ordinary"))), Selected(READ, SoftMaximum(np.ones((1, 27))))):
        with pytest.raises(StateError, match="NaN or infinite"), np.errstate(invalid="ignore"):
            rank(live, score, size)


def test_a_block_that_is_not_read_is_not_looked_at(tmp_path: Path) -> None:
    live = made(tmp_path / "live", ordinary())
    spoil(live, 5, 17, np.nan)
    for score in list(scorers())[:-1]:
        assert len(rank(live, score, 10).rows) == 10


def test_a_file_of_other_numbers_is_refused(tmp_path: Path) -> None:
    live = made(tmp_path / "live", ordinary())
    path = live.folder / "sequence-00001.npy"
    np.save(path, np.load(path).astype(np.float32))
    with pytest.raises(StateError, match="float16"):
        rank(live, Selected(READ, Linear(weights_of("ordinary"))), 10)


class Shuffled:
    """An engine that does its tasks in another order and gives several together, as a cluster may."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        done = [task(int(number)) for number in self.rng.permutation(np.asarray(numbers))]
        for first in range(0, len(done), 3):
            some = done[first : first + 3]
            yield {name: np.concatenate([part[name] for part in some]) for name in some[0]}


@pytest.mark.parametrize("number", range(6))
def test_the_heads_of_shards_merge_into_the_list_of_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 170)
    rng = np.random.default_rng(number)
    values = rng.integers(-2, 3, (2_000, 30)) if number % 2 else rng.standard_normal((2_000, 30))
    if number % 3 == 0:  # the sample finds more than there are: the guess is too high, and the list is made again
        values[(np.linspace(0, 1_992, 32).astype(int)[:, None] + np.arange(8)).ravel(), 0] = 300
    live = made(tmp_path / "space", values.astype(np.float32))
    left_out = np.sort(rng.choice(2_000, rng.integers(0, 1_500), replace=False))
    weights = np.eye(16)[0] if number % 3 == 0 else rng.integers(-2, 3, 16).astype(float)
    at = np.arange(16)
    wanted = [RankingRequest(Selected(at, Linear(weights)), size, left_out) for size in (5, 300, 1_900)]
    wanted.append(RankingRequest(Selected(at, SoftMaximum(rng.standard_normal((3, 16)))), 400, left_out))
    seen: list[int] = []
    together = scan.rank_by(Shuffled(rng), live, wanted, seen.append)
    assert max(seen) == 2_000
    for one, other in zip(scan.rank(live, wanted, lambda done: None), together, strict=True):
        assert np.array_equal(one.rows, other.rows)
        assert np.array_equal(one.scores, other.scores)


def test_more_shards_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(writer, "USERS_PER_SHARD", 5)
    space = WorkspaceFolder(tmp_path / "space")
    space.root.mkdir()
    values = np.random.default_rng(0).standard_normal((1_000, 6)).astype(np.float32)
    write(space, {"sequence": values[:, :2], "content": values[:, 2:4], "aggregates": values[:, 4:]})
    live = representation.live_version(space)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 200, hard))
    try:
        found = scan.rank(live, [RankingRequest(Linear(np.ones(6)), 100, NOBODY)], lambda done: None)[0]
        assert len(live.gather(np.arange(1_000))) == 1_000
        assert len(live.ties(np.arange(0, 1_000, 7))) == 143
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    exact = values.astype(np.float16).astype(np.float64).sum(axis=1)
    assert np.array_equal(np.sort(found.scores)[::-1], found.scores)
    assert found.scores == pytest.approx(np.sort(exact)[::-1][:100])

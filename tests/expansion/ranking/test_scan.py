"""Lists equal those of brute force to the last bit, whatever is guessed, read ahead, rejected or spread over shards."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings import writer
from lookalike.embeddings.linear import Linear
from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError
from lookalike.expansion.ranking import block_pass, half_sums, scan
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.ranking.top_k import Ranking
from lookalike.expansion.scorers import RankAverage, Score, Selected
from lookalike.expansion.scorers.centroids import SoftMaximum
from lookalike.workspace.executor import Columns, Task
from small_representation import (
    NOBODY,
    SEQUENCE_AND_AGGREGATES,
    USERS,
    WIDTH,
    TieHashes,
    Vectors,
    brute_force,
    normal_vectors,
    same_ranking,
    sampled_rows,
    store,
    use_small_steps,
)
from stored_vectors import spoil

EXCLUDED = np.arange(0, USERS, 9)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_steps(monkeypatch)


def rank(live: Representation, score: Score, size: int, excluded: Rows = EXCLUDED) -> Ranking:
    return scan.rank(live, [RankingRequest(score, size, excluded)], lambda users: None)[0]


def near_ties(random_seed: int) -> Vectors:
    """Five kinds of users, and within a kind differences that no single-precision sum can show."""
    rng = np.random.default_rng(random_seed)
    values = normal_vectors(random_seed)[rng.integers(0, 5, USERS)]
    values[:, 0], values[:, 1] = 1_000, rng.integers(0, 3, USERS)
    return values


def weights_of(kind: str) -> Floats:
    weights = np.random.default_rng(7).standard_normal(len(SEQUENCE_AND_AGGREGATES))
    if kind == "near ties":
        weights[0], weights[1] = 1e3, 1e-9
    return weights * {"tiny": 1e-310, "small": 1e-200, "large": 1e6, "huge": 1e250}.get(kind, 1.0)


@pytest.mark.parametrize("kind", ["ordinary", "near ties", "tiny", "small", "large", "huge"])
@pytest.mark.parametrize("offset", [0.0, -1e7])
@pytest.mark.parametrize("size", [1, 40, 900, USERS])
def test_the_list_and_its_scores_equal_those_of_brute_force(
    tmp_path: Path, kind: str, offset: float, size: int
) -> None:
    live = store(tmp_path, near_ties(1) if kind == "near ties" else normal_vectors())
    score = Selected(SEQUENCE_AND_AGGREGATES, Linear(weights_of(kind), offset))
    assert same_ranking(rank(live, score, size), brute_force(live, score, size, EXCLUDED))


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 60_000.0])
def test_values_at_the_limits_of_half_precision_are_ranked_exactly(tmp_path: Path, scale: float) -> None:
    live = store(tmp_path, np.clip(normal_vectors() * scale, -65_504, 65_504).astype(np.float32))
    score = Selected(SEQUENCE_AND_AGGREGATES, Linear(weights_of("ordinary")))
    assert same_ranking(rank(live, score, 60), brute_force(live, score, 60, EXCLUDED))


def test_steps_threads_and_shards_do_not_change_a_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = Selected(SEQUENCE_AND_AGGREGATES, Linear(weights_of("ordinary")))
    lists = []
    for shard, step, sums, threads in ((700, 128, 48, 1), (2_000, 2_000, 2_000, 5), (33, 7, 3, 2)):
        monkeypatch.setattr(writer, "USERS_PER_SHARD", shard)
        monkeypatch.setattr(block_pass, "USERS_PER_STEP", step)
        monkeypatch.setattr(half_sums, "USERS_PER_STEP", sums)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, threads=threads: set(range(threads)), raising=False)
        live = store(tmp_path / str(shard), normal_vectors(), np.arange(USERS, dtype=np.uint64))
        lists.append(rank(live, score, 300))
    assert same_ranking(lists[0], lists[1])
    assert same_ranking(lists[0], lists[2])


def test_a_list_whose_guess_was_too_high_is_made_again(tmp_path: Path) -> None:
    values = normal_vectors()
    values[sampled_rows(), 0] = 500  # the sampled users are far above all others
    live, score = store(tmp_path, values), Selected(SEQUENCE_AND_AGGREGATES, Linear(np.eye(27)[0]))
    reported: list[int] = []
    requests = [RankingRequest(score, 600, NOBODY), RankingRequest(score, 20, NOBODY)]
    rankings = scan.rank(live, requests, reported.append)
    assert reported.count(USERS) == 2
    assert same_ranking(rankings[0], brute_force(live, score, 600, NOBODY))
    assert same_ranking(rankings[1], brute_force(live, score, 20, NOBODY))


def scores_of_all_kinds() -> Iterator[Score]:
    rng = np.random.default_rng(5)
    linear = Selected(SEQUENCE_AND_AGGREGATES, Linear(rng.standard_normal(27)))
    soft_maximum = Selected(np.arange(16), SoftMaximum(rng.standard_normal((3, 16))))
    yield from (linear, soft_maximum, Selected(np.arange(16), Linear(rng.standard_normal(16))))
    yield RankAverage.of((linear, soft_maximum), normal_vectors(9), np.array([0.4, 0.6]))
    yield lambda block: np.asarray(block, np.float64).max(axis=1)


@pytest.mark.parametrize("min_shared_sums", [10**12, 0])
def test_several_lists_are_made_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, min_shared_sums: int
) -> None:
    monkeypatch.setattr(block_pass, "MIN_SHARED_SUMS", min_shared_sums)
    live, reported = store(tmp_path, normal_vectors()), list[int]()
    requests = [RankingRequest(score, 30 + 100 * n, EXCLUDED[n:]) for n, score in enumerate(scores_of_all_kinds())]
    rankings = scan.rank(live, requests, reported.append)
    assert reported.count(USERS) == 1
    for request, ranking in zip(requests, rankings, strict=True):
        assert same_ranking(ranking, rank(live, request.score, request.size, request.excluded))
        assert same_ranking(ranking, brute_force(live, request.score, request.size, request.excluded))


def test_a_shard_of_another_number_type_is_refused(tmp_path: Path) -> None:
    live = store(tmp_path, normal_vectors())
    path = live.folder / "sequence-00001.npy"
    np.save(path, np.load(path).astype(np.float32))
    with pytest.raises(StateError, match="float16"):
        rank(live, Selected(SEQUENCE_AND_AGGREGATES, Linear(weights_of("ordinary"))), 10)


class ShufflingExecutor:
    """Runs tasks in another order and returns several results together, as a cluster may."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        results = [task(int(number)) for number in self.rng.permutation(np.asarray(numbers))]
        for first in range(0, len(results), 3):
            joined = results[first : first + 3]
            yield {name: np.concatenate([result[name] for result in joined]) for name in joined[0]}


@pytest.mark.parametrize("random_seed", range(6))
def test_an_executor_gives_the_same_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_seed: int) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 170)
    rng = np.random.default_rng(random_seed)
    values = rng.integers(-2, 3, (USERS, 30)) if random_seed % 2 else rng.standard_normal((USERS, 30))
    guess_too_high = random_seed % 3 == 0
    if guess_too_high:
        values[sampled_rows(), 0] = 300
    live = store(tmp_path, values.astype(np.float32))
    excluded = np.sort(rng.choice(USERS, rng.integers(0, 1_500), replace=False))
    weights = np.eye(16)[0] if guess_too_high else rng.integers(-2, 3, 16).astype(float)
    sequence = np.arange(16)
    requests = [RankingRequest(Selected(sequence, Linear(weights)), size, excluded) for size in (5, 300, 1_900)]
    soft_maximum = SoftMaximum(rng.standard_normal((3, 16)))
    requests.append(RankingRequest(Selected(sequence, soft_maximum), 400, excluded))
    reported: list[int] = []
    rankings = scan.rank(live, requests, reported.append, ShufflingExecutor(rng))
    assert max(reported) == USERS
    for expected, ranking in zip(scan.rank(live, requests, lambda users: None), rankings, strict=True):
        assert same_ranking(ranking, expected)


def test_there_may_be_more_shards_than_files_can_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(writer, "USERS_PER_SHARD", 5)
    values = np.random.default_rng(0).standard_normal((1_000, 6)).astype(np.float32)
    live = store(tmp_path, values, widths={"sequence": 2, "content": 2, "aggregates": 2})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 200, hard))
    try:
        ranking = rank(live, Linear(np.ones(6)), 100, NOBODY)
        assert len(live.gather(np.arange(1_000))) == 1_000
        assert len(live.ties(np.arange(0, 1_000, 7))) == 143
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    exact = values.astype(np.float16).astype(np.float64).sum(axis=1)
    assert ranking.scores == pytest.approx(np.sort(exact)[::-1][:100])


# --- lists of whole numbers, whose sums are exact and often equal ----------------------------------------------------


FEWER_USERS = 1_000


def whole_numbers(random_seed: int, spread: int) -> Vectors:
    rng = np.random.default_rng(random_seed)
    return rng.integers(-spread, spread + 1, (FEWER_USERS, WIDTH)).astype(np.float32)


WHOLE_WEIGHTS = np.random.default_rng(3).integers(-5, 6, WIDTH).astype(float)


def plain_sort(live: Representation, ties: TieHashes, size: int, excluded: Rows) -> list[int]:
    """All users scored with exact sums of the stored values, then one plain sort."""
    stored = np.concatenate([np.hstack(blocks) for _, blocks, _ in live.stream(10**9)]).astype(np.float64)
    left_out = set(excluded.tolist())
    scores = {row: float(np.sum(stored[row] * WHOLE_WEIGHTS)) for row in range(len(stored)) if row not in left_out}
    return sorted(scores, key=lambda row: (-scores[row], int(ties[row]), row))[:size]


@pytest.mark.parametrize(("spread", "ties"), [(1, 2**63), (1, 3), (0, 5), (500, 2**63)])
@pytest.mark.parametrize("step", [1, 37, 256, 4_096])
def test_the_list_is_that_of_one_plain_sort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: int, ties: int, step: int
) -> None:
    monkeypatch.setattr(block_pass, "USERS_PER_STEP", step)
    monkeypatch.setattr(half_sums, "USERS_PER_STEP", max(1, step // 3))
    hashes = np.random.default_rng(step).integers(0, ties, FEWER_USERS, dtype=np.uint64)
    live = store(tmp_path, whole_numbers(step, spread), hashes)
    excluded = np.sort(np.random.default_rng(1).permutation(FEWER_USERS)[:150])
    expected = plain_sort(live, hashes, FEWER_USERS, excluded)
    for size in (1, 10, 400, FEWER_USERS - 150):
        for threads in (1, 5):
            cores = set(range(threads))
            monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: cores, raising=False)
            assert rank(live, Linear(WHOLE_WEIGHTS), size, excluded).rows.tolist() == expected[:size]


def test_everybody_can_be_ranked(tmp_path: Path) -> None:
    hashes = np.random.default_rng(3).integers(0, 2**63, FEWER_USERS, dtype=np.uint64)
    live = store(tmp_path, whole_numbers(3, 1), hashes)
    rows = rank(live, Linear(WHOLE_WEIGHTS), FEWER_USERS, NOBODY).rows.tolist()
    assert rows == plain_sort(live, hashes, FEWER_USERS, NOBODY)
    assert sorted(rows) == list(range(FEWER_USERS))


def test_a_shorter_list_is_the_head_of_a_longer_one(tmp_path: Path) -> None:
    live = store(tmp_path, whole_numbers(4, 1))
    longer = rank(live, Linear(WHOLE_WEIGHTS), 900, NOBODY).rows
    for size in (1, 5, 899):
        assert np.array_equal(rank(live, Linear(WHOLE_WEIGHTS), size, NOBODY).rows, longer[:size])


def test_equal_users_are_in_the_order_of_their_hashes_wherever_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of fractions are rounded by how they are grouped; equal users must have equal scores to the last bit."""
    rng = np.random.default_rng(0)
    kinds, kind = normal_vectors(1)[:7], rng.integers(0, 7, USERS)
    hashes = rng.integers(0, 2**64, USERS, dtype=np.uint64)
    live = store(tmp_path, kinds[kind], hashes)
    weights = rng.normal(0, 1, WIDTH)
    order = np.lexsort((hashes, -(kinds.astype(np.float16) @ weights)[kind]))
    with threadpool_limits(1, "blas"):
        for step in (64, 512, 4_096):
            monkeypatch.setattr(block_pass, "USERS_PER_STEP", step)
            assert np.array_equal(rank(live, Linear(weights), USERS, NOBODY).rows, order)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 511, USERS - 1])
def test_a_stored_value_that_is_not_finite_is_a_state_error_that_names_the_version(
    tmp_path: Path, bad: float, row: int
) -> None:
    live = store(tmp_path, normal_vectors())
    spoil(live, row, 16, bad)
    with pytest.raises(StateError, match=live.version):
        rank(live, Linear(WHOLE_WEIGHTS), 5, NOBODY)


def test_an_interrupt_while_progress_is_reported_ends_the_pass(tmp_path: Path) -> None:
    live = store(tmp_path, whole_numbers(4, 1))

    def interrupt(users: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.rank(live, [RankingRequest(Linear(WHOLE_WEIGHTS), 5, NOBODY)], interrupt)

"""What every scorer and every ensemble guarantees, fitted as the program fits them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lookalike.data.arrays import Floats, Rows
from lookalike.expansion.scorers import ENSEMBLES, NAMES, SCORERS, SEQUENCE_AND_AGGREGATES, FeatureSpace, Score, fit_all
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample

WIDTHS = {"sequence": 6, "content": 5, "aggregates": 9}
COUNTED = np.arange(13, 17)  # of the aggregates
MIN_PRECISION = 0.8
MIN_PRECISION_OF = {"logodds": 0.58}  # it reads one column of the planted direction, and of that only the sign

Vectors = NDArray[np.float32]


def columns(blocks: tuple[str, ...]) -> Rows:
    ends = np.cumsum(list(WIDTHS.values()))
    spans = {block: np.arange(end - WIDTHS[block], end) for block, end in zip(WIDTHS, ends, strict=True)}
    return np.concatenate([COUNTED if block == "counted" else spans[block] for block in blocks])


def prior() -> Prior:
    rng, width = np.random.default_rng(9), len(columns(SEQUENCE_AND_AGGREGATES))
    return Prior(0.01 * rng.normal(0, 1, width), 0.02 * rng.normal(0, 1, (width, 4)))


SPACE = FeatureSpace(columns, prior())


def users(count: int, rng: np.random.Generator, planted: float = 0.0) -> Vectors:
    """Unit vectors in the first two blocks and plain figures in the third; `planted` moves all along one direction."""
    values = rng.normal(0, 1, (count, sum(WIDTHS.values())))
    values[:, [0, 7, 13]] += planted
    for block in ("sequence", "content"):
        block_columns = columns((block,))
        values[:, block_columns] /= np.linalg.norm(values[:, block_columns], axis=1, keepdims=True)
    return values.astype(np.float32)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fitted(
    name: str,
    seed: Vectors,
    background: Vectors,
    random_seed: int = 0,
    weight: Floats | None = None,
    negatives: Vectors | None = None,
) -> Score:
    weight = np.ones(len(seed)) if weight is None else weight
    sample = TrainingSample(seed, background, weight, seed[:0] if negatives is None else negatives)
    return fit_all((name,), SPACE, sample, np.random.default_rng(random_seed))[name]


def precision(scores: Floats) -> float:
    """The share of planted users among the first hundred."""
    return float((np.argsort(-scores)[:100] >= 500).mean())


Problem = tuple[Vectors, Vectors, Vectors]


@pytest.fixture
def problem() -> Problem:
    """A planted seed, a background, and a thousand candidates of whom the last half are like the seed."""
    rng = np.random.default_rng(0)
    candidates = np.vstack([users(500, rng), users(500, rng, planted=1.5)])
    return users(60, rng, planted=1.5), users(900, rng), candidates


def test_every_user_has_one_finite_score(name: str, problem: Problem) -> None:
    seed, background, candidates = problem
    scores = fitted(name, seed, background)(candidates)
    assert scores.shape == (1_000,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("block", [1, 7, 333, 1_000])
def test_scores_do_not_depend_on_the_size_of_a_block(name: str, problem: Problem, block: int) -> None:
    seed, background, candidates = problem
    score = fitted(name, seed, background)
    parts = [score(candidates[first : first + block]) for first in range(0, len(candidates), block)]
    assert np.allclose(np.concatenate(parts), score(candidates), rtol=1e-12, atol=1e-12)


def test_the_same_random_seed_gives_the_same_scores_to_the_last_bit(name: str, problem: Problem) -> None:
    seed, background, candidates = problem
    first, again = fitted(name, seed, background)(candidates), fitted(name, seed, background)(candidates)
    assert first.tobytes() == again.tobytes()


def test_the_inputs_are_not_changed(name: str, problem: Problem) -> None:
    before = [part.tobytes() for part in problem]
    fitted(name, problem[0], problem[1])(problem[2])
    assert [part.tobytes() for part in problem] == before


def test_the_order_of_seed_and_background_hardly_matters(name: str, problem: Problem) -> None:
    """Only the folds that choose the ridge are drawn by place."""
    seed, background, candidates = problem
    rng = np.random.default_rng(1)
    scores = fitted(name, seed, background)(candidates)
    shuffled = fitted(name, rng.permutation(seed), rng.permutation(background))(candidates)
    min_correlation = 0.85 if name == "centroids" else 0.98  # k-means starts from some of the seeds
    assert stats.spearmanr(scores, shuffled).statistic > min_correlation


def test_a_planted_direction_is_found(name: str, problem: Problem) -> None:
    seed, background, candidates = problem
    scores = fitted(name, seed, background)(candidates)
    assert precision(scores) > MIN_PRECISION_OF.get(name, MIN_PRECISION)


def test_without_a_planted_direction_the_list_is_random(name: str) -> None:
    rng = np.random.default_rng(3)
    shares = []
    for run in range(20):
        scores = fitted(name, users(60, rng), users(900, rng), run)(np.vstack([users(200, rng), users(200, rng)]))
        shares.append((np.argsort(-scores)[:80] >= 200).mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)


def test_constant_columns_give_finite_scores(name: str, problem: Problem) -> None:
    seed, background, candidates = (part.copy() for part in problem)
    for part in (seed, background, candidates):
        part[:, [1, 8, 12, 19]] = 3.0
    assert np.isfinite(fitted(name, seed, background)(candidates)).all()


def test_a_column_that_is_constant_in_the_fit_does_not_count(name: str, problem: Problem) -> None:
    seed, background, candidates = (part.copy() for part in problem)
    for part in (seed, background):
        part[:, 15] = 0.0
    candidates[:, 15] = 1e3
    scores = fitted(name, seed, background)(candidates)
    assert np.isfinite(scores).all()
    candidates[:, 15] = 0.0
    if "aggregates" in (SCORERS[name].blocks if name in SCORERS else ()):
        assert np.allclose(scores, fitted(name, seed, background)(candidates))


@pytest.mark.parametrize("copies", [5, 200])
def test_a_seed_of_one_repeated_user_ranks_that_user_near_the_top(name: str, problem: Problem, copies: int) -> None:
    seed, background, candidates = problem
    repeated = np.repeat(seed[:1], copies, axis=0)
    scores = fitted(name, repeated, background)(np.vstack([candidates, seed[:1]]))
    assert np.isfinite(scores).all()
    assert (scores > scores[-1]).sum() < 50


def test_identical_users_have_equal_finite_scores(name: str) -> None:
    same = np.full((40, sum(WIDTHS.values())), 0.25, np.float32)
    scores = fitted(name, same[:10], same)(same)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) < 1e-9


def test_vectors_of_zeros_give_finite_scores(name: str) -> None:
    """A user without events in the window has a sequence vector of zeros, and so may all users."""
    zeros = np.zeros((40, sum(WIDTHS.values())), np.float32)
    assert np.isfinite(fitted(name, zeros[:10], zeros)(zeros)).all()


def test_an_outlier_in_the_background_does_not_spoil_the_list(name: str, problem: Problem) -> None:
    seed, background, candidates = (part.copy() for part in problem)
    background[0, 15] = 6e4
    scores = fitted(name, seed, background)(candidates)
    assert np.isfinite(scores).all()
    assert precision(scores) > MIN_PRECISION_OF.get(name, MIN_PRECISION)


def test_the_members_of_ensembles_are_scorers() -> None:
    for members in ENSEMBLES.values():
        assert len(set(members)) == len(members) > 1
        assert set(members) <= set(SCORERS)
    assert not set(ENSEMBLES) & set(SCORERS)
    assert set(NAMES) == set(SCORERS) | set(ENSEMBLES)


def test_scorers_fitted_together_equal_those_fitted_alone(problem: Problem) -> None:
    seed, background, candidates = problem
    sample = TrainingSample(seed, background, np.ones(len(seed)), seed[:0])
    together = fit_all(NAMES, SPACE, sample, np.random.default_rng(0))
    assert set(together) == set(NAMES)
    for name in NAMES:
        assert np.array_equal(together[name](candidates), fitted(name, seed, background)(candidates)), name


def test_heavier_seeds_draw_the_list_towards_them(name: str) -> None:
    """Half of the seed is planted along one direction and half against it; the weights say which half counts."""
    rng = np.random.default_rng(5)
    seed = np.vstack([users(80, rng, planted=1.5), users(80, rng, planted=-1.5)])
    background, candidates = users(900, rng), np.vstack([users(300, rng, planted=-1.5), users(300, rng, planted=1.5)])
    shares = []
    for heavy in (slice(0, 80), slice(80, 160)):
        weight = np.full(160, 0.1)
        weight[heavy] = 1.9
        scores = fitted(name, seed, background, weight=weight)(candidates)
        shares.append((np.argsort(-scores)[:100] >= 300).mean())
    assert shares[0] > shares[1] + 0.1


def test_users_like_the_negatives_rank_lower(name: str, problem: Problem) -> None:
    """The seed is of two kinds, and the negatives are of one of them."""
    rng = np.random.default_rng(6)
    kinds = [users(200, rng, planted=1.5), users(200, rng)]
    kinds[1][:, [1, 8, 14]] += 1.5
    seed, candidates = np.vstack([kind[:60] for kind in kinds]), np.vstack([kind[60:] for kind in kinds])
    negatives = users(150, rng)
    negatives[:, [1, 8, 14]] += 1.5
    mean_rank = []
    for examples in (seed[:0], negatives):
        scores = fitted(name, seed, problem[1], negatives=examples)(candidates)
        mean_rank.append(np.argsort(np.argsort(-scores))[140:].mean())
    assert mean_rank[1] > mean_rank[0]

"""What every scorer and every ensemble keeps, fitted as the program fits them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lookalike.data.arrays import Floats
from lookalike.expansion.scorers import ENSEMBLES, NAMES, SCORERS, SEQUENCE_AND_AGGREGATES, FeatureSpace, Score, fit_all
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample

WIDTHS = {"sequence": 6, "content": 5, "aggregates": 9}
COUNTED = np.arange(13, 17)  # of the aggregates
ENOUGH = {"logodds": 0.58}  # of the planted direction it reads one column, and of that the sign


def columns(blocks: tuple[str, ...]) -> NDArray[np.int64]:
    ends = np.cumsum(list(WIDTHS.values()))
    spans = {block: np.arange(end - WIDTHS[block], end) for block, end in zip(WIDTHS, ends, strict=True)}
    return np.concatenate([COUNTED if block == "counted" else spans[block] for block in blocks])


def prior() -> Prior:
    rng, width = np.random.default_rng(9), len(columns(SEQUENCE_AND_AGGREGATES))
    return Prior(0.01 * rng.normal(0, 1, width), 0.02 * rng.normal(0, 1, (width, 4)))


SPACE = FeatureSpace(columns, prior())


def users(count: int, rng: np.random.Generator, planted: float = 0.0) -> Floats:
    """Unit vectors in the first two blocks and plain figures in the third; `planted` moves all along one direction."""
    values = rng.normal(0, 1, (count, sum(WIDTHS.values())))
    values[:, [0, 7, 13]] += planted
    for block in ("sequence", "content"):
        at = columns((block,))
        values[:, at] /= np.linalg.norm(values[:, at], axis=1, keepdims=True)
    return values.astype(np.float32)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fitted(
    name: str,
    seed: Floats,
    background: Floats,
    rng_seed: int = 0,
    weight: NDArray[np.float64] | None = None,
    against: Floats | None = None,
) -> Score:
    weight = np.ones(len(seed)) if weight is None else weight
    taught = TrainingSample(seed, background, weight, seed[:0] if against is None else against)
    return fit_all((name,), SPACE, taught, np.random.default_rng(rng_seed))[name]


@pytest.fixture
def sample() -> tuple[Floats, Floats, Floats]:
    """A seed, a background and others to score, the last half of them like the seed."""
    rng = np.random.default_rng(0)
    others = np.vstack([users(500, rng), users(500, rng, planted=1.5)])
    return users(60, rng, planted=1.5), users(900, rng), others


Sample = tuple[Floats, Floats, Floats]


def test_one_score_a_user_and_every_one_a_number(name: str, sample: Sample) -> None:
    seed, background, others = sample
    scores = fitted(name, seed, background)(others)
    assert scores.shape == (1_000,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("block", [1, 7, 333, 1_000])
def test_scores_in_blocks_are_those_of_the_whole(name: str, sample: Sample, block: int) -> None:
    seed, background, others = sample
    score = fitted(name, seed, background)
    parts = [score(others[first : first + block]) for first in range(0, len(others), block)]
    assert np.allclose(np.concatenate(parts), score(others), rtol=1e-12, atol=1e-12)


def test_the_same_randomness_gives_the_same_scores_to_the_last_bit(name: str, sample: Sample) -> None:
    seed, background, others = sample
    first, again = fitted(name, seed, background)(others), fitted(name, seed, background)(others)
    assert first.tobytes() == again.tobytes()


def test_the_inputs_are_left_as_they_were(name: str, sample: Sample) -> None:
    before = [part.tobytes() for part in sample]
    fitted(name, sample[0], sample[1])(sample[2])
    assert [part.tobytes() for part in sample] == before


def test_the_order_of_seed_and_background_hardly_matters(name: str, sample: Sample) -> None:
    """Only the folds that choose the ridge are drawn by place; the order of those scored stays."""
    seed, background, others = sample
    rng = np.random.default_rng(1)
    first = fitted(name, seed, background)(others)
    other = fitted(name, rng.permutation(seed), rng.permutation(background))(others)
    alike = 0.85 if name == "centroids" else 0.98  # clusters start from some of the seed
    assert stats.spearmanr(first, other).statistic > alike


def test_a_planted_direction_is_found(name: str, sample: Sample) -> None:
    seed, background, others = sample
    scores = fitted(name, seed, background)(others)
    found = (np.argsort(-scores)[:100] >= 500).mean()
    assert found > ENOUGH.get(name, 0.8)


def test_nothing_planted_is_nothing_found(name: str) -> None:
    rng = np.random.default_rng(3)
    found = []
    for run in range(20):
        scores = fitted(name, users(60, rng), users(900, rng), run)(np.vstack([users(200, rng), users(200, rng)]))
        found.append((np.argsort(-scores)[:80] >= 200).mean())
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_constant_columns_give_finite_scores(name: str, sample: Sample) -> None:
    seed, background, others = (part.copy() for part in sample)
    for part in (seed, background, others):
        part[:, [1, 8, 12, 19]] = 3.0
    assert np.isfinite(fitted(name, seed, background)(others)).all()


def test_a_column_that_varies_only_among_those_scored_moves_nobody_far(name: str, sample: Sample) -> None:
    seed, background, others = (part.copy() for part in sample)
    for part in (seed, background):
        part[:, 15] = 0.0
    others[:, 15] = 1e3
    scores = fitted(name, seed, background)(others)
    assert np.isfinite(scores).all()
    others[:, 15] = 0.0
    if "aggregates" in (SCORERS[name].blocks if name in SCORERS else ()):
        assert np.allclose(scores, fitted(name, seed, background)(others))


@pytest.mark.parametrize("copies", [5, 200])
def test_one_seed_user_repeated_gives_finite_scores_and_that_user_on_top(
    name: str, sample: Sample, copies: int
) -> None:
    seed, background, others = sample
    one = np.repeat(seed[:1], copies, axis=0)
    scores = fitted(name, one, background)(np.vstack([others, seed[:1]]))
    assert np.isfinite(scores).all()
    assert (scores > scores[-1]).sum() < 50


def test_nobody_differing_at_all_gives_finite_equal_scores(name: str) -> None:
    same = np.full((40, sum(WIDTHS.values())), 0.25, np.float32)
    scores = fitted(name, same[:10], same)(same)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) < 1e-9


def test_empty_vectors_give_finite_scores(name: str) -> None:
    """A user outside the window has zeros for a sequence; so can everybody."""
    none = np.zeros((40, sum(WIDTHS.values())), np.float32)
    assert np.isfinite(fitted(name, none[:10], none)(none)).all()


def test_a_huge_figure_of_one_user_does_not_spoil_the_rest(name: str, sample: Sample) -> None:
    seed, background, others = (part.copy() for part in sample)
    background[0, 15] = 6e4
    scores = fitted(name, seed, background)(others)
    assert np.isfinite(scores).all()
    assert (np.argsort(-scores)[:100] >= 500).mean() > ENOUGH.get(name, 0.8)


def test_an_ensemble_is_made_of_scorers_that_exist() -> None:
    for members in ENSEMBLES.values():
        assert len(set(members)) == len(members) > 1
        assert set(members) <= set(SCORERS)
    assert not set(ENSEMBLES) & set(SCORERS)
    assert set(NAMES) == set(SCORERS) | set(ENSEMBLES)


def test_fitting_all_at_once_gives_each_as_fitted_alone(sample: Sample) -> None:
    seed, background, others = sample
    together = fit_all(
        NAMES, SPACE, TrainingSample(seed, background, np.ones(len(seed)), seed[:0]), np.random.default_rng(0)
    )
    assert set(together) == set(NAMES)
    for each in NAMES:
        assert np.array_equal(together[each](others), fitted(each, seed, background)(others)), each


def test_a_seed_that_weighs_more_pulls_the_list_its_way(name: str) -> None:
    """Half of the seed is planted along one direction, half along the other; the weights say which counts."""
    rng = np.random.default_rng(5)
    seed = np.vstack([users(80, rng, planted=1.5), users(80, rng, planted=-1.5)])
    background, others = users(900, rng), np.vstack([users(300, rng, planted=-1.5), users(300, rng, planted=1.5)])
    first = []
    for heavy in (slice(0, 80), slice(80, 160)):
        weight = np.full(160, 0.1)
        weight[heavy] = 1.9
        scores = fitted(name, seed, background, weight=weight)(others)
        first.append((np.argsort(-scores)[:100] >= 300).mean())
    assert first[0] > first[1] + 0.1


def test_those_of_whom_fewer_are_wanted_come_later(name: str, sample: Sample) -> None:
    """The seed is of two kinds, and the negative examples of one of them."""
    rng = np.random.default_rng(6)
    kinds = [users(200, rng, planted=1.5), users(200, rng)]
    kinds[1][:, [1, 8, 14]] += 1.5
    seed, others = np.vstack([kind[:60] for kind in kinds]), np.vstack([kind[60:] for kind in kinds])
    against = users(150, rng)
    against[:, [1, 8, 14]] += 1.5
    plain, pushed = (fitted(name, seed, sample[1], against=given)(others) for given in (seed[:0], against))
    place = [np.argsort(np.argsort(-scores))[140:].mean() for scores in (plain, pushed)]
    assert place[1] > place[0]

"""Scores made from other scores: shares hold at every length, and the order within a sub-audience stays."""

import numpy as np
import pytest

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.expansion.clustering import nearest_centre
from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage

EMBEDDING = np.arange(6)


def last_column(block: Matrix) -> Floats:
    return block[:, 6].astype(float)


def population(rng: np.random.Generator, users: int) -> tuple[Floats, Rows]:
    """Unit vectors of users of two kinds, and the kind of each; a fifth are of the second kind."""
    kind = (rng.random(users) < 0.2).astype(int)
    vectors = rng.normal(0, 0.3, (users, 6))
    vectors[np.arange(users), kind] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), kind


def balanced(random_seed: int, seeds: tuple[int, int]) -> tuple[Balanced, Floats]:
    """A balanced score and the columns of the background: an embedding, and a score that is higher for the first kind."""
    rng = np.random.default_rng(random_seed)
    background, kind = population(rng, 6_000)
    columns = np.hstack([background, rng.random((6_000, 1)) + 5 * (kind == 0)[:, None]])
    vectors, kinds = population(rng, 4_000)
    groups = [vectors[kinds == k][: seeds[k]] for k in (0, 1)]
    return Balanced.of(last_column, EMBEDDING, columns, groups), columns


@pytest.mark.parametrize("seeds", [(60, 60), (90, 30)])
def test_the_first_n_have_the_shares_of_the_seed_at_every_length(seeds: tuple[int, int]) -> None:
    score, columns = balanced(0, seeds)
    order = np.argsort(-score(columns), kind="stable")
    nearest = nearest_centre(columns[:, EMBEDDING], score.centres)
    assert (nearest[np.argsort(-columns[:, 6])[:1_000]] == 1).mean() < 0.05  # unbalanced, the second kind is lost
    for length in (100, 300, 1_000):
        assert (nearest[order[:length]] == 1).mean() == pytest.approx(seeds[1] / sum(seeds), abs=0.05)


def test_the_order_within_a_sub_audience_stays() -> None:
    score, columns = balanced(1, (60, 60))
    nearest, scores = nearest_centre(columns[:, EMBEDDING], score.centres), score(columns)
    for g in (0, 1):
        by_score = np.argsort(-columns[nearest == g, 6], kind="stable")
        assert (np.diff(scores[nearest == g][by_score]) <= 0).all()


def test_a_balanced_score_does_not_depend_on_the_other_rows() -> None:
    score, columns = balanced(2, (60, 60))
    assert np.array_equal(score(columns[:50]), np.concatenate([score(columns[:7]), score(columns[7:50])]))


def test_users_above_the_whole_background_stay_in_front() -> None:
    score, columns = balanced(3, (60, 60))
    users = columns[:2].copy()
    users[:, EMBEDDING], users[:, 6] = score.centres[0], [20, 30]
    first, second = score(users)
    assert second > first > score(columns).max()


def test_tied_leaders_do_not_fill_the_head_of_the_list() -> None:
    rng = np.random.default_rng(6)
    vectors, kind = population(rng, 6_000)
    capped = np.minimum(rng.random(6_000), 0.7)  # the best 30 % of the first kind have equal scores
    columns = np.hstack([vectors, np.where(kind == 0, capped, rng.random(6_000))[:, None]])
    groups = [vectors[kind == k][:60] for k in (0, 1)]
    score = Balanced.of(last_column, EMBEDDING, columns, groups)
    order = np.lexsort((rng.random(6_000), -score(columns)))
    nearest = nearest_centre(vectors, score.centres)
    assert (nearest[order[:300]] == 1).mean() > 0.9  # tied users rank at the middle of their quantiles
    assert 0.35 < (nearest[order[:2_400]] == 1).mean() < 0.5  # all tied users are in by now, some a little early


def test_an_ensemble_is_the_mean_quantile_in_the_background_and_grows_beyond_it() -> None:
    background = np.linspace(0, 1, 1_001)[:, None]
    members = (lambda block: block[:, 0], lambda block: -3 * block[:, 0] ** 2)
    average = RankAverage.of(members, background, np.array([0.5, 0.5]))
    scores = average(np.array([[0.0], [0.25], [0.9]]))
    assert scores == pytest.approx([0.5, 0.5, 0.5], abs=0.01)  # one member rises as the other falls
    single = RankAverage.of(members[:1], background, np.ones(1))
    beyond = single(np.array([[-2.0], [-1.0], [0.0], [0.5], [1.0], [1.5], [9.0]]))
    assert (np.diff(beyond) > 0).all(), "users beyond the background still differ"
    assert beyond[2:5] == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_a_user_with_higher_scores_of_all_members_never_ranks_lower() -> None:
    rng = np.random.default_rng(0)
    background = np.round(rng.normal(0, 1, (500, 2)), 1)  # many equal scores
    average = RankAverage.of((lambda block: block[:, 0], lambda block: block[:, 1]), background, np.array([0.3, 0.7]))
    low = rng.normal(0, 2, (2_000, 2))
    high = low + rng.exponential(0.5, (2_000, 2))
    assert (average(high) >= average(low)).all()


def test_an_average_of_rankings_lies_between_its_members() -> None:
    rng = np.random.default_rng(5)
    background = rng.normal(0, 1, (500, 2))
    members = (lambda block: block[:, 0], lambda block: 10 * block[:, 1])
    quantiles = RankAverage.of(members, background, np.array([0.5, 0.5]))(background)
    assert quantiles.min() >= 0
    assert quantiles.max() <= 1
    assert np.corrcoef(quantiles, background.sum(axis=1))[0, 1] > 0.9
    first = RankAverage.of(members, background, np.array([1.0, 0.0]))
    assert np.array_equal(np.argsort(first(background)), np.argsort(background[:, 0]))

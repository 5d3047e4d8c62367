"""Orders made of other orders: shares are kept at every size, and within a sub-audience nobody changes places."""

import numpy as np
import pytest

from lookalike.expansion.scorers.rank_ensemble import Balanced, RankAverage, cluster_centres, nearest_centre


def population(rng: np.random.Generator, users: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of people of two kinds, and the kind of each; the second is a fifth of all."""
    kind = (rng.random(users) < 0.2).astype(int)
    vectors = rng.normal(0, 0.3, (users, 6))
    vectors[np.arange(users), kind] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), kind


def balanced(rng: np.random.Generator, seeds: tuple[int, int]) -> tuple[Balanced, np.ndarray]:
    background, kind = population(rng, 6_000)
    columns = np.hstack([background, rng.random((6_000, 1)) + 5 * (kind == 0)[:, None]])  # the first kind scores higher
    groups = [population(rng, 4_000)[0][:0], population(rng, 4_000)[0][:0]]
    people, kinds = population(rng, 4_000)
    groups = [people[kinds == one][: seeds[one]] for one in (0, 1)]

    def score(block: np.ndarray) -> np.ndarray:
        return block[:, 6].astype(float)

    return Balanced.of(score, score(columns), (background, groups), np.arange(6)), columns


@pytest.mark.parametrize("seeds", [(60, 60), (90, 30)])
def test_the_first_n_hold_the_seeds_shares_at_every_size(seeds: tuple[int, int]) -> None:
    order, columns = balanced(np.random.default_rng(0), seeds)
    rank = np.argsort(-order(columns), kind="stable")
    near = nearest_centre(columns[:, :6], order.centres)
    assert (near[np.argsort(-columns[:, 6])[:1_000]] == 1).mean() < 0.05  # unbalanced, the second kind is lost
    wanted = seeds[1] / sum(seeds)
    for size in (100, 300, 1_000):
        assert (near[rank[:size]] == 1).mean() == pytest.approx(wanted, abs=0.05)


def test_within_a_sub_audience_the_order_stays() -> None:
    order, columns = balanced(np.random.default_rng(1), (60, 60))
    near, found = nearest_centre(columns[:, :6], order.centres), order(columns)
    for one in (0, 1):
        by_score = np.argsort(-columns[near == one, 6], kind="stable")
        assert (np.diff(found[near == one][by_score]) <= 0).all()


def test_a_balanced_score_of_somebody_does_not_depend_on_who_stands_beside_them() -> None:
    order, columns = balanced(np.random.default_rng(2), (60, 60))
    whole = order(columns[:50])
    assert np.array_equal(whole, np.concatenate([order(columns[:7]), order(columns[7:50])]))


def test_somebody_better_than_the_whole_background_stays_in_front() -> None:
    order, columns = balanced(np.random.default_rng(3), (60, 60))
    one = columns[:2].copy()
    one[:, :6], one[:, 6] = order.centres[0], [20, 30]
    found = order(one)
    assert found[1] > found[0] > order(columns).max()


def test_leaders_who_tie_do_not_take_the_whole_head() -> None:
    rng = np.random.default_rng(6)
    people, kind = population(rng, 6_000)
    scores = np.where(
        kind == 0, np.minimum(rng.random(6_000), 0.7), rng.random(6_000)
    )  # 30 % of the first kind are equal
    columns = np.hstack([people, scores[:, None]])
    groups = [people[kind == one][:60] for one in (0, 1)]
    order = Balanced.of(lambda block: block[:, 6].astype(float), scores, (people, groups), np.arange(6))
    rank = np.lexsort((rng.random(6_000), -order(columns)))
    near = nearest_centre(people, order.centres)
    assert (near[rank[:300]] == 1).mean() > 0.9  # the tied stand where their middle does
    assert 0.35 < (near[rank[:2_400]] == 1).mean() < 0.5  # all of the tied are in by now, a little early for some


def test_centres_have_unit_length_and_the_nearest_is_the_most_alike() -> None:
    rng = np.random.default_rng(4)
    groups = [rng.normal(0, 1, (30, 5)) for _ in range(3)]
    centres = cluster_centres(groups)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1)
    people = rng.normal(0, 1, (200, 5))
    assert np.array_equal(
        nearest_centre(people, centres), np.argmax([[p @ c for c in centres] for p in people], axis=1)
    )


def test_an_average_of_ranks_lies_between_its_members() -> None:
    rng = np.random.default_rng(5)
    background = rng.normal(0, 1, (500, 2))
    members = (lambda block: block[:, 0], lambda block: 10 * block[:, 1])
    average = RankAverage.of(members, background, np.array([0.5, 0.5]))
    places = average(background)
    assert places.min() >= 0
    assert places.max() <= 1
    assert np.corrcoef(places, background.sum(axis=1))[0, 1] > 0.9
    first = RankAverage.of(members, background, np.array([1.0, 0.0]))
    assert np.array_equal(np.argsort(first(background)), np.argsort(background[:, 0]))

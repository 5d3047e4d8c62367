"""What is said of a seed: two audiences are two, one is one, and more seeds help where they do."""

import numpy as np

from lookalike.data.arrays import Floats
from lookalike.expansion import seed_profile
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import FeatureSpace
from lookalike.workspace.settings import ExpandSettings

NAMES = ["log_events", "log_days", "log_recency_days", "category=a", "category=b"]
WIDTH = 16


def people(rng: np.random.Generator, count: int, direction: int | None) -> Floats:
    """Unit vectors, around a direction or around none, and the aggregates; who leans to 0 has met a, to 1 has met b."""
    vectors = rng.normal(0, 1, (count, WIDTH))
    if direction is not None:
        vectors[:, direction] += 6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    events = 1 + rng.poisson(5, count)
    met = np.column_stack([np.full(count, direction == 0), np.full(count, direction == 1)])
    return np.hstack(
        [vectors, np.log1p(events)[:, None], np.log1p(events // 2 + 1)[:, None], rng.random((count, 1)), met]
    )


def examples(*parts: Floats, others: Floats) -> Examples:
    seed = np.vstack(parts).astype(np.float32)
    spans = {"sequence": np.arange(WIDTH), "aggregates": np.arange(WIDTH, WIDTH + 5)}
    return Examples(
        seed=seed,
        weight=np.ones(len(seed)),
        against=seed[:0],
        background=others.astype(np.float32),
        seed_of=np.full(len(others), -1),
        candidates=len(others),
        space=FeatureSpace(lambda blocks: np.concatenate([spans.get(block, np.arange(19, 21)) for block in blocks])),
        activity=WIDTH,
    )


def test_two_audiences_are_told_apart_and_named_and_one_is_left_whole() -> None:
    rng = np.random.default_rng(0)
    others = people(rng, 1_000, None)
    two = examples(people(rng, 120, 0), people(rng, 60, 1), others=others)
    found = seed_profile.profile_seed(two, NAMES, WIDTH, np.arange(WIDTH), 0)
    assert [round(group.share, 2) for group in found.groups] == [0.67, 0.33]
    assert [group.more_of for group in found.groups] == [("category=a",), ("category=b",)]
    assert np.array_equal(found.group_of, np.repeat([0, 1], [120, 60]))
    for one in (people(rng, 180, 0), people(rng, 180, None)):
        assert seed_profile.profile_seed(examples(one, others=others), NAMES, WIDTH, np.arange(WIDTH), 0).groups == ()


def test_a_part_of_a_few_people_is_no_audience_of_its_own() -> None:
    rng = np.random.default_rng(1)
    known = examples(people(rng, 150, 0), people(rng, 20, 1), others=people(rng, 500, None))
    assert seed_profile.profile_seed(known, NAMES, WIDTH, np.arange(WIDTH), 0).groups == ()


def test_bots_are_counted() -> None:
    rng = np.random.default_rng(2)
    seed, others = people(rng, 100, 0), people(rng, 5_000, None)
    seed[:7, WIDTH] = np.log1p(50_000)
    found = seed_profile.profile_seed(examples(seed, others=others), NAMES, WIDTH, np.arange(WIDTH), 0)
    assert 7 <= found.often <= 9
    assert found.usual_events < 10


def test_doubling_is_told_only_where_it_surely_helps() -> None:
    rng = np.random.default_rng(3)
    others, settings = people(rng, 2_000, None), ExpandSettings(folds=4)
    told = 0
    for _ in range(8):  # nothing to learn: more of it does not help
        known = examples(people(rng, 60, None), others=others)
        told += seed_profile.gain_of_doubling(known, "centroid", 0.1, settings, lambda done: None) is not None
    assert told <= 1
    assert (
        seed_profile.gain_of_doubling(examples(people(rng, 15, 0), others=others), "centroid", 0.1, settings, print)
        is None
    )


def test_a_seed_that_needs_many_is_told_that_more_help() -> None:
    rng = np.random.default_rng(4)
    others, faint = people(rng, 2_000, None), people(rng, 240, None)
    faint[:, :WIDTH] += 0.09
    gain = seed_profile.gain_of_doubling(
        examples(faint, others=others), "neighbours", 0.1, ExpandSettings(folds=4), print
    )
    assert gain is None or gain > 0

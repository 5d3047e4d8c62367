"""The prior learned from audiences: it holds what they share, and a small seed ranks better with it."""

import numpy as np

from lookalike.data.arrays import Flags, Floats
from lookalike.expansion.scorers import classifiers
from lookalike.expansion.scorers.learned_prior import Period, prior_arrays, prior_from_audiences, told_strength
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior
from lookalike.expansion.scorers.training_sample import TrainingSample


def audiences(rng: np.random.Generator, x: Floats, count: int) -> Flags:
    """Who belongs to each audience, [count, n]: the first column raises all odds, one of the next four each one's own."""
    odds = [1.0 * x[:, 0] + 1.5 * x[:, 1 + number % 4] * (-1) ** (number // 4) - 4 for number in range(count)]
    return np.array([rng.random(len(x)) < 1 / (1 + np.exp(-audience)) for audience in odds])


def prior_of_40_audiences(rng: np.random.Generator) -> Prior:
    x = rng.normal(0, 1, (3_000, 40))
    is_member = audiences(rng, x, 40)
    return prior_from_audiences(x, is_member, np.ones_like(is_member))


def test_the_mean_is_what_audiences_share_and_the_factor_where_they_differ() -> None:
    prior = prior_of_40_audiences(np.random.default_rng(0))
    assert np.argmax(np.abs(prior.mean)) == 0
    assert prior.mean[0] > 5 * np.abs(prior.mean[5:]).max()
    spread = np.sqrt((prior.factor**2).sum(axis=1))
    assert spread[1:5].min() > 2 * spread[5:].max()


def test_a_small_seed_ranks_better_with_the_prior_than_with_a_ridge() -> None:
    rng = np.random.default_rng(2)
    prior, gains = prior_of_40_audiences(rng), []
    for run in range(12):
        x = rng.normal(0, 1, (4_000, 40))
        is_member = audiences(rng, x, 8)[run % 8]
        seed = rng.permutation(np.flatnonzero(is_member))[:15]
        others = np.setdiff1d(np.arange(4_000), seed)
        sample = TrainingSample(x[seed], x, np.ones(15), x[:0])
        precision = []
        for score in (classifiers.transfer(sample, rng, prior), classifiers.logistic(sample, rng)):
            top = others[np.argsort(-score(x[others]), kind="stable")[:200]]
            precision.append(is_member[top].mean())
        gains.append(precision[0] - precision[1])
    assert np.mean(gains) > 0.03


def test_the_arrays_of_a_prior_make_the_same_prior_again() -> None:
    prior = Prior(np.arange(3.0), np.ones((3, 2)), 0.3)
    arrays = {name.removeprefix(PRIOR_PREFIX): values for name, values in prior_arrays(prior).items()}
    again = Prior.of(arrays)
    assert again is not None
    assert again.strength == 0.3
    assert np.array_equal(again.mean, prior.mean)
    assert np.array_equal(again.factor, prior.factor)
    assert prior_arrays(None) == {}
    assert Prior.of({}) is None
    of_an_earlier_version = Prior.of({"mean": prior.mean, "factor": prior.factor})
    assert of_an_earlier_version is not None
    assert of_an_earlier_version.strength == 1


def test_a_prior_that_does_not_last_is_told_to_be_weak() -> None:
    """Later audiences share the same columns, or the opposite of them."""
    rng = np.random.default_rng(3)
    prior, x = prior_of_40_audiences(rng), rng.normal(0, 1, (3_000, 40))
    strengths = []
    for turned in (x, -x):
        is_member = audiences(rng, turned, 40)
        strengths.append(told_strength(prior, Period(x, is_member, np.ones_like(is_member)), rng))
    assert strengths[0] >= 1
    assert strengths[1] < 1

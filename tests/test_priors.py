"""The prior that a log's own audiences teach: what they share is in it, and a seed of few gains by it."""

import numpy as np

from lookalike.expansion.scorers import classifiers, learned_prior, logistic
from lookalike.expansion.scorers.logistic import Prior
from lookalike.expansion.scorers.training_sample import TrainingSample


def audiences(rng: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    """Who belongs to each audience, [count, n]: the first column makes all likely, one of the next four each."""
    odds = [1.0 * x[:, 0] + 1.5 * x[:, 1 + at % 4] * (-1) ** (at // 4) - 4 for at in range(count)]
    return np.array([rng.random(len(x)) < 1 / (1 + np.exp(-one)) for one in odds])


def taught_prior(rng: np.random.Generator) -> Prior:
    x = rng.normal(0, 1, (3_000, 40))
    member = audiences(rng, x, 40)
    return learned_prior._prior_from(x, member, np.ones_like(member))


def test_what_all_audiences_share_is_the_mean_and_where_they_differ_the_directions() -> None:
    prior = taught_prior(np.random.default_rng(0))
    assert np.argmax(np.abs(prior.mean)) == 0
    assert prior.mean[0] > 5 * np.abs(prior.mean[5:]).max()
    spread = np.sqrt((prior.factor**2).sum(axis=1))
    assert spread[1:5].min() > 2 * spread[5:].max()


def test_the_root_is_of_the_covariance() -> None:
    prior = taught_prior(np.random.default_rng(1))
    expected = np.eye(40) / logistic.PRIOR_PRECISION + logistic.AUDIENCE_VARIANCE * prior.factor @ prior.factor.T
    assert np.allclose(prior.root @ prior.root.T, expected, atol=1e-9)


def test_few_seeds_rank_better_with_it_than_with_a_ridge_alone() -> None:
    rng = np.random.default_rng(2)
    prior, gains = taught_prior(rng), []
    for run in range(12):
        x = rng.normal(0, 1, (4_000, 40))
        member = audiences(rng, x, 8)[run % 8]
        seed = rng.permutation(np.flatnonzero(member))[:15]
        rest = np.setdiff1d(np.arange(4_000), seed)
        taught = TrainingSample(x[seed], x, np.ones(15), x[:0])
        found = []
        for score in (classifiers.transfer(taught, rng, prior), classifiers.logistic(taught, rng)):
            first = rest[np.argsort(-score(x[rest]), kind="stable")[:200]]
            found.append(member[first].mean())
        gains.append(found[0] - found[1])
    assert np.mean(gains) > 0.03


def test_a_large_seed_is_believed_against_the_prior() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (8_000, 5))
    seed = np.flatnonzero(x[:, 4] > 0.5)
    wrong = Prior(np.array([0.3, 0, 0, 0, -0.3]), np.zeros((5, 1)))
    taught = TrainingSample(x[seed], x, np.ones(len(seed)), x[:0])
    scores = classifiers.transfer(taught, rng, wrong)(x)
    along = [np.corrcoef(scores, x[:, column])[0, 1] for column in (4, 0)]
    assert along[0] > 0.75 > 0.7 > along[1]

"""Scorers fitted on many parts at once: as if fitted on each alone, and blind to what a part does not have."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_examples import QUICK, examples_of, log_like_values, similar_users
from lookalike.embeddings.linear import ridge_logistic
from lookalike.expansion import metrics
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import hold_out
from lookalike.expansion.scorers import SCORERS, FeatureSpace, fit_all, fit_parts, logistic
from lookalike.expansion.scorers.classifiers import ridge_parts
from lookalike.expansion.scorers.logistic import Prior, reliable_strength
from lookalike.expansion.scorers.part_fits import LinearSample, Parts, PartScores

AT_ONCE = [name for name, scorer in SCORERS.items() if scorer.fit_parts]
WIDTH = 12


def examples(users: int = 1_500, random_seed: int = 0) -> Examples:
    rng = np.random.default_rng(random_seed)
    values = log_like_values(rng, users, WIDTH - 1)
    made = examples_of(values, similar_users(rng, values))
    prior = Prior(mean=rng.normal(0, 0.05, WIDTH), factor=rng.normal(0, 0.1, (WIDTH, 3)))
    return replace(made, space=FeatureSpace(made.space.columns, prior))


def parts_of(examples: Examples, count: int = 4) -> Parts:
    """All but one of so many folds."""
    fold = np.random.default_rng(1).permutation(np.arange(examples.seeds) % count)
    index = examples.seed_index
    background = np.where(index >= 0, fold[index], np.arange(len(index)) % count)
    numbers = np.arange(count)[:, None]
    return Parts(fold != numbers, background != numbers)


def fitted(name: str, examples: Examples, parts: Parts) -> PartScores:
    return fit_parts((name,), examples.space, examples.linear_sample, parts, np.random.default_rng(0))[name]


def test_the_usual_scorers_are_fitted_at_once() -> None:
    assert set(AT_ONCE) == {"background", "logistic", "transfer"}


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_part_is_ranked_as_by_a_scorer_fitted_on_it_alone(name: str) -> None:
    sample, parts = examples(), parts_of(examples())
    scores = fitted(name, sample, parts)(sample.background)
    for part in range(len(parts.seed)):
        own = sample.training_sample.part(parts.seed[part], parts.background[part])
        alone = fit_all((name,), sample.space, own, np.random.default_rng(0))[name](sample.background)
        assert np.corrcoef(scores[:, part], alone)[0, 1] > (0.999 if name == "background" else 0.97)  # another ridge


@pytest.mark.parametrize("name", ["background", "transfer"])
def test_people_a_part_does_not_have_do_not_change_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one strength of the prior to choose from: the choice is made by people whom other parts leave out, and those
    parts have them."""
    monkeypatch.setattr(logistic, "STRENGTHS", (1.0,))
    sample, parts = examples(), parts_of(examples())
    linear, rng = sample.linear_sample, np.random.default_rng(3)
    seed, background = linear.seed.copy(), linear.background.copy()
    seed[~parts.seed[0]] = rng.normal(5, 3, (int((~parts.seed[0]).sum()), WIDTH))
    if name == "transfer":  # `background` is whitened by the covariance of everybody
        background[~parts.background[0]] = rng.normal(5, 3, (int((~parts.background[0]).sum()), WIDTH))
    changed = replace(linear, seed=seed, background=background)
    before, after = (
        fit_parts((name,), sample.space, rows, parts, np.random.default_rng(0))[name].weights
        for rows in (linear, changed)
    )
    largest = np.abs(before).max()
    assert np.abs(after - before)[:, 0].max() < 0.02 * largest
    assert np.abs(after - before)[:, 1].max() > 0.05 * largest


def test_a_sample_of_some_columns_is_what_it_would_be_made_of_them() -> None:
    sample = examples()
    kept = np.array([2, 3, 7])
    made, only = LinearSample.of(sample.training_sample, kept), sample.linear_sample.only(kept)
    for name in ("columns", "seed", "background", "negatives", "weight"):
        assert np.array_equal(getattr(made, name), getattr(only, name)), name
    assert np.array_equal(made.scale.factor, only.scale.factor)
    assert np.array_equal(made.scale.mean, only.scale.mean)


def test_with_one_ridge_for_all_each_part_is_a_regression_of_its_own() -> None:
    sample, parts = examples(), parts_of(examples())
    linear = sample.linear_sample
    weights = ridge_parts(linear, parts, np.random.default_rng(0), 300.0)
    for part, (seeds, rows) in enumerate(zip(parts.seed, parts.background, strict=True)):
        x = np.vstack([linear.seed[seeds], linear.background[rows]]).astype(np.float64)
        y = np.arange(len(x)) < seeds.sum()
        alone = ridge_logistic(x, y.astype(float), np.ones((1, len(x))), np.array([300.0]))[0]
        assert np.abs(weights[part] - alone).max() < 0.02 * np.abs(alone).max()


def test_equal_people_have_equal_scores_wherever_they_stand() -> None:
    sample = examples()
    scores = fitted("transfer", sample, parts_of(sample))
    rows = np.repeat(sample.background[:1], 9_001, axis=0)
    assert len(np.unique(scores(rows), axis=0)) == 1
    assert np.array_equal(scores(rows[:1]), scores(rows)[-1:])


@pytest.mark.parametrize("name", AT_ONCE)
def test_negatives_push_people_like_them_down_in_every_part(name: str) -> None:
    sample = examples()
    like_seed = sample.background[np.argsort(-sample.background[:, -1])[:100]]
    margins = []
    for each in (sample, replace(sample, negatives=like_seed)):
        scores = fitted(name, each, parts_of(each))
        margins.append(scores(like_seed).mean(axis=0) - scores(each.background).mean(axis=0))
    assert (margins[1] < 0.95 * margins[0]).all()


def test_groups_are_seeds_of_their_own() -> None:
    """Two kinds of seeds: looked for by those of the same kind they are found, by a random half as well as by all."""
    rng = np.random.default_rng(2)
    values = log_like_values(rng, 3_000, WIDTH - 1)
    seed = np.sort(np.concatenate([np.argsort(-values[:, -1])[:60], np.argsort(values[:, -1])[:60]]))
    sample, kind = examples_of(values, seed), (values[seed, -1] > 0).astype(np.int64)
    whole, apart = (
        metrics.lift(hold_out(sample, ("background",), QUICK, group=group)["background"], 0.05)
        for group in (None, kind)
    )
    assert apart > 1.5 * whole
    columns = np.arange(WIDTH)
    assert LinearSample.of(sample.training_sample, columns).seed.dtype == np.float32


def test_the_prior_is_trusted_less_where_it_is_wrong() -> None:
    """A prior that looks away from where the seeds are is given up, and one that looks there is kept."""
    rng, sample = np.random.default_rng(4), examples(3_000)
    away, towards = np.zeros((2, WIDTH))
    away[-1], towards[-1] = -0.3, 1.0
    lifts = {}
    for label, mean in (("away", away), ("towards", towards)):
        prior = Prior(mean=mean, factor=rng.normal(0, 0.02, (WIDTH, 3)))
        each = replace(sample, space=FeatureSpace(sample.space.columns, prior))
        quantiles = hold_out(each, ("transfer", "logistic"), QUICK)
        lifts[label] = [metrics.lift(quantiles[name], 0.1) for name in ("transfer", "logistic")]
    assert lifts["away"][0] > 0.6 * lifts["away"][1]
    assert lifts["towards"][0] > 0.95 * lifts["towards"][1]


def test_strengths_are_changed_only_for_a_reliable_gain() -> None:
    rng = np.random.default_rng(5)
    same = rng.exponential(1, (5, 100))
    assert reliable_strength(same[:1].repeat(5, axis=0)) == 0
    chosen = [reliable_strength(rng.exponential(1, (5, 100))) for _ in range(100)]
    assert np.mean(np.array(chosen) == 0) > 0.85
    better = same[:1].repeat(5, axis=0)
    better[3] += 0.3
    assert reliable_strength(better) == 3


def test_strengths_are_told_by_the_first_parts_that_leave_each_seed_out_once() -> None:
    numbers = np.arange(3)[:, None]
    repeat = np.arange(9) % 3 != numbers
    parts = Parts(np.vstack([repeat, repeat[::-1]]), np.ones((6, 20), bool))
    assert parts.telling == 3
    never_left_out = Parts(np.ones((4, 9), bool), np.ones((4, 20), bool))
    assert never_left_out.telling == 4

"""Repeated K-fold hold-out: unbiased when there is nothing to find, and no fold sees what it is measured on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from expansion_examples import QUICK, examples_of, log_like_values, random_users
from lookalike.data.arrays import Floats, Matrix
from lookalike.embeddings.linear import Linear
from lookalike.expansion import curves, metrics, scorers
from lookalike.expansion.curves import BandSettings
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import ACTIVITY, held_out_scores, hold_out, rank_quantiles
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.scorers import Score, Scorer
from lookalike.expansion.scorers.training_sample import TrainingSample


def held_out(examples: Examples, names: tuple[str, ...] = ("centroid",), **settings: Any) -> Quantiles:
    return hold_out(examples, names, replace(QUICK, **settings))


# --- quantiles -------------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12), st.lists(st.integers(0, 4), max_size=30), st.integers(0, 99)
)
def test_a_seed_ranks_behind_higher_scores_and_before_lower_ones(
    held: list[int], pool: list[int], random_seed: int
) -> None:
    held_scores, pool_scores = np.array(held, float), np.array(pool, float)
    tie_breaks = np.random.default_rng(random_seed).random(len(held))
    quantiles = rank_quantiles(held_scores, pool_scores, len(pool), tie_breaks)
    users_before = quantiles * (len(pool) + len(held))
    for before, score in zip(users_before, held_scores, strict=True):
        min_before = (pool_scores > score).sum() + (held_scores > score).sum()
        max_before = (pool_scores >= score).sum() + (held_scores >= score).sum() - 1
        assert min_before - 1 <= before <= max_before + 1
    order = np.argsort(quantiles, kind="stable")
    assert (np.diff(held_scores[order]) <= 0).all(), "a higher score is never behind a lower one"


@pytest.mark.parametrize(("pool", "candidates"), [(60, 60), (200, 5_000), (1_000, 4_000_000)])
@pytest.mark.parametrize("distinct", [1, 4, 10**9])
def test_a_scorer_without_information_has_a_recall_equal_to_the_share(
    pool: int, candidates: int, distinct: int
) -> None:
    """Also for shares below one user of the pool, and where most scores are equal."""
    rng = np.random.default_rng(pool)

    def draw(count: int) -> Floats:
        return np.floor(rng.random(count) * distinct)

    quantiles = np.array(
        [rank_quantiles(draw(40), draw(pool), candidates, rng.random(40)) for _ in range(1_500)]
    )  # 60,000 seeds
    for share in (0.003, 0.0125, 0.05, 0.33, 0.6, 0.9):
        noise = 6 * np.sqrt((1 - share) / share / quantiles.size * (1 + 40 / pool))
        assert metrics.lift(quantiles, share) == pytest.approx(1, abs=0.03 + noise)
    assert metrics.auc(quantiles) == pytest.approx(0.5, abs=0.02)


def test_with_every_candidate_in_the_pool_a_quantile_is_the_rank() -> None:
    rng = np.random.default_rng(0)
    held, pool = rng.random(20), rng.random(300)
    ranks = np.array([(pool > score).sum() + (held > score).sum() for score in held])
    users_before = rank_quantiles(held, pool, 300, rng.random(20)) * 320
    assert np.abs(users_before - ranks).max() <= 1


# --- what a fold may see ---------------------------------------------------------------------------------------------


def test_no_fit_sees_the_seeds_or_the_background_that_its_fold_holds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, seeds = 200, 37
    values = np.column_stack([np.arange(users), rng.random(users)]).astype(float)  # the first column names the user
    seed = np.sort(rng.permutation(users)[:seeds])
    background = np.sort(rng.permutation(users)[:150])
    fits: list[tuple[set[int], set[int], list[set[int]]]] = []

    def spy(sample: TrainingSample, rng: np.random.Generator) -> Score:
        scored: list[set[int]] = []
        fits.append((set(map(int, sample.seed[:, 0])), set(map(int, sample.background[:, 0])), scored))

        def score(block: Matrix) -> Floats:
            scored.append(set(map(int, block[:, 0])))
            return np.zeros(len(block))

        return score

    monkeypatch.setitem(scorers.SCORERS, "spy", Scorer(spy, ("aggregates",)))
    held_out(examples_of(values, seed, background), ("spy",), folds=5, repeats=3)
    assert len(fits) == 15
    all_held_out: list[int] = []
    for fitted_seed, fitted_background, (held_seeds, pool) in fits:
        assert not fitted_seed & held_seeds, "a held-out seed was in the fit"
        assert not fitted_background & held_seeds, "a held-out seed was in the background of the fit"
        assert not fitted_background & pool, "a user of the pool was in the fit"
        assert not pool & set(seed.tolist()), "a seed was in the pool"
        assert fitted_seed | held_seeds == set(seed.tolist())
        assert fitted_background | pool | (held_seeds & set(background.tolist())) == set(background.tolist())
        all_held_out += sorted(held_seeds)
    assert sorted(all_held_out) == sorted(seed.tolist() * 3), "every seed is held out once in each repeat"


def test_a_scorer_that_memorises_its_sample_has_no_lift(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many parameters as users: any leak between fit and measurement would show as lift."""

    def memorise(sample: TrainingSample, rng: np.random.Generator) -> Score:
        memory = {tuple(row) for row in sample.seed.tolist()}
        return lambda block: np.array([float(tuple(row) in memory) for row in block.tolist()])

    monkeypatch.setitem(scorers.SCORERS, "memory", Scorer(memorise, ("aggregates",)))
    rng = np.random.default_rng(1)
    quantiles = held_out(examples_of(rng.random((800, 3)), np.arange(0, 800, 4)), ("memory",), repeats=4)["memory"]
    assert metrics.lift(quantiles, 0.1) == pytest.approx(1, abs=0.45)


def test_quantiles_depend_on_the_random_seed_and_on_nothing_else() -> None:
    rng = np.random.default_rng(2)
    examples = examples_of(rng.random((300, 4)), np.arange(60))
    names = ("centroid", "logistic")
    first, again = held_out(examples, names), held_out(examples, names)
    of_another_seed = held_out(examples, names, random_seed=1)
    for name in first:
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], of_another_seed[name])
    assert set(first) == {"centroid", "logistic", ACTIVITY}


def test_a_scorer_has_the_same_quantiles_whatever_is_measured_beside_it() -> None:
    examples = examples_of(np.random.default_rng(2).random((300, 4)), np.arange(60))
    together, alone = held_out(examples, ("centroid", "logistic")), held_out(examples, ("logistic",))
    assert np.array_equal(together["logistic"], alone["logistic"])
    assert np.array_equal(together[ACTIVITY], alone[ACTIVITY])


def test_five_seeds_can_be_held_out() -> None:
    examples = examples_of(np.random.default_rng(2).random((40, 3)), np.arange(5))
    quantiles = held_out(examples, examples.space.names, folds=20)
    assert all(np.isfinite(values).all() for values in quantiles.values())
    assert {values.shape for values in quantiles.values()} == {(QUICK.repeats, 5)}


def test_every_fold_is_reported() -> None:
    examples = examples_of(np.random.default_rng(2).random((100, 3)), np.arange(20))
    reported: list[int] = []
    hold_out(examples, ("centroid",), QUICK, reported.append)
    assert reported == list(range(1, QUICK.repeats * QUICK.folds + 1))


def test_the_scores_of_a_fold_are_those_its_quantiles_come_from() -> None:
    examples = examples_of(np.random.default_rng(2).random((300, 4)), np.arange(60))
    folds = held_out_scores(examples, ("centroid", "logistic"), QUICK)
    assert [fold.repeat for fold in folds] == [0] * QUICK.folds + [1] * QUICK.folds
    for fold in folds:
        assert not (examples.seed_index[fold.background] >= 0).any()
        for name, (held, pool) in fold.scores.items():
            assert (len(held), len(pool)) == (fold.seed.sum(), fold.background.sum())
            expected = rank_quantiles(held, pool, examples.candidates, fold.tie_breaks)
            assert np.array_equal(fold.quantiles[name], expected)
        assert set(fold.only("logistic").scores) == set(fold.only("logistic").quantiles) == {"logistic"}
    for repeat in range(QUICK.repeats):
        own = [fold for fold in folds if fold.repeat == repeat]
        assert (np.sum([fold.seed for fold in own], axis=0) == 1).all(), "every seed is hidden once"
        assert (np.sum([fold.background for fold in own], axis=0) == (examples.seed_index < 0)).all()


# --- ties ------------------------------------------------------------------------------------------------------------


def test_activity_has_its_full_recall_where_most_users_are_equally_active() -> None:
    """Seven in ten did one thing; at half of the candidates the list ends among them, and ties are broken at random."""
    rng = np.random.default_rng(3)
    is_active = rng.random(4_000) < 0.3
    values = np.column_stack([is_active.astype(float), rng.random(4_000)])
    seed = np.sort(np.concatenate([np.flatnonzero(is_active)[:200], np.flatnonzero(~is_active)[:300]]))
    quantiles = held_out(examples_of(values, seed))
    share = 0.5
    share_of_ties = (share * 3_500 - (1_200 - 200)) / (2_800 - 300)  # that are on the list
    assert metrics.recall(quantiles[ACTIVITY], share) == pytest.approx(0.4 + 0.6 * share_of_ties, abs=0.04)


def test_equal_scores_have_a_lift_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """If ties were not broken at random, all held-out seeds or none would be in the list."""
    constant = Scorer(lambda sample, rng: Linear(np.zeros(sample.seed.shape[1])), ("aggregates",))
    monkeypatch.setitem(scorers.SCORERS, "constant", constant)
    rng = np.random.default_rng(0)
    values = log_like_values(rng, 1_500, 4)
    quantiles = held_out(examples_of(values, random_users(rng, values)), ("constant",))["constant"]
    for share in (0.1, 0.6):
        lift = curves.lift_band(quantiles, share, BandSettings(0.999))
        assert lift.low < 1 < lift.high

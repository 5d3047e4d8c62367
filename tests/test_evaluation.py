"""Held-out places, bands, and the verdict: unbiased where nothing is to be found, blind to what is held out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from lookalike.data.arrays import Floats, Matrix
from lookalike.expansion import curves, holdout, metrics, scorers, verdict
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.scorers import FeatureSpace, Score, Scorer
from lookalike.expansion.scorers.training_sample import TrainingSample
from lookalike.workspace.settings import ExpandSettings

QUICK = ExpandSettings(repeats=2, folds=4)


def examples_of(values: Floats, seed: NDArray[np.int64], background: NDArray[np.int64] | None = None) -> Examples:
    """Users with these columns (the first is activity); every scorer reads all of them."""
    background = np.arange(len(values)) if background is None else background
    place = {int(row): at for at, row in enumerate(seed)}
    return Examples(
        seed=values[seed].astype(np.float32),
        weight=np.ones(len(seed)),
        against=np.zeros((0, values.shape[1]), np.float32),
        background=values[background].astype(np.float32),
        seed_of=np.array([place.get(int(row), -1) for row in background]),
        candidates=len(values) - len(seed),
        space=FeatureSpace(lambda blocks: np.arange(values.shape[1])),
        activity=0,
    )


def held_out(examples: Examples, names: tuple[str, ...] = ("centroid",), **changes: Any) -> metrics.Quantiles:
    return holdout.hold_out(examples, names, replace(QUICK, **changes), lambda done: None)


# --- places ----------------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12), st.lists(st.integers(0, 4), max_size=30), st.integers(0, 99)
)
def test_a_place_lies_between_the_users_surely_before_and_those_possibly_before(
    held: list[int], pool: list[int], seed: int
) -> None:
    scores, others = np.array(held, float), np.array(pool, float)
    chance = np.random.default_rng(seed).random(len(held))
    found = holdout.rank_quantiles(scores, others, len(pool), chance) * (len(pool) + len(held))
    for at, score in enumerate(scores):
        surely = (others > score).sum() + (scores > score).sum()
        possibly = (others >= score).sum() + (scores >= score).sum() - 1
        assert surely - 1 <= found[at] <= possibly + 1
    order = np.argsort(found, kind="stable")
    assert (np.diff(scores[order]) <= 0).all(), "a higher score is never behind a lower one"


@pytest.mark.parametrize(("pool", "candidates"), [(60, 60), (200, 5_000), (1_000, 4_000_000)])
@pytest.mark.parametrize("distinct", [1, 4, 10**9])
def test_a_scorer_that_knows_nothing_finds_the_share_of_any_size(pool: int, candidates: int, distinct: int) -> None:
    """Also below the pool's own resolution, and where most scores are equal."""
    rng = np.random.default_rng(pool)

    def draw(count: int) -> Floats:
        return np.floor(rng.random(count) * distinct)

    quantiles = np.array(
        [holdout.rank_quantiles(draw(40), draw(pool), candidates, rng.random(40)) for _ in range(1_500)]
    )  # 60,000 places
    for share in (0.003, 0.0125, 0.05, 0.33, 0.6, 0.9):
        noise = 6 * np.sqrt((1 - share) / share / quantiles.size * (1 + 40 / pool))
        assert metrics.lift(quantiles, share) == pytest.approx(1, abs=0.03 + noise)
    assert metrics.auc(quantiles) == pytest.approx(0.5, abs=0.02)


def test_with_everybody_in_the_pool_a_place_is_the_rank() -> None:
    rng = np.random.default_rng(0)
    held, pool = rng.random(20), rng.random(300)
    ranks = np.array([(pool > h).sum() + (held > h).sum() for h in held])
    found = holdout.rank_quantiles(held, pool, 300, rng.random(20)) * 320
    assert np.abs(found - ranks).max() <= 1


# --- what a fold may see ---------------------------------------------------------------------------------------------


def test_no_fold_sees_its_own_seeds_or_its_own_background(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, seeds = 200, 37
    values = np.column_stack([np.arange(users), rng.random(users)]).astype(float)  # the first column names the user
    seed = np.sort(rng.permutation(users)[:seeds])
    background = np.sort(rng.permutation(users)[:150])
    fits: list[tuple[set[int], set[int], list[set[int]]]] = []

    def spy(taught: TrainingSample, rng: np.random.Generator) -> Score:
        scored: list[set[int]] = []
        fits.append((set(map(int, taught.seed[:, 0])), set(map(int, taught.background[:, 0])), scored))

        def score(block: Matrix) -> Floats:
            scored.append(set(map(int, block[:, 0])))
            return np.zeros(len(block))

        return score

    monkeypatch.setitem(scorers.SCORERS, "spy", Scorer(spy, ("aggregates",)))
    held_out(examples_of(values, seed, background), ("spy",), folds=5, repeats=3)
    assert len(fits) == 15
    everyone: list[int] = []
    for fitted_seed, fitted_background, (ranked_seeds, pool) in fits:
        assert not fitted_seed & ranked_seeds, "a held-out seed was in the fit"
        assert not fitted_background & ranked_seeds, "a held-out seed stood in the background of the fit"
        assert not fitted_background & pool, "a user of the pool was in the fit"
        assert not pool & set(seed.tolist()), "a seed stood among those it is compared with"
        assert fitted_seed | ranked_seeds == set(seed.tolist())
        assert fitted_background | pool | (ranked_seeds & set(background.tolist())) == set(background.tolist())
        everyone += sorted(ranked_seeds)
    assert sorted(everyone) == sorted(seed.tolist() * 3), "every seed is held out once a repeat"


def test_a_scorer_that_memorises_its_fit_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand parameters for a few hundred users: any leak between fit and measure would show as lift."""

    def memory(taught: TrainingSample, rng: np.random.Generator) -> Score:
        known = {tuple(row) for row in taught.seed.tolist()}
        return lambda block: np.array([float(tuple(row) in known) for row in block.tolist()])

    monkeypatch.setitem(scorers.SCORERS, "memory", Scorer(memory, ("aggregates",)))
    rng = np.random.default_rng(1)
    quantiles = held_out(examples_of(rng.random((800, 3)), np.arange(0, 800, 4)), ("memory",), repeats=4)["memory"]
    assert metrics.lift(quantiles, 0.1) == pytest.approx(1, abs=0.45)


def test_the_figures_follow_the_seed_of_the_settings_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    known = examples_of(rng.random((300, 4)), np.arange(60))
    first, again = held_out(known, ("centroid", "logistic")), held_out(known, ("centroid", "logistic"))
    other = held_out(known, ("centroid", "logistic"), random_seed=1)
    for name in first:
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    assert set(first) == {"centroid", "logistic", ACTIVITY}


def test_five_seeds_can_be_measured() -> None:
    rng = np.random.default_rng(2)
    known = examples_of(rng.random((40, 3)), np.arange(5))
    quantiles = held_out(known, known.space.names, folds=20)
    assert all(np.isfinite(values).all() for values in quantiles.values())


# --- bands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (1, 40), (37, 1_000), (999, 1_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_recall_band_is_clopper_and_pearsons(hits: int, trials: int, confidence: float) -> None:
    quantiles = np.where(np.arange(trials) < hits, 0.0, 0.9)[None, :]
    band = curves.recall_band(quantiles, 0.1, confidence)
    exact = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert (band.low, band.high) == pytest.approx((exact.low, exact.high))
    lift = curves.lift_band(quantiles, 0.1, confidence)
    assert (lift.value, lift.low, lift.high) == pytest.approx((band.value * 10, band.low * 10, band.high * 10))


def test_repeating_the_same_folds_does_not_narrow_the_band() -> None:
    once = np.random.default_rng(0).random((1, 80))
    assert curves.recall_band(np.repeat(once, 50, axis=0), 0.2, 0.95) == curves.recall_band(once, 0.2, 0.95)


@pytest.mark.slow
def test_the_band_covers_the_lift_that_everybody_would_have_shown() -> None:
    """Seeds are drawn from a known law again and again; the band of 95 % holds the true lift at least that often."""
    rng = np.random.default_rng(5)
    shift, share, repeats = 0.8, 0.1, 300
    truth = stats.norm.sf(stats.norm.isf(share) - shift) / share
    inside = 0
    for _ in range(repeats):
        held, pool = rng.normal(shift, 1, 120), rng.normal(0, 1, 3_000)
        band = curves.lift_band(holdout.rank_quantiles(held, pool, 300_000, rng.random(120))[None], share, 0.95)
        inside += band.low <= truth <= band.high
    assert inside / repeats > 0.93


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (0, 9), (9, 0), (7, 2), (60, 40)])
def test_the_gain_over_the_baseline_is_mcnemars_exact_test(won: int, lost: int) -> None:
    ours = np.array([0.0] * won + [0.9] * lost + [0.0, 0.9] * 10)[None]
    theirs = np.array([0.9] * won + [0.0] * lost + [0.0, 0.9] * 10)[None]
    expected = stats.binomtest(won, won + lost, alternative="greater").pvalue if won else 1.0
    assert verdict.mcnemar_p_value(ours, theirs, 0.1) == pytest.approx(expected)


# --- curves and choices ----------------------------------------------------------------------------------------------


def test_a_curve_rises_to_everybody_and_holds_the_asked_size() -> None:
    quantiles = np.random.default_rng(0).random((2, 50)) ** 2
    at = curves.curve_shares(5_000, 0.0731)
    assert 0.0731 in at
    assert at == sorted(set(at))
    points = curves.lift_curve(quantiles, at, 5_000, 0.95)
    recalls = [point["recall"] for point in points]
    assert recalls == sorted(recalls)
    assert (points[-1]["size"], points[-1]["recall"], points[-1]["lift"]) == (5_000, 1.0, 1.0)
    for point in points:
        assert point["lift_low"] <= point["lift"] <= point["lift_high"]


@given(st.integers(1, 10**9), st.none() | st.floats(1e-9, 1))
def test_the_sizes_of_a_curve_are_of_at_least_one_user_and_never_empty(candidates: int, asked: float | None) -> None:
    at = curves.curve_shares(candidates, asked)
    assert at
    assert all(share * candidates >= 1 for share in at if share != asked)


def test_ranking_by_activity_gets_its_due_where_most_people_are_equally_active() -> None:
    """Seven in ten did one thing; the list at half of everybody ends among them, and the baseline fills up by chance."""
    rng = np.random.default_rng(3)
    active = rng.random(4_000) < 0.3
    values = np.column_stack([active.astype(float), rng.random(4_000)])
    seed = np.sort(np.concatenate([np.flatnonzero(active)[:200], np.flatnonzero(~active)[:300]]))
    quantiles = held_out(examples_of(values, seed))
    share = 0.5
    cut = (share * 3_500 - (1_200 - 200)) / (2_800 - 300)  # how far into the tied the list reaches
    assert metrics.recall(quantiles[ACTIVITY], share) == pytest.approx(0.4 + 0.6 * cut, abs=0.04)

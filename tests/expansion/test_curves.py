"""Recall and lift by size: exact bands, their discount, and the sizes of a curve."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookalike.expansion import metrics
from lookalike.expansion.curves import (
    SAME_SIZE,
    SIZE_GRID,
    BandSettings,
    EffectiveSample,
    curve_shares,
    lift_band,
    lift_curve,
    marginal_band,
    random_curve,
    recall_band,
    scorer_figures,
)
from lookalike.expansion.holdout import ACTIVITY, rank_quantiles

BANDS = BandSettings(0.95)
SHARES = [0.01, 0.05, 0.2, 0.5, 1.0]

# --- bands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (1, 40), (37, 1_000), (999, 1_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_recall_band_is_clopper_and_pearsons(hits: int, trials: int, confidence: float) -> None:
    quantiles = np.where(np.arange(trials) < hits, 0.0, 0.9)[None, :]
    band = recall_band(quantiles, 0.1, BandSettings(confidence))
    exact = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert (band.low, band.high) == pytest.approx((exact.low, exact.high))
    assert lift_band(quantiles, 0.1, BandSettings(confidence)) == pytest.approx(
        (band.value * 10, band.low * 10, band.high * 10)
    )


def test_repeating_the_same_folds_does_not_narrow_the_band() -> None:
    once = np.random.default_rng(0).random((1, 80))
    assert recall_band(np.repeat(once, 50, axis=0), 0.2, BANDS) == recall_band(once, 0.2, BANDS)


@pytest.mark.slow
def test_the_band_covers_the_lift_of_the_population() -> None:
    """Seeds are drawn from a known law again and again; the band of 95 % holds the true lift at least that often."""
    rng = np.random.default_rng(5)
    shift, share, repeats = 0.8, 0.1, 300
    true_lift = stats.norm.sf(stats.norm.isf(share) - shift) / share
    covered = 0
    for _ in range(repeats):
        held, pool = rng.normal(shift, 1, 120), rng.normal(0, 1, 3_000)
        band = lift_band(rank_quantiles(held, pool, 300_000, rng.random(120))[None], share, BANDS)
        covered += band.low <= true_lift <= band.high
    assert covered / repeats > 0.93


def test_the_marginal_band_is_of_the_ranks_between_two_sizes() -> None:
    quantiles = np.array([[0.05, 0.15, 0.18, 0.6]])
    assert marginal_band(quantiles, 0.1, 0.2, BANDS).value == pytest.approx(2 / 4 / 0.1)
    assert marginal_band(quantiles, 0.2, 0.5, BANDS).value == 0
    whole = marginal_band(quantiles, 0.0, 0.2, BANDS)
    assert whole == pytest.approx(lift_band(quantiles, 0.2, BANDS))


# --- the discount of the effective sample ----------------------------------------------------------------------------


def test_independent_hits_are_not_discounted() -> None:
    assert EffectiveSample().discount(40, 0.1) == 1


@pytest.mark.parametrize("folds", [2, 5, 20])
def test_shared_folds_raise_the_variance_by_one_over_the_other_folds(folds: int) -> None:
    discount = EffectiveSample(folds=folds).discount(40, 0.1)
    assert 1 / discount == pytest.approx(1 + 1 / (folds - 1))


def test_a_finite_pool_adds_its_relative_variance() -> None:
    discount = EffectiveSample(pool=500).discount(40, 0.1)
    assert 1 / (40 * discount) == pytest.approx(1 / 40 + 1 / (0.1 * 500))


@pytest.mark.parametrize("sample", [EffectiveSample(pool=500), EffectiveSample(folds=5), EffectiveSample(500, 5)])
def test_the_discount_widens_the_band_and_leaves_the_value(sample: EffectiveSample) -> None:
    quantiles = np.random.default_rng(0).random((2, 400)) ** 2
    plain, discounted = (lift_band(quantiles, 0.1, bands) for bands in (BANDS, replace(BANDS, sample=sample)))
    assert discounted.value == pytest.approx(plain.value)
    assert discounted.low < plain.low
    assert discounted.high > plain.high


def test_a_discounted_band_is_that_of_fewer_trials() -> None:
    quantiles = np.where(np.arange(400) < 100, 0.0, 0.9)[None]
    halved = recall_band(quantiles, 0.1, replace(BANDS, sample=EffectiveSample(folds=2)))
    exact = stats.binomtest(50, 200).proportion_ci(0.95, method="exact")
    assert (halved.low, halved.high) == pytest.approx((exact.low, exact.high))


# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_rises_to_all_candidates_and_contains_the_requested_size() -> None:
    quantiles = np.random.default_rng(0).random((2, 50)) ** 2
    shares = curve_shares(5_000, 0.0731)
    assert 0.0731 in shares
    assert shares == sorted(set(shares))
    points = lift_curve(quantiles, shares, 5_000, BANDS)
    recalls = [point.recall for point in points]
    assert recalls == sorted(recalls)
    assert (points[-1].size, points[-1].recall, points[-1].lift) == (5_000, 1.0, 1.0)
    for point in points:
        assert point.lift_low <= point.lift <= point.lift_high
        assert point.recall_low <= point.recall <= point.recall_high


@given(st.integers(1, 10**9), st.none() | st.floats(1e-9, 1))
def test_a_curve_has_sizes_and_each_is_of_at_least_one_user(candidates: int, requested: float | None) -> None:
    shares = curve_shares(candidates, requested)
    assert shares
    assert all(share * candidates >= 1 for share in shares if share != requested)


def test_the_requested_size_replaces_one_of_the_grid_that_is_nearly_the_same() -> None:
    requested = 0.05 * (1 + SAME_SIZE / 2)
    assert set(SIZE_GRID) - set(curve_shares(10**6, requested)) == {0.05}
    assert requested in curve_shares(10**6, requested)


def test_of_grid_sizes_with_the_same_number_of_users_the_smallest_is_kept() -> None:
    shares = curve_shares(10, None)
    assert [round(share * 10) for share in shares] == list(range(1, 11))
    assert shares[0] == 0.1


def test_the_lift_of_a_random_order_is_one_within_its_band() -> None:
    outside = 0
    for random_seed in range(20):
        quantiles = np.random.default_rng(random_seed).random((1, 500))
        points = lift_curve(quantiles, SHARES[:-1], 10_000, BandSettings(0.999))
        outside += sum(not point.lift_low <= 1 <= point.lift_high for point in points)
        outside += sum(not point.marginal_low <= 1 <= point.marginal_high for point in points)
    assert outside <= 1, "160 bands of 99.9 %"


def test_marginal_lifts_add_up_to_the_recall() -> None:
    quantiles = np.random.default_rng(0).random((2, 100)) ** 3
    points = lift_curve(quantiles, SHARES, 10_000, BANDS)
    widths = np.diff([0.0, *SHARES])
    recalls = np.cumsum([width * point.marginal for width, point in zip(widths, points, strict=True)])
    assert recalls == pytest.approx([point.recall for point in points])


def test_the_random_curve_is_exactly_chance() -> None:
    for share, point in zip(SHARES, random_curve(SHARES, 1_000), strict=True):
        assert (point.share, point.size, point.recall) == (share, round(share * 1_000), share)
        assert {point.lift, point.lift_low, point.lift_high, point.marginal} == {1}


def test_the_comparison_has_the_scorers_and_marks_the_chosen_one() -> None:
    rng = np.random.default_rng(0)
    quantiles = {"centroid": rng.random((2, 60)), "logistic": rng.random((2, 60)) ** 2, ACTIVITY: rng.random((2, 60))}
    figures = scorer_figures(quantiles, "logistic", 0.1, BANDS)
    assert [(row.name, row.chosen) for row in figures] == [("centroid", False), ("logistic", True)]
    for row in figures:
        assert (row.lift, row.low, row.high) == lift_band(quantiles[row.name], 0.1, BANDS)
        assert (row.auc, row.gain) == (metrics.auc(quantiles[row.name]), metrics.gain(quantiles[row.name]))
        assert row.partial_auc == metrics.partial_auc(quantiles[row.name])

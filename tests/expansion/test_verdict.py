"""Whether to expand and up to what size: the checks, and the statistics behind them."""

import numpy as np
import pytest
from scipy import stats

from expansion_examples import QUICK, STANDS_OUT, examples_of, log_like_values
from lookalike.data.arrays import Floats
from lookalike.expansion.curves import BandSettings, EffectiveSample, marginal_band
from lookalike.expansion.permutation_test import permutation_test
from lookalike.expansion.result import Check, CheckName, PermutationTest, Verdict
from lookalike.expansion.verdict import (
    HeldOutRankings,
    RequestedList,
    compare_with_activity,
    decide,
    largest_share,
    mcnemar_p_value,
)

BANDS = BandSettings(0.95)
DOES_NOT_STAND_OUT = PermutationTest(lift=2.0, random_lift=1.9, p_value=0.4, draws=400)
TENTH = RequestedList(share=0.1, largest=0.2)
CANDIDATES = 1_600


def verdict_on(
    scorer: Floats, activity: Floats, test: PermutationTest = STANDS_OUT, requested: RequestedList = TENTH
) -> Verdict:
    """The verdict on quantiles [M] of the list's scorer and of activity."""
    return decide(HeldOutRankings(scorer[None], activity[None], BANDS), test, requested, CANDIDATES, QUICK.min_lift)


def check_of(verdict: Verdict, name: CheckName) -> Check:
    (check,) = (check for check in verdict.checks if check.name == name)
    return check


def failed_names(verdict: Verdict) -> list[CheckName]:
    return [check.name for check in verdict.failed]


# --- the largest size ------------------------------------------------------------------------------------------------


def test_the_largest_list_ends_where_its_last_half_is_no_longer_above_the_minimum_lift() -> None:
    rng = np.random.default_rng(0)
    first_fifth = rng.random((1, 2_000)) * 0.2  # every seed is in the first fifth, evenly
    assert largest_share(first_fifth, 100_000, BANDS) == pytest.approx(0.3)  # of 0.15 to 0.3 a third has seeds
    assert largest_share(first_fifth, 100_000, BANDS, min_lift=3) == pytest.approx(0.225)
    assert largest_share(first_fifth, 100_000, BANDS, min_lift=6) is None
    assert largest_share(np.linspace(0, 1, 500, endpoint=False)[None], 100_000, BANDS) is None


def test_a_smaller_effective_sample_shortens_the_largest_list_or_rules_it_out() -> None:
    quantiles = np.random.default_rng(1).random((1, 60)) ** 3
    full = largest_share(quantiles, 100_000, BANDS)
    small = largest_share(quantiles, 100_000, BandSettings(0.95, EffectiveSample(pool=20, folds=2)))
    assert full is not None
    assert small is None or small < full


# --- the checks ------------------------------------------------------------------------------------------------------


def test_only_a_list_above_chance_of_a_seed_that_stands_out_passes() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    assert verdict_on(good, chance).expand
    assert not verdict_on(chance, chance).expand
    assert failed_names(verdict_on(good, chance, DOES_NOT_STAND_OUT)) == ["beyond_activity"]
    assert failed_names(verdict_on(good, rng.random(400) ** 6)) == ["not_beaten_by_activity"]
    everybody = RequestedList(share=1.0, largest=0.2)
    assert failed_names(verdict_on(np.zeros(400), np.full(400, 0.9), requested=everybody)) == ["above_chance"]


def test_the_checks_hold_the_figures_they_compare() -> None:
    rng = np.random.default_rng(0)
    activity, good = rng.random(400), rng.random(400) ** 3
    verdict = verdict_on(good, activity)
    assert [check.name for check in verdict.checks] == [
        "enough_seeds",
        "above_chance",
        "beyond_activity",
        "not_beaten_by_activity",
        "worth_taking",
    ]
    assert (check_of(verdict, "enough_seeds").value, check_of(verdict, "enough_seeds").threshold) == (400, 25)
    lift = marginal_band(good[None], 0, 0.1, BANDS)
    above_chance = check_of(verdict, "above_chance")
    assert (above_chance.value, above_chance.interval) == (lift.value, (lift.low, lift.high))
    assert above_chance.threshold == 1
    beyond = check_of(verdict, "beyond_activity")
    assert (beyond.value, beyond.threshold) == (STANDS_OUT.lift, STANDS_OUT.random_lift)
    of_activity = marginal_band(activity[None], 0, 0.1, BANDS)
    not_beaten = check_of(verdict, "not_beaten_by_activity")
    assert (not_beaten.value, not_beaten.interval) == (of_activity.value, (of_activity.low, of_activity.high))
    worth_taking = check_of(verdict, "worth_taking")
    assert (worth_taking.value, worth_taking.threshold) == (320, QUICK.min_lift)
    assert verdict.permutation_test == STANDS_OUT


def test_too_few_seeds_fail_however_high_their_lift() -> None:
    verdict = verdict_on(np.full(24, 0.01), np.full(24, 0.9))
    assert not verdict.expand
    assert failed_names(verdict) == ["enough_seeds"]
    check = check_of(verdict, "enough_seeds")
    assert (check.value, check.threshold) == (24, 25)
    assert verdict_on(np.full(25, 0.01), np.full(25, 0.9)).expand


def test_a_list_longer_than_what_is_worth_taking_is_limited() -> None:
    rng = np.random.default_rng(0)
    verdict = verdict_on(rng.random(400) ** 3, rng.random(400), requested=RequestedList(0.4, 0.2))
    assert verdict.expand
    assert verdict.up_to == round(0.2 * CANDIDATES) == 320
    assert verdict_on(rng.random(400) ** 3, rng.random(400), requested=RequestedList(0.2, 0.2)).up_to is None
    nearly = RequestedList(0.2 * 1.015, 0.2)
    assert verdict_on(rng.random(400) ** 3, rng.random(400), requested=nearly).up_to is None
    refused = verdict_on(rng.random(400), rng.random(400), requested=RequestedList(0.4, 0.2))
    assert refused.up_to is None


def test_a_size_worth_taking_is_required_only_if_the_size_is_auto() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    requested = verdict_on(good, chance, requested=RequestedList(0.1, None))
    assert requested.expand
    check = check_of(requested, "worth_taking")
    assert (check.passed, check.required, check.value) == (False, False, None)
    auto = verdict_on(good, chance, requested=RequestedList(0.1, None, is_auto=True))
    assert not auto.expand
    assert failed_names(auto) == ["worth_taking"]


def test_without_random_seeds_to_compare_with_the_verdict_is_against() -> None:
    rng = np.random.default_rng(5)
    values = log_like_values(rng, 200, 4)
    test = permutation_test(examples_of(values, np.arange(90)), 0.05, QUICK)
    assert (test.random_lift, test.p_value) == (None, None)
    verdict = verdict_on(rng.random(400) ** 3, rng.random(400), test)
    assert not verdict.expand
    assert failed_names(verdict) == ["beyond_activity"]
    assert verdict.permutation_test.p_value is None


def test_behind_users_of_another_list_the_lift_is_lower() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    first, behind = (
        check_of(verdict_on(good, chance, requested=RequestedList(0.1, 0.2, begin=begin)), "above_chance").value
        for begin in (0.0, 0.1)
    )
    assert first is not None
    assert behind is not None
    assert first > 2 * behind


# --- the comparison with activity ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (0, 9), (9, 0), (7, 2), (60, 40)])
def test_the_comparison_of_two_rankings_is_mcnemars_exact_test(won: int, lost: int) -> None:
    ours = np.array([0.0] * won + [0.9] * lost + [0.0, 0.9] * 10)[None]
    baseline = np.array([0.9] * won + [0.0] * lost + [0.0, 0.9] * 10)[None]
    expected = stats.binomtest(won, won + lost, alternative="greater").pvalue if won else 1.0
    assert mcnemar_p_value(ours, baseline, 0.1, BANDS) == pytest.approx(expected)


def test_a_smaller_effective_sample_raises_the_p_value() -> None:
    ours, baseline = np.array([0.0] * 9 + [0.9])[None], np.array([0.9] * 9 + [0.0])[None]
    halved = BandSettings(0.95, EffectiveSample(folds=2))
    assert mcnemar_p_value(ours, baseline, 0.1, halved) > mcnemar_p_value(ours, baseline, 0.1, BANDS)


def test_activity_is_reliably_lower_lower_not_lower_or_reliably_higher() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random((1, 400)), rng.random((1, 400)) ** 4
    slightly = chance * np.where(np.arange(400) < 4, 0.1, 1)

    def comparison(scorer: Floats, activity: Floats) -> str:
        return compare_with_activity(HeldOutRankings(scorer, activity, BANDS), 0.1)

    assert comparison(good, chance) == "reliably_lower"
    assert comparison(slightly, chance) == "lower"
    assert comparison(chance, chance) == "not_lower"
    assert comparison(chance, good) == "reliably_higher"

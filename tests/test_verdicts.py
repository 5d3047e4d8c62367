"""Which scorer, what size, and whether at all: nothing is made of luck, and nothing of being active alone."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.expansion import curves, holdout, permutation_test, scorer_selection, scorers, selection, verdict
from lookalike.expansion.examples import Examples
from lookalike.expansion.permutation_test import PermutationTest
from lookalike.expansion.scorers import FeatureSpace, Scorer
from lookalike.expansion.scorers.logistic import Linear
from lookalike.expansion.verdict import RequestedList
from lookalike.workspace.settings import ExpandSettings

Seeds = Callable[[np.random.Generator, Floats], NDArray[np.int64]]
QUICK = ExpandSettings(repeats=2, folds=4)


def examples_of(values: Floats, seed: NDArray[np.int64]) -> Examples:
    """Users with these columns (the first is activity); every scorer reads all of them."""
    at = np.full(len(values), -1)
    at[seed] = np.arange(len(seed))
    return Examples(
        seed=values[seed].astype(np.float32),
        weight=np.ones(len(seed)),
        against=np.zeros((0, values.shape[1]), np.float32),
        background=values.astype(np.float32),
        seed_of=at,
        candidates=len(values) - len(seed),
        space=FeatureSpace(lambda blocks: np.arange(values.shape[1])),
        activity=0,
    )


def log_like(rng: np.random.Generator, users: int, columns: int) -> Floats:
    """Activity with heavy ties, columns that follow it with noise, and columns of their own."""
    activity = np.log1p(1 + rng.geometric(0.35, users))
    along = activity[:, None] + rng.normal(0, 0.5, (users, columns // 2))
    return np.hstack([activity[:, None], along, rng.normal(0, 1, (users, columns - columns // 2))])


def at_random(rng: np.random.Generator, values: Floats) -> NDArray[np.int64]:
    return np.sort(rng.permutation(len(values))[:80])


def active_people(rng: np.random.Generator, values: Floats) -> NDArray[np.int64]:
    """Chosen by activity and by nothing else."""
    chance = np.exp(values[:, 0])
    return np.sort(rng.choice(len(values), 80, replace=False, p=chance / chance.sum()))


def alike_people(rng: np.random.Generator, values: Floats) -> NDArray[np.int64]:
    score = values[:, -1] + rng.normal(0, 0.5, len(values))
    return np.sort(np.argsort(-score)[: len(values) // 6][rng.permutation(len(values) // 6)[:80]])


# --- which scorer ----------------------------------------------------------------------------------------------------


def test_the_reference_stays_unless_another_scorer_is_surely_better() -> None:
    rng = np.random.default_rng(0)
    names = ("centroid", "logistic")
    poor, good = rng.random((2, 100)), rng.random((2, 100)) ** 3
    assert scorer_selection.choose_scorer({"centroid": poor, "logistic": poor.copy()}, names, 0.05) == "logistic"
    assert scorer_selection.choose_scorer({"centroid": good, "logistic": poor}, names, 0.05) == "centroid"
    assert scorer_selection.choose_scorer({"centroid": poor, "logistic": good}, names, 0.05) == "logistic"
    assert (
        scorer_selection.choose_scorer({"centroid": np.ones((2, 9)), "logistic": np.ones((2, 9))}, names, 0.001)
        == "logistic"
    )
    assert scorer_selection.choose_scorer({"centroid": good}, ("centroid",), 0.05) == "centroid"
    three = {"centroid": poor, "logistic": poor, "transfer": poor}
    assert scorer_selection.choose_scorer(three, ("centroid", "logistic", "transfer"), 0.05) == "transfer"


def test_one_lucky_seed_does_not_change_the_choice() -> None:
    places = np.full((1, 25), 0.5)
    lucky = places.copy()
    lucky[0, 0] = 0.001
    assert (
        scorer_selection.choose_scorer({"centroid": lucky, "logistic": places}, ("centroid", "logistic"), 0.05)
        == "logistic"
    )


def test_the_best_of_many_blind_scorers_promises_nothing() -> None:
    """Chosen and judged on the same people the luckiest of thirty would shine."""
    lifts, lucky = [], []
    for run in range(200):
        rng = np.random.default_rng(run)
        blind = {f"s{n}": rng.random((1, 60)) for n in range(30)}
        lifts.append(np.mean(scorer_selection.cross_fitted_quantiles(blind, tuple(blind), 0.1, run) < 0.1) / 0.1)
        lucky.append(np.mean(blind[scorer_selection.choose_scorer(blind, tuple(blind), 0.1)] < 0.1) / 0.1)
    assert np.mean(lucky) > 1.2
    assert np.mean(lifts) == pytest.approx(1, abs=0.1)


def test_a_choice_that_everybody_makes_keeps_its_figures() -> None:
    rng = np.random.default_rng(1)
    found = {"centroid": rng.random((2, 200)), "logistic": rng.random((2, 200)) ** 4}
    assert np.array_equal(
        scorer_selection.cross_fitted_quantiles(found, ("centroid", "logistic"), 0.1, 0), found["logistic"]
    )


# --- what size -------------------------------------------------------------------------------------------------------


def test_the_largest_size_is_where_the_people_stop() -> None:
    rng = np.random.default_rng(0)
    within = rng.random((1, 2_000)) * 0.2  # every seed is in the first fifth, evenly
    assert verdict.largest_share(within, 100_000, 0.95) == pytest.approx(0.3)  # of 0.15 to 0.3 a third is good
    assert verdict.largest_share(within, 100_000, 0.95, floor=3) == pytest.approx(0.225)
    assert verdict.largest_share(within, 100_000, 0.95, floor=6) is None
    assert verdict.largest_share(np.linspace(0, 1, 500, endpoint=False)[None], 100_000, 0.95) is None


# --- the verdict -----------------------------------------------------------------------------------------------------

STANDS_OUT = PermutationTest(lift=4.0, random_lift=1.0, p_value=0.002, draws=400)
DOES_NOT = PermutationTest(lift=2.0, random_lift=1.9, p_value=0.4, draws=400)


def verdict_on(
    ours: Floats,
    activity: Floats,
    against: PermutationTest = STANDS_OUT,
    asked: RequestedList = RequestedList(0.1, 0.2),
) -> verdict.Verdict:
    known = examples_of(np.zeros((max(2_000, len(ours)), 2)), np.arange(len(ours)))
    return verdict.decide(known, (ours[None], activity[None]), against, asked, QUICK)


def test_only_a_list_above_chance_of_a_seed_that_stands_out_is_worth_it() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    assert verdict_on(good, chance).expand
    assert not verdict_on(chance, chance).expand
    assert not verdict_on(good, chance, DOES_NOT).expand
    assert not verdict_on(good, rng.random(400) ** 6).expand  # counting events is better
    assert not verdict_on(
        np.zeros(400), np.full(400, 0.9), asked=RequestedList(1.0, 0.2)
    ).expand  # everybody is no list


def test_too_few_seeds_are_told_so_whatever_they_show() -> None:
    said = verdict_on(np.full(24, 0.01), np.full(24, 0.9))
    assert not said.expand
    assert said.reasons[0].startswith("24 seeds are too few")
    assert verdict_on(np.full(25, 0.01), np.full(25, 0.9)).expand


def test_a_list_longer_than_what_is_worth_taking_is_told_how_long_it_should_be() -> None:
    rng = np.random.default_rng(0)
    said = verdict_on(rng.random(400) ** 3, rng.random(400), asked=RequestedList(0.4, 0.2))
    assert said.expand
    assert said.up_to == round(0.2 * 1_600)
    assert "beyond 320" in said.reasons[-1]
    assert verdict_on(rng.random(400) ** 3, rng.random(400), asked=RequestedList(0.2, 0.2)).up_to is None


def test_an_auto_size_that_nothing_reaches_is_no_list() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    assert verdict_on(good, chance, asked=RequestedList(0.1, None)).expand  # asked for so: the reasons say it
    assert not verdict_on(good, chance, asked=RequestedList(0.1, None, auto=True)).expand


def test_where_random_seeds_cannot_be_drawn_nothing_is_claimed() -> None:
    rng = np.random.default_rng(5)
    values = log_like(rng, 200, 4)
    found = permutation_test.permutation_test(examples_of(values, np.arange(90)), 0.05, QUICK)
    assert (found.random_lift, found.p_value) == (None, None)
    said = verdict_on(rng.random(400) ** 3, rng.random(400), found)
    assert not said.expand
    assert any("too few others" in reason for reason in said.reasons)


def test_behind_the_people_of_another_list_there_is_less_to_find() -> None:
    rng = np.random.default_rng(0)
    chance, good = rng.random(400), rng.random(400) ** 3
    first, behind = (verdict_on(good, chance, asked=RequestedList(0.1, 0.2, begin=begin)) for begin in (0.0, 0.1))
    assert float(first.reasons[0].split(" is ")[1].split()[0]) > 2 * float(
        behind.reasons[0].split(" is ")[1].split()[0]
    )


def decided(
    values: Floats, seed: NDArray[np.int64], share: float, run: int, scorer: str = "auto"
) -> selection.Selection:
    known = examples_of(values, seed)
    settings = ExpandSettings(repeats=2, folds=4, random_seed=run)
    return selection.select_scorer_and_size(known, scorer, round(share * known.candidates), settings, lambda done: None)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [at_random, active_people])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_seeds_with_nothing_to_find_are_not_expanded(draw: Seeds, share: float) -> None:
    expanded = 0
    for run in range(40):
        rng = np.random.default_rng([run, 11])
        values = log_like(rng, 1_200, 12)
        expanded += decided(values, draw(rng, values), share, run).verdict.expand
    assert expanded <= 3


def test_a_scorer_without_an_opinion_is_never_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores equal: half the places would be counted as found, or none, if ties did not fall by chance."""
    silent = Scorer(lambda taught, rng: Linear(np.zeros(taught.seed.shape[1])), ("aggregates",))
    monkeypatch.setitem(scorers.SCORERS, "silent", silent)
    rng = np.random.default_rng(0)
    values = log_like(rng, 1_500, 4)
    known = examples_of(values, at_random(rng, values))
    found = holdout.hold_out(known, ("silent",), QUICK, lambda done: None)["silent"]
    for share in (0.1, 0.6):
        assert curves.lift_band(found, share, 0.999).low < 1 < curves.lift_band(found, share, 0.999).high


def test_a_planted_direction_is_found_and_expanded() -> None:
    rng = np.random.default_rng(4)
    values = log_like(rng, 2_000, 12)
    choice = decided(values, alike_people(rng, values), 0.08, 0)
    assert curves.lift_band(choice.found, 0.08, 0.95).low > 2
    assert choice.verdict.expand

"""Lift within slices of people, where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_context import memory_context
from expansion_examples import QUICK, examples_of
from lookalike.data.arrays import Flags, Floats
from lookalike.expansion import slices
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import FoldScores, held_out_scores, rank_quantiles
from lookalike.expansion.people_cuts import Cut
from lookalike.expansion.result import Band
from lookalike.expansion.slice_figures import Slices
from lookalike.expansion.slices import measure_slices, quantiles_within, slice_verdict

NAMES = ("log_events", "log_tenure_days", "taste")
USERS = 12_000


def sliced(values: Floats, examples: Examples, scorer: str = "logistic") -> Slices:
    context = memory_context(values.astype(np.float32), NAMES, 0, QUICK)
    made = measure_slices(context, examples, held_out_scores(examples, (scorer,), QUICK), scorer)
    assert made is not None
    return made


def people(rng: np.random.Generator) -> tuple[Floats, Flags]:
    """Half of the users have 3 events and the others 30, all in the log for 10 days; and who has many."""
    is_busy = np.arange(USERS) % 2 == 1
    columns = np.column_stack([np.where(is_busy, 30, 3), np.full(USERS, 10)])
    return np.column_stack([np.log1p(columns).astype(np.float16), rng.standard_normal(USERS)]), is_busy


def test_a_slice_in_which_the_seed_shares_nothing_gains_nothing() -> None:
    """Busy seeds have a taste in common; the others were drawn at random."""
    rng = np.random.default_rng(0)
    values, is_busy = people(rng)
    fans = rng.choice(np.flatnonzero(is_busy & (values[:, 2] > 1.2)), 100, replace=False)
    anybody = rng.choice(np.flatnonzero(~is_busy), 700, replace=False)
    made = sliced(values, examples_of(values, np.sort(np.concatenate([fans, anybody]))))
    (by_events,) = made.groups
    few, many = by_events.slices
    assert (few.label, many.label) == ("1-4", "5+"), "empty slices are joined with others"
    assert (few.seeds, many.seeds) == (700, 100)
    assert (few.candidates, many.candidates) == (5_300, 5_900)
    assert few.verdict == "gains_nothing"
    assert few.low < 1 < few.high
    assert many.verdict == "gains"
    assert many.lift > 3
    assert made.measured_on == "hidden_seeds"


def test_a_slice_does_not_gain_by_being_more_active() -> None:
    """Nearly all seeds are busy, and nothing else: the list gains, but not among the busy."""
    rng = np.random.default_rng(1)
    values, is_busy = people(rng)
    odds = np.where(is_busy, 9.0, 1.0)
    seed = np.sort(rng.choice(USERS, 900, replace=False, p=odds / odds.sum()))
    values[:, 2] = 0.1 * rng.standard_normal(USERS)
    made = sliced(values, examples_of(values, seed))
    assert made.low > 1
    few, busy = made.groups[0].slices
    assert busy.seeds > 750
    assert busy.verdict == "gains_nothing"
    assert few.low < 1 < few.high


def test_seeds_are_ranked_among_the_background_of_their_slice_and_fold() -> None:
    fold = FoldScores(
        repeat=0,
        seed=np.array([True, True, True, False]),
        background=np.array([True, True, True, True, True, False]),
        tie_breaks=np.array([0.5, 0.25, 0.75]),
        scores={"s": (np.array([3.0, 1.5, 9.0]), np.array([1.0, 2.0, 4.0, 8.0, 7.0]))},
        quantiles={},
    )
    other = FoldScores(
        repeat=0,
        seed=np.array([False, False, False, True]),
        background=np.array([False, False, False, False, False, True]),
        tie_breaks=np.array([0.5]),
        scores={"s": (np.array([0.0]), np.array([5.0]))},
        quantiles={},
    )
    cut = Cut("device", ("app", None), np.array([0, 0, 1, 0]), np.array([0, 1, 0, 1, 1, 0]))
    found = quantiles_within(cut, 0, 40, [fold, other], "s")
    assert found.shape == (1, 3)
    expected = rank_quantiles(np.array([3.0, 1.5]), np.array([1.0, 4.0]), 40, np.array([0.5, 0.25]))
    assert found[0, :2].tolist() == expected.tolist()
    assert found[0, 2] == rank_quantiles(np.zeros(1), np.full(1, 5.0), 40, np.full(1, 0.5))[0]
    assert quantiles_within(cut, 1, 40, [fold, other], "s").shape == (1, 1)


def test_bands_of_slices_hold_chance_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(5)
    held, lifts = 0, []
    for _ in range(30):
        values, _ = people(rng)
        made = sliced(values, examples_of(values, np.sort(rng.choice(USERS, 400, replace=False))))
        held += sum(each.low <= 1 <= each.high for each in made.groups[0].slices)
        lifts += [each.lift for each in made.groups[0].slices]
    assert held >= 55, "of 60"
    assert np.mean(lifts) == pytest.approx(1, abs=0.1)


def test_where_one_slice_is_everybody_its_lift_is_that_of_everybody() -> None:
    rng = np.random.default_rng(2)
    values, _ = people(rng)
    examples = examples_of(values, np.sort(rng.choice(USERS, 120, replace=False)))
    held_out = held_out_scores(examples, ("logistic",), QUICK)
    everybody = Cut("events", ("any",), np.zeros(120, np.int64), np.zeros(USERS, np.int64))
    within = quantiles_within(everybody, 0, examples.candidates, held_out, "logistic")
    for fold in held_out:
        assert np.array_equal(within[fold.repeat, fold.seed], fold.quantiles["logistic"])


@pytest.mark.parametrize(
    ("lift", "verdict"),
    [
        ((2.0, 1.1, 3.0), "gains"),
        ((1.1, 0.6, 1.4), "gains_nothing"),
        ((1.1, 0.6, 1.6), "too_few"),
        ((0.5, 0.2, 0.9), "gains_nothing"),
        ((4.0, 0.9, 7.9), "too_few"),
    ],
)
def test_a_band_from_below_chance_to_a_lift_worth_having_tells_neither(
    lift: tuple[float, float, float], verdict: str
) -> None:
    assert slice_verdict(Band(*lift)) == verdict


@pytest.mark.parametrize(("seeds", "cut"), [(24, False), (25, True)])
def test_a_seed_below_the_floor_is_not_cut(seeds: int, cut: bool) -> None:
    rng = np.random.default_rng(3)
    values, _ = people(rng)
    examples = examples_of(values, np.arange(seeds))
    context = memory_context(values.astype(np.float32), NAMES, 0, QUICK)
    made = measure_slices(context, examples, held_out_scores(examples, ("logistic",), QUICK), "logistic")
    assert (made is not None) == cut
    if made:
        assert made.groups == (), "both halves would be too small"


def test_people_read_without_their_deeds_are_said_to_be() -> None:
    rng = np.random.default_rng(4)
    values, _ = people(rng)
    examples = examples_of(values, np.arange(200))
    made = sliced(values, replace(examples, as_now=examples.seed))
    assert made.measured_on == "hidden_seeds_without_deeds"
    assert slices.SHARE == made.share == 0.05

"""A seed that is a picked part of those who have done it is told from a part at random, and the others then teach little."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import lookalike as la
from expansion_context import opened_context
from expansion_examples import examples_of
from lookalike.data.id_lists import IdFrame
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.messages import PickedPart
from lookalike.expansion.picked_part import OTHERS_WEIGHT, is_picked
from lookalike.expansion.reading import read_examples
from lookalike.expansion.seed_reader import read_seed
from rule_log import RULE, RuleSpace, rule_space


def doers(rng: np.random.Generator, people: int, shift: float) -> np.ndarray:  # type: ignore[type-arg]
    return (rng.normal(0, 1, (people, 40)) + shift * (np.arange(40) < 4)).astype(np.float32)


@pytest.mark.parametrize("random_seed", range(20))
def test_a_part_at_random_is_not_picked(random_seed: int) -> None:
    rng = np.random.default_rng(random_seed)
    assert not is_picked(doers(rng, 100, 0), doers(rng, 270, 0), rng)
    assert not is_picked(doers(rng, 1_500, 0), doers(rng, 40, 0), rng)


@pytest.mark.parametrize("random_seed", range(5))
def test_a_picked_part_is_told(random_seed: int) -> None:
    rng = np.random.default_rng(random_seed)
    assert is_picked(doers(rng, 100, 1), doers(rng, 270, 0), rng)


def test_too_few_to_tell_are_not_picked() -> None:
    rng = np.random.default_rng(0)
    assert not is_picked(doers(rng, 24, 3), doers(rng, 270, 0), rng)
    assert not is_picked(doers(rng, 100, 3), doers(rng, 24, 0), rng)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> RuleSpace:
    return rule_space(tmp_path_factory.mktemp("picked"))


def test_a_picked_seed_is_told_of_and_a_random_one_is_not(space: RuleSpace) -> None:
    ws = la.open(space.workspace.root)
    events = space.log.events.group_by("user_id").len().sort("len", "user_id", descending=True)
    busiest = events.filter(events["user_id"].is_in(space.doers))["user_id"].to_list()[:50]
    picked = ws.expand(seed=busiest, before=RULE, size=60, name="picked", force=True)
    assert PickedPart(others=len(space.doers) - 50) in picked.warnings
    at_random = ws.expand(seed=space.seed(50), size=60, name="random", force=True)
    assert not any(isinstance(warning, PickedPart) for warning in at_random.warnings)
    assert at_random.evaluation.forecast is not None
    assert picked.evaluation.forecast is not None
    assert picked.evaluation.forecast.seeds_only
    assert not at_random.evaluation.forecast.seeds_only
    assert picked.evaluation.forecast.later < at_random.evaluation.forecast.later
    # the others who did it later are candidates
    assert picked.evaluation.forecast.candidates > at_random.evaluation.forecast.candidates


def test_other_doers_count_a_tenth_in_the_forecast_too(space: RuleSpace) -> None:
    events = space.log.events.group_by("user_id").len().sort("len", "user_id", descending=True)
    busiest = events.filter(events["user_id"].is_in(space.doers))["user_id"].to_list()[:50]
    seed = IdFrame(pl.DataFrame({"user_id": busiest}), "the seed")
    with opened_context(space.workspace.root) as context:
        forecast = read_examples(context, read_seed(context, Audience("a", seed, Size(count=60), before=RULE))).forecast
    assert forecast is not None
    assert set(forecast.training.weight) == {1.0, OTHERS_WEIGHT}


def test_people_who_have_not_done_it_do_not_make_a_seed_picked(space: RuleSpace) -> None:
    """They are told from doers, whichever these are."""
    strangers = sorted({user for user in space.log.user_ids} - set(space.doers))[:40]
    mixed = la.open(space.workspace.root).expand(
        seed=[*space.seed(50), *strangers], before=RULE, size=60, name="mixed", force=True
    )
    assert not any(isinstance(warning, PickedPart) for warning in mixed.warnings)


def test_other_doers_count_a_tenth_beside_a_picked_seed() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (200, 4))
    examples = replace(examples_of(values, np.arange(40)), teachers=values[50:60], as_now=values[:40])
    alike, picked = (replace(examples, teacher_weight=weight).readings[0] for weight in (1.0, OTHERS_WEIGHT))
    assert alike.weight.tolist() == [1.0] * 50
    assert picked.weight.tolist() == [1.0] * 40 + [0.1] * 10

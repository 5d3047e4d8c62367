"""Whether the encoder pays for a seed, where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_examples import QUICK, examples_of
from lookalike.data.arrays import Floats, Rows
from lookalike.encoder.block_figures import BlockComparison
from lookalike.expansion import metrics
from lookalike.expansion.block_fits import compare_blocks
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import hold_out
from lookalike.expansion.scorers import FeatureSpace

USERS, SEEDS, WIDTH = 3_000, 120, 6  # of each block
PLACES = {"sequence": np.arange(WIDTH), "aggregates": np.arange(WIDTH, 2 * WIDTH)}


def columns(blocks: tuple[str, ...]) -> Rows:
    return np.concatenate([PLACES[block] for block in blocks])


def examples_with(sequence: Floats, aggregates: Floats, taste: Floats, rng: np.random.Generator) -> Examples:
    """Seeds are drawn from the tenth of the users with most of a taste [n]."""
    seed = np.sort(rng.choice(np.argsort(-taste)[: USERS // 10], SEEDS, replace=False))
    made = examples_of(np.hstack([sequence, aggregates]), seed)
    return replace(made, space=FeatureSpace(columns))


def compared(examples: Examples) -> BlockComparison:
    made = compare_blocks(examples, QUICK)
    assert made is not None
    return made


def two_blocks(rng: np.random.Generator) -> tuple[Floats, Floats]:
    first, second = rng.standard_normal((2, USERS, WIDTH))
    return first, second


def test_an_embedding_that_alone_knows_what_the_seed_has_in_common_pays() -> None:
    rng = np.random.default_rng(0)
    sequence, aggregates = two_blocks(rng)
    made = compared(examples_with(sequence, aggregates, sequence[:, 0], rng))
    assert made.encoder == "pays"
    assert made.measured == SEEDS
    assert made.both.lift.low > 2
    assert made.aggregates.lift.low < 1 < made.aggregates.lift.high
    assert made.gain.auc.low > 0.2
    assert made.gain.log_loss.high < 0
    assert made.gain.ndcg.low > 0
    assert made.aggregates.log_loss.value == pytest.approx(made.log_loss_of_none, abs=0.01)


def test_an_embedding_without_a_bearing_on_the_seed_adds_nothing() -> None:
    """Also one that repeats what plain counts know."""
    for repeats in (False, True):
        rng = np.random.default_rng(1)
        sequence, aggregates = two_blocks(rng)
        sequence = aggregates + 0.01 * sequence if repeats else sequence
        made = compared(examples_with(sequence, aggregates, aggregates[:, 0], rng))
        assert made.encoder == "adds_nothing"
        assert made.aggregates.lift.low > 2
        assert abs(made.gain.auc.value) < 0.02
        assert made.gain.lift.low < 0 < made.gain.lift.high


def test_for_random_seeds_it_seldom_pays_or_costs() -> None:
    """The interval of the gain holds 0 about as often as it should."""
    rng = np.random.default_rng(2)
    verdicts = []
    for _ in range(40):
        sequence, aggregates = two_blocks(rng)
        verdicts.append(compared(examples_with(sequence, aggregates, rng.random(USERS), rng)).encoder)
    assert verdicts.count("adds_nothing") >= 35


def test_both_blocks_together_are_the_scorer_logistic_and_seeds_are_read_as_it_reads_them() -> None:
    rng = np.random.default_rng(3)
    sequence, aggregates = two_blocks(rng)
    examples = examples_with(sequence, aggregates, sequence[:, 0] + aggregates[:, 0], rng)
    quantiles = hold_out(examples, ("logistic",), QUICK)["logistic"]
    made = compared(examples)
    assert made.both.auc.value == pytest.approx(metrics.auc(quantiles), abs=0.01)
    assert made.both.lift.value == pytest.approx(metrics.lift(quantiles, 0.05), rel=0.1)
    read_as_others = replace(examples, seed=examples.background[rng.permutation(USERS)[:SEEDS]])
    assert compared(read_as_others).both.auc.value < 0.6


def test_the_gain_has_a_narrower_interval_than_the_two_figures_apart() -> None:
    rng = np.random.default_rng(4)
    sequence, aggregates = two_blocks(rng)
    made = compared(examples_with(sequence, aggregates, 0.2 * sequence[:, 0] + aggregates[:, 0], rng))
    for name in ("lift", "auc", "log_loss", "ndcg"):
        both, alone, gain = (getattr(each, name) for each in (made.both, made.aggregates, made.gain))
        assert gain.value == pytest.approx(both.value - alone.value)
        assert gain.high - gain.low < (both.high - both.low) + (alone.high - alone.low)


@pytest.mark.parametrize("seeds", [24, 25])
def test_fewer_than_25_seeds_are_too_few(seeds: int) -> None:
    rng = np.random.default_rng(5)
    sequence, aggregates = two_blocks(rng)
    examples = examples_with(sequence, aggregates, sequence[:, 0], rng)
    assert (compare_blocks(examples.only(np.arange(seeds)), QUICK) is None) == (seeds < 25)


def test_where_the_embedding_is_not_to_be_read_nothing_is_compared() -> None:
    rng = np.random.default_rng(6)
    sequence, aggregates = two_blocks(rng)
    examples = examples_with(sequence, aggregates, sequence[:, 0], rng)
    assert compare_blocks(replace(examples, space=examples.space.without(np.array([WIDTH]))), QUICK) is None

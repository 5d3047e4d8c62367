"""TODO"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import SEQUENCE_AND_AGGREGATES
from lookalike.expansion.scorers.logistic import Standardised
from lookalike.workspace.settings import ExpandSettings

RANDOM_SEEDS = 400  # random seeds


MAX_PROBED_SEEDS = 1_000  # seeds of one probe


PROBE_FOLDS = 5


PROBE_RIDGE = 1_000.0


MIN_NEIGHBOURS = (
    10  # users more and less active, or a four-hundredth of all, among whom a random stand-in for a seed is drawn
)


@dataclass(frozen=True)
class PermutationTest:
    """The seed's held-out lift by the probe beside that of random seeds as active as it."""

    lift: float
    usual: float | None  # the random seeds' mean; None where there are too few others to draw them from
    p_value: float | None  # the share of random seeds whose people are found as far in front; one-sided


def permutation_test(examples: Examples, share: float, settings: ExpandSettings) -> PermutationTest:
    """Compares the seed with random ones, by the same probe on the same folds (a permutation test).

    The probe is one Newton step of a logistic regression with a ridge: with as many seeds each, the Hessian is the same
    for all, so that every fit is a product with one matrix.
    """
    rng = np.random.default_rng([settings.random_seed, 9])
    at = examples.space.columns(SEQUENCE_AND_AGGREGATES)
    scale = Standardised.of(examples.background[:, at])
    pool = scale(examples.background[:, at])
    seed = scale(examples.seed[:, at])
    taught = np.sort(rng.permutation(examples.seeds)[:MAX_PROBED_SEEDS])
    crowd, step = pool[examples.seed_of < 0], _newton_step(pool, len(taught))
    own = _probe(seed[taught][None], crowd, step, share, within=False)
    if len(crowd) < 2 * len(taught):  # too few others to draw random seeds from
        return PermutationTest(float(own.lift[0]), None, None)
    # the seed among them: else active people, of whom it took many, would be rarer for a random seed than for it
    everybody = np.vstack([crowd, seed])
    activity = np.concatenate([examples.background[examples.seed_of < 0], examples.seed])[:, examples.activity]
    matched = _activity_matched_seeds(examples.seed[taught, examples.activity], activity, rng)
    parts = [
        _probe(everybody[part], everybody, step, share, within=True)
        for part in np.array_split(matched, RANDOM_SEEDS // 10)
    ]
    usual = ProbeFigures(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    p_value = (1 + float(np.sum(usual.depth >= own.depth))) / (1 + RANDOM_SEEDS)
    return PermutationTest(float(own.lift[0]), float(usual.lift.mean()), p_value)


def _newton_step(pool: Floats, seeds: int) -> NDArray[Any]:
    """What a Newton step from 0 multiplies the difference of means by, [W, W]."""
    rate = seeds / (seeds + len(pool))
    return np.linalg.inv(pool.T @ pool / len(pool) + np.eye(pool.shape[1]) * PROBE_RIDGE / (seeds * (1 - rate)))


def _activity_matched_seeds(seed: Floats, crowd: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random seeds among the crowd, as places in it, [DRAWN, M]: for each seed user somebody near in activity."""
    order = np.lexsort((rng.random(len(crowd)), crowd))
    low, high = (np.searchsorted(crowd[order], seed, side) for side in ("left", "right"))
    near = max(MIN_NEIGHBOURS, len(crowd) // 400)
    first, last = np.maximum(low - near, 0), np.minimum(high + near, len(crowd))
    # within the tied anybody, and as far to one side as to the other
    first, last = np.maximum(first, low - (last - high)), np.minimum(last, high + (low - first))
    last = np.maximum(last, first + 1)
    places = np.sort(first + (rng.random((RANDOM_SEEDS, len(seed))) * (last - first)).astype(np.int64), axis=1)
    step = np.arange(len(seed))
    places = np.maximum.accumulate(places - step, axis=1) + step  # nobody twice
    places -= np.maximum(places[:, -1:] - (len(crowd) - 1), 0)
    # in an order that says nothing of activity, for folds to be cut from
    return rng.permuted(order[np.maximum(places, 0)], axis=1)


class ProbeFigures(NamedTuple):
    """Of each seed [R]: held-out lift, and the mean over its people of -log of the share of the crowd before them."""

    lift: Floats
    depth: Floats  # tells more than a count of hits at one size


def _probe(seeds: Floats, crowd: Floats, step: NDArray[Any], share: float, within: bool) -> ProbeFigures:
    """Seeds [R, M, W] among a crowd [P, W], each ranked by weights from its other folds.

    `within`: the seeds are some of the crowd, and are to be taken out of it.
    """
    count, size = seeds.shape[1], len(crowd) - (seeds.shape[1] if within else 0)
    fold = np.arange(count) % PROBE_FOLDS
    middle = (crowd.sum(axis=0) - (seeds.sum(axis=1) if within else 0)) / size
    before = np.empty(seeds.shape[:2])
    for one in range(min(PROBE_FOLDS, count)):
        weights = (seeds[:, fold != one].mean(axis=1) - middle) @ step  # [R, W]
        scores = np.sort(crowd @ weights.T, axis=0)  # [P, R]
        mine = np.einsum("rmw,rw->rm", seeds, weights)
        held = mine[:, fold == one]
        ahead = np.stack([len(crowd) - np.searchsorted(scores[:, r], held[r], "right") for r in range(len(seeds))])
        if within:
            mine = np.sort(mine, axis=1)
            ahead -= np.stack([count - np.searchsorted(mine[r], held[r], "right") for r in range(len(seeds))])
        before[:, fold == one] = np.maximum(ahead, 0) / size
    return ProbeFigures((before < share).mean(axis=1) / share, -np.log(before + 1 / size).mean(axis=1))

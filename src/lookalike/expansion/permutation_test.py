"""Whether a seed's users have more in common than their activity: a permutation test against random seeds as active.

The seed and the random seeds are held out by the same linear probe on the same folds. The probe is one Newton step of a
logistic regression with a ridge: with as many users in each seed the Hessian is the same for all, so that every fit is a
product with one matrix.
"""

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from scipy import special

from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.expansion.examples import Examples
from lookalike.expansion.result import PermutationTest
from lookalike.workspace.parallel import thread_pool
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

RANDOM_SEEDS = 400  # at most
RANDOM_SEEDS_PER_ROUND = 100
CLEAR = 0.01  # no more are drawn when a result would be as clear by so small a chance, were the p-value at the limit
PROBED_TOGETHER = 10  # random seeds whose scores of the population are in memory at once
MAX_PROBED_SEEDS = 1_000  # users of a seed, the others are left out
MAX_RANKED = 5_000  # users among whom a seed's are ranked
PROBE_FOLDS = 5
PROBE_RIDGE = 1_000.0
MIN_NEIGHBOURS = (
    10  # users more active and less active from whom a seed user's stand-in is drawn, or 1/400 of all users
)


def permutation_test(examples: Examples, share: float, settings: ExpandSettings) -> PermutationTest:
    """Compares the seed's held-out lift at a share of the candidates with that of random seeds."""
    rng = generator(settings.random_seed, Stream.PERMUTATION_TEST)
    sample, is_other = examples.linear_sample, examples.seed_index < 0
    seed, others = sample.seed, sample.background[is_other]
    probed = np.sort(rng.permutation(examples.seeds)[:MAX_PROBED_SEEDS])
    ranked = rng.permutation(len(others))[:MAX_RANKED]
    probe = _Probe(_newton_matrix(sample.background, len(probed)), share)
    own = probe.figures(seed[probed][None], others[ranked], None)
    if len(others) < 2 * len(probed):
        return PermutationTest(lift=float(own.lift[0]), random_lift=None, p_value=None, draws=0)
    # includes the seed: without it, active users, many of whom are seeds, would be rarer for random seeds than for the seed
    population = np.vstack([others, seed])
    activity = np.concatenate(
        [rows[:, examples.activity_column] for rows in (examples.background[is_other], examples.seed)]
    )
    drawn = _activity_matched_seeds(examples.seed[probed, examples.activity_column], activity, rng)
    ranked = rng.permutation(len(population))[:MAX_RANKED]
    is_ranked = np.isin(np.arange(len(population)), ranked)
    among = population[is_ranked]
    figures: list[_Figures] = []
    for drawn_together in np.array_split(drawn, RANDOM_SEEDS // RANDOM_SEEDS_PER_ROUND):
        figures += thread_pool().map(
            lambda part: probe.figures(population[part], among, is_ranked[part]),
            np.array_split(drawn_together, RANDOM_SEEDS_PER_ROUND // PROBED_TOGETHER),
        )
        random = _Figures(*(np.concatenate(values) for values in zip(*figures, strict=True)))
        as_deep, draws = int(np.sum(random.depth >= own.depth)), len(random.depth)
        if _is_clear(as_deep, draws, 1 - settings.confidence):
            break
    return PermutationTest(
        lift=float(own.lift[0]),
        random_lift=float(random.lift.mean()),
        p_value=(1 + as_deep) / (1 + draws),
        draws=draws,
    )


def _is_clear(as_deep: int, draws: int, limit: float) -> bool:
    """Whether more random seeds would hardly change the answer (sequential Monte Carlo test, Besag and Clifford 1991)."""
    at_most, fewer = (float(special.bdtr(count, draws, limit)) for count in (as_deep, as_deep - 1))
    return at_most < CLEAR or 1 - fewer < CLEAR


def _activity_matched_seeds(seed: Floats, population: Floats, rng: np.random.Generator) -> Rows:
    """Random seeds as places in the population, [RANDOM_SEEDS, M]: for each seed user a user of about the same activity.

    `seed` [M] and `population` [P] are activities.
    """
    order = np.lexsort((rng.random(len(population)), population))
    first, last = _neighbours(seed, population[order])
    places = np.sort(first + (rng.random((RANDOM_SEEDS, len(seed))) * (last - first)).astype(np.int64), axis=1)
    step = np.arange(len(seed))
    places = np.maximum.accumulate(places - step, axis=1) + step  # strictly ascending: no user twice
    places -= np.maximum(places[:, -1:] - (len(population) - 1), 0)
    # shuffled, because folds are cut by place and must not differ in activity
    return rng.permuted(order[np.maximum(places, 0)], axis=1)


def _neighbours(seed: Floats, ascending: Floats) -> tuple[Rows, Rows]:
    """For each seed user the range of users of about the same activity: first place and the one after the last, [M]."""
    low, high = (np.searchsorted(ascending, seed, side) for side in ("left", "right"))
    near = max(MIN_NEIGHBOURS, len(ascending) // 400)
    first, last = np.maximum(low - near, 0), np.minimum(high + near, len(ascending))
    # where an end of the population cuts the range, it is cut as much on the other side, but never among equals
    first, last = np.maximum(first, low - (last - high)), np.minimum(last, high + (low - first))
    # people without events are stand-ins for each other only: they have nothing in common with anybody else
    active = np.searchsorted(ascending, 0, "right")
    first, last = (
        np.where(seed > 0, np.maximum(first, active), first),
        np.where(seed > 0, last, np.minimum(last, active)),
    )
    return first, np.maximum(last, first + 1)


def _newton_matrix(background: Matrix, seeds: int) -> Matrix:
    """What a Newton step from 0 multiplies the difference of the means by, [W, W]."""
    rate, width = seeds / (seeds + len(background)), background.shape[1]
    ridge = np.eye(width) * PROBE_RIDGE / (seeds * (1 - rate))
    inverse = np.linalg.inv((background.T @ background).astype(np.float64) / len(background) + ridge)
    return cast(Matrix, inverse.astype(np.float32))


class _Figures(NamedTuple):
    """Held-out figures of seeds, [R] each."""

    lift: Floats
    depth: Floats  # mean of -log of the share before each user; tells more than the hits at one size


@dataclass(frozen=True)
class _Probe:
    newton_matrix: Matrix  # [W, W]
    share: float

    def figures(self, seeds: Matrix, ranked: Matrix, is_ranked: Flags | None) -> _Figures:
        """Ranks each seed's users [R, M, W] among some users [P, W] by weights from the other folds.

        `is_ranked` [R, M]: which of the seeds' users are among them, and are taken out; None if none is.
        """
        count, fold = seeds.shape[1], np.arange(seeds.shape[1]) % PROBE_FOLDS
        among = np.zeros(seeds.shape[:2], bool) if is_ranked is None else is_ranked
        size = len(ranked) - among.sum(axis=1, keepdims=True)  # [R, 1]
        own = np.einsum("rmw,rm->rw", seeds, among.astype(np.float32))
        mean = (ranked.sum(axis=0, dtype=np.float64) - own) / size
        before = np.empty(seeds.shape[:2])
        for k in range(min(PROBE_FOLDS, count)):
            difference = (seeds[:, fold != k].mean(axis=1) - mean).astype(np.float32)
            weights = difference @ self.newton_matrix  # [R, W]
            scores = np.matmul(seeds, weights[:, :, None])[:, :, 0]
            held_out = scores[:, fold == k]
            ahead = _higher(np.sort(weights @ ranked.T, axis=1), held_out)
            ahead -= _higher(np.sort(np.where(among, scores, -np.inf), axis=1), held_out)
            before[:, fold == k] = np.maximum(ahead, 0) / size
        return _Figures((before < self.share).mean(axis=1) / self.share, -np.log(before + 1 / size).mean(axis=1))


def _higher(ascending: Matrix, scores: Matrix) -> Rows:
    """How many of each row's ascending numbers [R, n] are above each of its scores [R, m]."""
    pairs = zip(ascending, scores, strict=True)
    counts: Rows = np.stack([ascending.shape[1] - np.searchsorted(row, values, "right") for row, values in pairs])
    return counts

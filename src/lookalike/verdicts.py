"""What follows from the figures: which scorer, what size, and whether to expand at all.

The verdict asks whether the seed has more in common than being active. Random seeds of the same size and the same
activity are drawn, and a plain linear probe is held out on them as on the seed: only a seed whose lift stands out from
theirs is worth expanding. Converters are nearly always more active than average, so that any ranking by activity alone
has a lift well above 1; against plainly random seeds that would look like likeness.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lookalike import evaluation, metrics
from lookalike.diagnosis import FEWEST
from lookalike.evaluation import SURE, Band, Doubt, Examples, Floats, Quantiles
from lookalike.linear import Standardised
from lookalike.scoring import LEARNT_AND_COUNTED
from lookalike.settings import ExpandSettings

REFERENCES = ("transfer", "logistic")  # the best single scorers on most public logs, see docs/benchmarks.md
GROUPS = 5
DRAWN = 400  # random seeds
MOST_PROBED = 1_000  # seeds of one probe
PROBE_FOLDS = 5
PROBE_RIDGE = 1_000.0
NEAR = 10  # users more and less active, or a four-hundredth of all, among whom a random stand-in for a seed is drawn


# --- which scorer ----------------------------------------------------------------------------------------------------


def choose(quantiles: Quantiles, names: tuple[str, ...], share: float) -> str:
    """The reference scorer, unless another has a held-out lift that is better by more than two standard errors.

    With few seeds the best of several is mostly the luckiest. The difference is taken seed by seed.
    """
    found = {name: metrics.lifts(quantiles[name], share) for name in names}
    chosen = next((name for name in REFERENCES if name in names), names[0])
    for name in names:
        gain = found[name] - found[chosen]
        if gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)):
            chosen = name
    return chosen


def of_choice(quantiles: Quantiles, names: tuple[str, ...], share: float, seed: int) -> Floats:
    """Quantiles [R, M] of choosing as `choose` does: each seed's are those of the scorer that the other seeds chose.

    What was chosen for being best on some people looks better on them than it is.
    """
    count = next(iter(quantiles.values())).shape[1]
    group = np.random.default_rng([seed, 8]).permutation(np.arange(count) % GROUPS)
    found = np.empty_like(quantiles[names[0]])
    for one in np.unique(group):
        others = {name: quantiles[name][:, group != one] for name in names}
        found[:, group == one] = quantiles[choose(others, names, share)][:, group == one]
    return found


# --- what size -------------------------------------------------------------------------------------------------------


def largest_size(
    quantiles: Floats, candidates: int, confidence: float, doubt: Doubt = SURE, floor: float = 1.0
) -> float | None:
    """The largest share of the curve whose last half still lifts above the floor with confidence; None when none does.

    Every size is a try at being the largest, so the doubt is shared out among them (Bonferroni).
    """
    tried = [share for share in evaluation.shares(candidates, None) if share < 1]
    for share in reversed(tried):
        band = evaluation.marginal_band(quantiles, share / 2, share, 1 - (1 - confidence) / len(tried), doubt)
        if band.low > floor:
            return share
    return None


# --- whether at all --------------------------------------------------------------------------------------------------

EXPAND, DO_NOT_EXPAND = "expand", "do not expand"


@dataclass(frozen=True)
class Verdict:
    decision: str
    reasons: tuple[str, ...]
    up_to: int | None = None  # the largest list worth taking, where the asked one is larger
    parts: int | None = None  # how many lists surely find more, where one for each sub-audience does
    against: tuple[str, ...] = ()  # those of the reasons that speak against
    careful: tuple[str, ...] = ()  # what may make the figures promise too much

    @property
    def advice(self) -> str:
        """What to do, in a few words."""
        if not self.expand:
            return self.decision
        if self.parts:
            return "split"
        return self.decision if self.up_to is None else f"{self.decision} up to {self.up_to:,}"

    @property
    def expand(self) -> bool:
        return self.decision == EXPAND


@dataclass(frozen=True)
class Against:
    """The seed's held-out lift by the probe beside that of random seeds as active as it."""

    lift: float
    usual: float | None  # the random seeds' mean; None where there are too few others to draw them from
    p_value: float | None  # the share of random seeds whose people are found as far in front; one-sided


def against_random(examples: Examples, share: float, settings: ExpandSettings) -> Against:
    """Compares the seed with random ones, by the same probe on the same folds (a permutation test).

    The probe is one Newton step of a logistic regression with a ridge: with as many seeds each, the Hessian is the same
    for all, so that every fit is a product with one matrix.
    """
    rng = np.random.default_rng([settings.random_seed, 9])
    at = examples.space.columns(LEARNT_AND_COUNTED)
    scale = Standardised.of(examples.background[:, at])
    pool = scale(examples.background[:, at])
    seed = scale(examples.seed[:, at])
    taught = np.sort(rng.permutation(examples.seeds)[:MOST_PROBED])
    crowd, step = pool[examples.seed_of < 0], _step(pool, len(taught))
    own = _probed(seed[taught][None], crowd, step, share, within=False)
    if len(crowd) < 2 * len(taught):  # too few others to draw random seeds from
        return Against(float(own.lift[0]), None, None)
    # the seed among them: else active people, of whom it took many, would be rarer for a random seed than for it
    everybody = np.vstack([crowd, seed])
    activity = np.concatenate([examples.background[examples.seed_of < 0], examples.seed])[:, examples.activity]
    matched = _matched(examples.seed[taught, examples.activity], activity, rng)
    parts = [
        _probed(everybody[part], everybody, step, share, within=True) for part in np.array_split(matched, DRAWN // 10)
    ]
    usual = Probed(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    p_value = (1 + float(np.sum(usual.depth >= own.depth))) / (1 + DRAWN)
    return Against(float(own.lift[0]), float(usual.lift.mean()), p_value)


def _step(pool: Floats, seeds: int) -> NDArray[Any]:
    """What a Newton step from 0 multiplies the difference of means by, [W, W]."""
    rate = seeds / (seeds + len(pool))
    return np.linalg.inv(pool.T @ pool / len(pool) + np.eye(pool.shape[1]) * PROBE_RIDGE / (seeds * (1 - rate)))


def _matched(seed: Floats, crowd: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random seeds among the crowd, as places in it, [DRAWN, M]: for each seed user somebody near in activity."""
    order = np.lexsort((rng.random(len(crowd)), crowd))
    low, high = (np.searchsorted(crowd[order], seed, side) for side in ("left", "right"))
    near = max(NEAR, len(crowd) // 400)
    first, last = np.maximum(low - near, 0), np.minimum(high + near, len(crowd))
    # within the tied anybody, and as far to one side as to the other
    first, last = np.maximum(first, low - (last - high)), np.minimum(last, high + (low - first))
    last = np.maximum(last, first + 1)
    places = np.sort(first + (rng.random((DRAWN, len(seed))) * (last - first)).astype(np.int64), axis=1)
    step = np.arange(len(seed))
    places = np.maximum.accumulate(places - step, axis=1) + step  # nobody twice
    places -= np.maximum(places[:, -1:] - (len(crowd) - 1), 0)
    # in an order that says nothing of activity, for folds to be cut from
    return rng.permuted(order[np.maximum(places, 0)], axis=1)


class Probed(NamedTuple):
    """Of each seed [R]: held-out lift, and the mean over its people of -log of the share of the crowd before them."""

    lift: Floats
    depth: Floats  # tells more than a count of hits at one size


def _probed(seeds: Floats, crowd: Floats, step: NDArray[Any], share: float, within: bool) -> Probed:
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
    return Probed((before < share).mean(axis=1) / share, -np.log(before + 1 / size).mean(axis=1))


def gain_p_value(ours: Floats, baseline: Floats, share: float, doubt: Doubt = SURE) -> float:
    """One-sided p that a seed found by only one of two rankings is found by ours no more often (McNemar's exact test)."""
    difference = np.mean(ours < share, axis=0) - np.mean(baseline < share, axis=0)
    certain = doubt.counted(metrics.recall(ours, share) * ours.shape[1], share)
    won, lost = (float(certain * np.maximum(way * difference, 0).sum()) for way in (1, -1))
    return float(stats.beta.cdf(0.5, won, lost + 1)) if won > 0 else 1.0


@dataclass(frozen=True)
class Asked:
    """What list is in question, in shares of the candidates."""

    share: float
    largest: float | None  # the largest list worth taking
    auto: bool = False  # the size was left to us
    begin: float = 0.0  # people of earlier lists, who stand before this one at worst


def verdict(
    examples: Examples, found: tuple[Floats, Floats], against: Against, asked: Asked, settings: ExpandSettings
) -> Verdict:
    """Expand only when held-out lift is surely above chance, the seed surely no active crowd, and activity alone no better.

    `found` are the quantiles of the list and of ranking by activity.
    """
    ours, activity = found
    share, begin, doubt = asked.share, asked.begin, examples.doubt(settings.folds)
    lift, by_activity = (
        evaluation.marginal_band(of, begin, min(1.0, begin + share), settings.confidence, doubt)
        for of in (ours, activity)
    )
    enough, above_chance = examples.seeds >= FEWEST, lift.low > 1
    stands_out = against.p_value is not None and against.p_value < 1 - settings.confidence
    gains = bool(metrics.lifts(ours, share).mean() > metrics.lifts(activity, share).mean())
    surely = gain_p_value(ours, activity, share, doubt) < (1 - settings.confidence) / 2
    beaten = gain_p_value(activity, ours, share, doubt) < 1 - settings.confidence
    given = [
        (enough, f"{examples.seeds} seeds are too few to trust a list made of them; {FEWEST} are the least"),
        (above_chance, _above_chance(lift, share, settings.confidence, above_chance)),
        (stands_out, _beside_random(against, stands_out)),
        (not beaten, _beside_activity(by_activity.value, gains, surely, beaten)),
        (
            asked.largest is not None or not asked.auto,
            f"no size has a last half that is surely above a lift of {settings.min_lift:g}",
        ),
    ]
    reasons = [said for good, said in given[1:4]]
    if not enough:
        reasons.insert(0, given[0][1])
    if asked.largest is None:
        reasons.append(given[4][1])
    elif asked.auto:
        reasons.append(f"it is the largest list whose last half is surely above a lift of {settings.min_lift:g}")
    if speaking := tuple(said for good, said in given if not good):
        return Verdict(DO_NOT_EXPAND, tuple(reasons), against=speaking)
    if asked.largest is not None and share > 1.02 * asked.largest:
        most = round(asked.largest * examples.candidates)
        reasons.append(f"beyond {most:,} the last half of a list is not surely above a lift of {settings.min_lift:g}")
        return Verdict(EXPAND, tuple(reasons), most)
    return Verdict(EXPAND, tuple(reasons))


def _above_chance(lift: Band, share: float, confidence: float, above: bool) -> str:
    return (
        f"held-out lift at {share:.2%} of the candidates is {lift.value:.2f} "
        f"({confidence:.0%} band {lift.low:.2f} to {lift.high:.2f}): "
        + ("above chance" if above else "not surely above chance, which is 1")
    )


def _beside_activity(lift: float, gains: bool, surely: bool, beaten: bool) -> str:
    if beaten:
        said = "surely more than the list"
    elif not gains:
        said = "no less than the list over sizes about this one"
    else:
        said = "surely less than the list" if surely else "less than the list, though not surely"
    return f"ranking by activity alone has a lift of {lift:.2f}: {said}"


def _beside_random(against: Against, stands_out: bool) -> str:
    if against.p_value is None or against.usual is None:
        return "there are too few others to draw random seeds from: whether it has more in common than being active is not known"
    before = round((1 - against.p_value) * (DRAWN + 1))
    return (
        f"by a plain probe its people are found further in front than those of {before:,} of {DRAWN:,} random groups as active "
        f"(the probe's lift {against.lift:.2f}, theirs {against.usual:.2f} on average): "
        + ("it has more in common than being active" if stands_out else "no sure sign of more than being active")
    )

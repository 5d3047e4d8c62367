"""What follows from the figures: which scorer, what size, and whether to expand at all.

The verdict asks whether the seed has more in common than being active. Random seeds of the same size and the same
activity are drawn, and a plain linear probe is held out on them as on the seed: only a seed whose lift stands out from
theirs is worth expanding. Converters are nearly always more active than average, so that any ranking by activity alone
has a lift well above 1; against plainly random seeds that would look like likeness.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lookalike.data.arrays import Floats
from lookalike.expansion import curves, metrics
from lookalike.expansion.curves import INDEPENDENT, Band, EffectiveSample
from lookalike.expansion.examples import Examples
from lookalike.expansion.permutation_test import RANDOM_SEEDS, PermutationTest
from lookalike.expansion.seed_checks import MIN_SEEDS
from lookalike.workspace.settings import ExpandSettings


def largest_share(
    quantiles: Floats, candidates: int, confidence: float, doubt: EffectiveSample = INDEPENDENT, floor: float = 1.0
) -> float | None:
    """The largest share of the curve whose last half still lifts above the floor with confidence; None when none does.

    Every size is a try at being the largest, so the doubt is shared out among them (Bonferroni).
    """
    tried = [share for share in curves.curve_shares(candidates, None) if share < 1]
    for share in reversed(tried):
        band = curves.marginal_band(quantiles, share / 2, share, 1 - (1 - confidence) / len(tried), doubt)
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


def mcnemar_p_value(ours: Floats, baseline: Floats, share: float, doubt: EffectiveSample = INDEPENDENT) -> float:
    """One-sided p that a seed found by only one of two rankings is found by ours no more often (McNemar's exact test)."""
    difference = np.mean(ours < share, axis=0) - np.mean(baseline < share, axis=0)
    certain = doubt.counted(metrics.recall(ours, share) * ours.shape[1], share)
    won, lost = (float(certain * np.maximum(way * difference, 0).sum()) for way in (1, -1))
    return float(stats.beta.cdf(0.5, won, lost + 1)) if won > 0 else 1.0


@dataclass(frozen=True)
class RequestedList:
    """What list is in question, in shares of the candidates."""

    share: float
    largest: float | None  # the largest list worth taking
    auto: bool = False  # the size was left to us
    begin: float = 0.0  # people of earlier lists, who stand before this one at worst


def decide(
    examples: Examples,
    found: tuple[Floats, Floats],
    against: PermutationTest,
    asked: RequestedList,
    settings: ExpandSettings,
) -> Verdict:
    """Expand only when held-out lift is surely above chance, the seed surely no active crowd, and activity alone no better.

    `found` are the quantiles of the list and of ranking by activity.
    """
    ours, activity = found
    share, begin, doubt = asked.share, asked.begin, examples.doubt(settings.folds)
    lift, by_activity = (
        curves.marginal_band(of, begin, min(1.0, begin + share), settings.confidence, doubt) for of in (ours, activity)
    )
    enough, above_chance = examples.seeds >= MIN_SEEDS, lift.low > 1
    stands_out = against.p_value is not None and against.p_value < 1 - settings.confidence
    gains = bool(metrics.lifts(ours, share).mean() > metrics.lifts(activity, share).mean())
    surely = mcnemar_p_value(ours, activity, share, doubt) < (1 - settings.confidence) / 2
    beaten = mcnemar_p_value(activity, ours, share, doubt) < 1 - settings.confidence
    given = [
        (enough, f"{examples.seeds} seeds are too few to trust a list made of them; {MIN_SEEDS} are the least"),
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


def _beside_random(against: PermutationTest, stands_out: bool) -> str:
    if against.p_value is None or against.random_lift is None:
        return "there are too few others to draw random seeds from: whether it has more in common than being active is not known"
    before = round((1 - against.p_value) * (RANDOM_SEEDS + 1))
    return (
        f"by a plain probe its people are found further in front than those of {before:,} of {RANDOM_SEEDS:,} random groups as active "
        f"(the probe's lift {against.lift:.2f}, theirs {against.random_lift:.2f} on average): "
        + ("it has more in common than being active" if stands_out else "no sure sign of more than being active")
    )

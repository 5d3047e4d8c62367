"""Whether to expand at all, and up to what size."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from lookalike.data.arrays import Floats
from lookalike.expansion import metrics
from lookalike.expansion.curves import BandSettings, curve_shares, marginal_band
from lookalike.expansion.result import (
    DO_NOT_EXPAND,
    EXPAND,
    ActivityComparison,
    Band,
    Check,
    MethodLift,
    PermutationTest,
    Verdict,
)
from lookalike.expansion.seed_checks import MIN_SEEDS

SIZE_TOLERANCE = 1.02  # of the largest list worth taking, before the verdict limits the size


@dataclass(frozen=True)
class RequestedList:
    """The list in question, in shares of the candidates."""

    share: float
    largest: float | None  # the largest share worth taking
    is_auto: bool = False  # the size was left to us
    begin: float = 0.0  # candidates on other lists, assumed to rank before this one

    @property
    def end(self) -> float:
        return min(1.0, self.begin + self.share)


@dataclass(frozen=True)
class HeldOutRankings:
    """Quantiles [R, M] of the seeds by the list's scorer and by activity alone, with what bands depend on."""

    scorer: Floats
    activity: Floats
    bands: BandSettings
    seed_count: int | None = None  # if the quantiles are not of the seeds themselves

    @property
    def seeds(self) -> int:
        return int(self.scorer.shape[1]) if self.seed_count is None else self.seed_count


def largest_share(quantiles: Floats, candidates: int, bands: BandSettings, min_lift: float = 1.0) -> float | None:
    """The largest share of the curve whose last half reliably exceeds the minimum lift; None if there is none.

    Every size is one attempt at being the largest, so the error is divided among them (Bonferroni).
    """
    shares = [share for share in curve_shares(candidates, None) if share < 1]
    each = BandSettings(1 - (1 - bands.confidence) / max(1, len(shares)), bands.sample)
    for share in reversed(shares):
        if marginal_band(quantiles, share / 2, share, each).low > min_lift:
            return share
    return None


def decide(
    rankings: HeldOutRankings,
    test: PermutationTest,
    requested: RequestedList,
    candidates: int,
    min_lift: float,
    chance: float = 1.0,
) -> Verdict:
    """Expand only if held-out lift is reliably above chance, the seed is more than an active crowd, and ranking by
    activity alone is not reliably better. `chance` is the lift of a list that tells nothing but who has events."""
    comparison = compare_with_activity(rankings, requested.share)
    checks = (
        _enough_seeds(rankings.seeds),
        _above_chance(rankings, requested, chance),
        _beyond_activity(test, rankings.bands.confidence),
        _not_beaten_by_activity(rankings, requested, comparison),
        _worth_taking(requested, candidates, min_lift),
    )
    against = any(check.required and not check.passed for check in checks)
    worth_taking = None if requested.largest is None else round(requested.largest * candidates)
    limited = requested.largest is not None and requested.share > SIZE_TOLERANCE * requested.largest
    up_to = worth_taking if limited and worth_taking != round(requested.share * candidates) else None
    return Verdict(
        decision=DO_NOT_EXPAND if against else EXPAND,
        checks=checks,
        permutation_test=test,
        activity=comparison,
        up_to=None if against else up_to,
    )


def after_backtest(verdict: Verdict, held_out: Band, later: MethodLift | None) -> Verdict:
    """The verdict by the backtest's lift, where that is lower than the held-out lift by more than their bands."""
    if later is None or later.high >= held_out.low:
        return verdict
    came = Check(
        name="above_chance", passed=later.low > 1, value=later.lift, interval=(later.low, later.high), threshold=1
    )
    checks = tuple(came if check.name == came.name else check for check in verdict.checks)
    against = any(check.required and not check.passed for check in checks)
    changes = {"checks": checks, "decision": DO_NOT_EXPAND if against else EXPAND}
    return verdict.model_copy(update=changes | ({"up_to": None} if against else {}))


def _enough_seeds(seeds: int) -> Check:
    return Check(name="enough_seeds", passed=seeds >= MIN_SEEDS, value=seeds, threshold=MIN_SEEDS)


def _above_chance(rankings: HeldOutRankings, requested: RequestedList, chance: float) -> Check:
    lift = marginal_band(rankings.scorer, requested.begin, requested.end, rankings.bands)
    return Check(
        name="above_chance",
        passed=lift.low > chance,
        value=lift.value,
        interval=(lift.low, lift.high),
        threshold=chance,
    )


def is_like_random(test: PermutationTest, confidence: float) -> bool:
    """Whether the seed was tested, and cannot be told from random people who are as active."""
    return test.p_value is not None and test.p_value >= 1 - confidence


def _beyond_activity(test: PermutationTest, confidence: float) -> Check:
    passed = test.p_value is not None and test.p_value < 1 - confidence
    return Check(name="beyond_activity", passed=passed, value=test.lift, threshold=test.random_lift)


def _not_beaten_by_activity(
    rankings: HeldOutRankings, requested: RequestedList, comparison: ActivityComparison
) -> Check:
    lift = marginal_band(rankings.activity, requested.begin, requested.end, rankings.bands)
    passed = comparison != "reliably_higher"
    return Check(name="not_beaten_by_activity", passed=passed, value=lift.value, interval=(lift.low, lift.high))


def _worth_taking(requested: RequestedList, candidates: int, min_lift: float) -> Check:
    largest = None if requested.largest is None else max(1, round(requested.largest * candidates))
    return Check(
        name="worth_taking",
        passed=largest is not None,
        required=requested.is_auto,
        value=largest,
        threshold=min_lift,
    )


def compare_with_activity(rankings: HeldOutRankings, share: float) -> ActivityComparison:
    """How ranking by activity alone compares with the list, over sizes about this one."""
    confidence, sample = rankings.bands.confidence, rankings.bands
    if mcnemar_p_value(rankings.activity, rankings.scorer, share, sample) < 1 - confidence:
        return "reliably_higher"
    if metrics.lifts(rankings.scorer, share).mean() <= metrics.lifts(rankings.activity, share).mean():
        return "not_lower"
    reliably = mcnemar_p_value(rankings.scorer, rankings.activity, share, sample) < (1 - confidence) / 2
    return "reliably_lower" if reliably else "lower"


def mcnemar_p_value(ours: Floats, baseline: Floats, share: float, bands: BandSettings) -> float:
    """One-sided p-value that seeds found by only one of two rankings [R, M] are found by ours no more often (McNemar's
    exact test)."""
    difference = np.mean(ours < share, axis=0) - np.mean(baseline < share, axis=0)
    factor = bands.sample.discount(metrics.recall(ours, share) * ours.shape[1], share)
    won, lost = (float(factor * np.maximum(sign * difference, 0).sum()) for sign in (1, -1))
    return float(special.betainc(won, lost + 1, 0.5)) if won > 0 else 1.0

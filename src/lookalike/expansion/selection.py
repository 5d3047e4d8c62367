"""From the examples to a decision: scorers measured, one chosen, the size set, the verdict given."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Rows
from lookalike.errors import ExpansionError
from lookalike.expansion.audience import Size
from lookalike.expansion.curves import BandSettings, marginal_band
from lookalike.expansion.examples import Examples
from lookalike.expansion.forecast import Forecast
from lookalike.expansion.holdout import ACTIVITY, FoldScores, held_out_scores, quantiles_of
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.permutation_test import permutation_test
from lookalike.expansion.result import Band, Verdict
from lookalike.expansion.scorer_selection import (
    AUTO,
    RELIABLE,
    RELIABLE_FORECAST,
    choose_scorer,
    cross_fitted_quantiles,
    scorers_to_measure,
)
from lookalike.expansion.scorers import fit_readings
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.seed import TwoKinds
from lookalike.expansion.verdict import HeldOutRankings, RequestedList, decide, largest_share
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

DEFAULT_SHARE = 0.05  # at which scorers are compared when the size is `auto`


@dataclass(frozen=True)
class Selection:
    """What was measured, and what follows from it."""

    scorer: str
    size: int
    requested: RequestedList
    quantiles: Quantiles  # of every scorer, of activity, and with `auto` of the cross-fitted choice
    bands: BandSettings
    verdict: Verdict
    candidates: int
    held_out: tuple[FoldScores, ...] = ()  # the chosen scorer's scores of hidden people; none of a forecast

    @property
    def share(self) -> float:
        return self.requested.share

    @property
    def largest_size(self) -> int | None:
        """The largest list worth taking, if there is one."""
        largest = self.requested.largest
        return None if largest is None else max(1, round(largest * self.candidates))

    @property
    def lift_band(self) -> Band:
        """The lift of the requested ranks, by what the list is judged on."""
        return marginal_band(self.own_quantiles, self.requested.begin, self.requested.end, self.bands)

    @property
    def own_quantiles(self) -> Floats:
        """The quantiles [R, M] the list is judged by: with `auto` cross-fitted, so that no seed chose its own scorer."""
        return self.quantiles[AUTO if AUTO in self.quantiles else self.scorer]


def resolve_size(size: Size, candidates: int) -> int | None:
    """The requested number of prospects; None for `auto`. Raises ExpansionError when there are fewer candidates."""
    if candidates < 1:
        raise ExpansionError("seed and suppression leave nobody to rank", "suppress fewer users")
    if size.is_auto:
        return None
    count = size.among(candidates)
    if count > candidates:
        raise ExpansionError(
            f"{count:,} prospects were requested, but only {candidates:,} candidates are left",
            f"--size {candidates} or less, or 5%",
        )
    return count


def select(
    examples: Examples,
    scorer: str,
    size: int | None,
    settings: ExpandSettings,
    on_fold: Callable[[int], None],
    forecast: Forecast | None = None,
    kinds: TwoKinds | None = None,
) -> Selection:
    """Measures the scorers, on a forecast where there is one or else on hidden seeds, chooses one and the size, and gives
    the verdict. `size` is None for `auto`."""
    names = scorers_to_measure(scorer, examples)
    held_out: list[FoldScores] = []
    if forecast:
        quantiles, sample = forecast.quantiles(names, settings.random_seed), forecast.sample
    else:
        held_out = held_out_scores(examples, names, settings, on_fold)
        quantiles = quantiles_of(held_out, settings.repeats)
        sample = examples.effective_sample(settings.folds)
    share = size / examples.candidates if size else DEFAULT_SHARE
    chosen = scorer
    if scorer == AUTO:
        reliable = RELIABLE_FORECAST if forecast else RELIABLE
        chosen = choose_scorer(quantiles, names, share, reliable)
        quantiles[AUTO] = cross_fitted_quantiles(quantiles, names, share, settings.random_seed, reliable)
    bands = BandSettings(settings.confidence, sample)
    largest = largest_share(quantiles[scorer], examples.candidates, bands, settings.min_lift)
    if size is None:
        share = largest or share
    requested = RequestedList(share, largest, size is None, examples.listed_elsewhere / examples.candidates)
    rankings = HeldOutRankings(quantiles[scorer], quantiles[ACTIVITY], bands, examples.teaching)
    test = permutation_test(examples, share, settings)
    chance = kinds.random_lift(max(1, round(share * examples.candidates))) if kinds else 1.0
    verdict = decide(rankings, test, requested, examples.candidates, settings.min_lift, max(1.0, chance))
    count = size or max(1, round(share * examples.candidates))
    own = tuple(fold.only(chosen) for fold in held_out)
    return Selection(chosen, count, requested, quantiles, bands, verdict, examples.candidates, own)


def fit_scorer(examples: Examples, scorer: str, settings: ExpandSettings) -> Score:
    """The scorer fitted on the whole seed."""
    rng = generator(settings.random_seed, Stream.FINAL_FIT)
    return fit_readings((scorer,), examples.space, examples.readings, rng)[scorer]


def tiers(count: int, tiers: int) -> Rows:
    """The tier of each rank [count], 1 for the first; tiers are of equal size as far as possible."""
    return np.arange(count) * min(tiers, max(1, count)) // max(1, count) + 1

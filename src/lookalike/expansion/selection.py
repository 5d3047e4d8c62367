"""From a seed to a ranked list: draw a background, hold out, choose, fit on the whole seed, rank everybody once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings.representation import Representation
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion import holdout, permutation_test, scorer_selection
from lookalike.expansion import verdict as verdict_module
from lookalike.expansion.audience import Size
from lookalike.expansion.examples import Examples
from lookalike.expansion.metrics import Quantiles
from lookalike.expansion.permutation_test import PermutationTest
from lookalike.expansion.ranking import scan
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.ranking.top_k import Ranking
from lookalike.expansion.scorers import NAMES, SCORERS, fit_all
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.verdict import RequestedList, Verdict, largest_share
from lookalike.workspace.settings import ExpandSettings

AUTO = "auto"


DEFAULT_SHARE = 0.05


@dataclass(frozen=True)
class Selection:
    """What was measured, and what follows from it."""

    scorer: str
    size: int
    asked: RequestedList
    quantiles: Quantiles
    against: PermutationTest
    verdict: Verdict
    candidates: int

    @property
    def share(self) -> float:
        return self.asked.share

    @property
    def largest(self) -> int | None:
        """The largest list worth taking; None where none is."""
        return None if self.asked.largest is None else max(1, round(self.asked.largest * self.candidates))

    @property
    def found(self) -> Floats:
        """The quantiles that the list is judged by: of what was chosen, by others than it was chosen on."""
        return self.quantiles[AUTO if AUTO in self.quantiles else self.scorer]


def scorers_for(asked: str, known: Examples) -> tuple[str, ...]:
    """The scorers to measure: for `auto` all that suit the seed; else the asked one beside the plain centroid.

    Raises SettingsError for what is no scorer, or cannot be used on this representation.
    """
    able = known.space.names
    if asked == AUTO:
        return tuple(name for name in able if name not in SCORERS or SCORERS[name].tried)
    if asked not in NAMES:
        raise SettingsError(f"no scorer is called {asked[:40]!r}", f"--scorer {'|'.join((AUTO, *NAMES))}")
    if asked not in able and not len(known.space.columns(SCORERS[asked].blocks if asked in SCORERS else ())):
        raise SettingsError(
            f"{asked} reads the user embedding, which --drop-features takes away", f"--scorer {'|'.join((AUTO, *able))}"
        )
    if asked not in able:
        raise SettingsError(
            f"{asked} needs what a training learns from the log's own audiences, and this run has none of it",
            f"--scorer {'|'.join((AUTO, *able))}; a log with more users and items, or lookalike train",
        )
    return tuple(name for name in able if name in ("centroid", asked))  # the centroid, where there is one


def resolve_size(size: Size, candidates: int) -> int | None:
    """The asked count of prospects; None for `auto`. Raises ExpansionError when there are fewer candidates."""
    if candidates < 1:
        raise ExpansionError("seed and suppression leave nobody to rank", "suppress fewer users")
    if size.is_auto:
        return None
    count = size.among(candidates)
    if count > candidates:
        raise ExpansionError(
            f"{count:,} prospects asked for, but only {candidates:,} candidates are left",
            f"--size {candidates} or less, or 5%",
        )
    return count


def select_scorer_and_size(
    known: Examples, scorer: str, asked: int | None, settings: ExpandSettings, on_fold: Callable[[int], None]
) -> Selection:
    """Measures the scorers, chooses one and the size, and says whether to expand."""
    names = scorers_for(scorer, known)
    quantiles = holdout.hold_out(known, names, settings, on_fold)
    share = asked / known.candidates if asked else DEFAULT_SHARE
    chosen = scorer
    if scorer == AUTO:
        chosen = scorer_selection.choose_scorer(quantiles, names, share)
        quantiles[AUTO] = scorer_selection.cross_fitted_quantiles(quantiles, names, share, settings.random_seed)
    ours, doubt = quantiles[scorer], known.doubt(settings.folds)
    largest = largest_share(ours, known.candidates, settings.confidence, doubt, settings.min_lift)
    if asked is None:
        share = largest or share
    against = permutation_test.permutation_test(known, share, settings)
    question = RequestedList(share, largest, asked is None, known.taken / known.candidates)
    verdict = verdict_module.decide(known, (ours, quantiles[holdout.ACTIVITY]), against, question, settings)
    size = asked or max(1, round(share * known.candidates))
    return Selection(chosen, size, question, quantiles, against, verdict, known.candidates)


def fit_scorer(known: Examples, scorer: str, settings: ExpandSettings) -> Score:
    """The scorer fitted on the whole seed."""
    rng = np.random.default_rng([settings.random_seed, 5])
    return fit_all((scorer,), known.space, known.taught, rng)[scorer]


def rank(
    representation: Representation, score: Score, size: int, left_out: Rows, on_users: Callable[[int], None]
) -> Ranking:
    """The exact first `size` of all users but those left out (ascending rows)."""
    return scan.rank(representation, [RankingRequest(score, size, left_out)], on_users)[0]


def tiers(count: int, tiers: int) -> Rows:
    """The tier of each rank, 1 for the first; tiers are of equal size as far as that goes."""
    return np.arange(count) * min(tiers, max(1, count)) // max(1, count) + 1

"""Held-out lift by slice of people: where the list gains, and where it gains nothing.

The held-out seeds of a slice are ranked among its own people, by the scores that the hold-out gave them. So no slice does
well merely because its people are more active than others, and nothing is fitted again.
"""

from collections.abc import Sequence

import numpy as np

from lookalike.data.arrays import Floats
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import BandSettings, EffectiveSample, lift_band
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import FoldScores, quantiles_of, rank_quantiles
from lookalike.expansion.people_cuts import Cut, Floor, cuts
from lookalike.expansion.result import Band
from lookalike.expansion.slice_figures import SliceFigures, SliceGroup, Slices, SliceVerdict
from lookalike.workspace.settings import ExpandSettings

SHARE = 0.05  # of the people of a slice
SMALL = 1.5  # a lift that a band must rule out to tell that there is no gain


def measure_slices(
    context: ExpansionContext, examples: Examples, held_out: Sequence[FoldScores], scorer: str
) -> Slices | None:
    """Lift within each slice by the scores of a hold-out; None when the seed is too small to be cut at all."""
    settings = context.settings
    strangers = int((examples.seed_index < 0).sum())
    if examples.seeds < settings.min_cell or not strangers:
        return None
    repeats = 1 + max(fold.repeat for fold in held_out)
    bands = BandSettings(settings.confidence, examples.effective_sample(settings.folds))
    everybody = lift_band(quantiles_of(held_out, repeats)[scorer], SHARE, bands)
    floor = Floor(settings.min_cell)
    groups = [
        SliceGroup(by=cut.by, slices=_figures(cut, examples, held_out, scorer, settings))
        for cut in cuts(context, examples, floor)
    ]
    return Slices(
        measured_on="hidden_seeds" if examples.as_now is None else "hidden_seeds_without_deeds",
        share=SHARE,
        lift=everybody.value,
        low=everybody.low,
        high=everybody.high,
        min_people=settings.min_cell,
        groups=tuple(groups),
    )


def _figures(
    cut: Cut,
    examples: Examples,
    held_out: Sequence[FoldScores],
    scorer: str,
    settings: ExpandSettings,
) -> tuple[SliceFigures, ...]:
    is_stranger = examples.seed_index < 0
    figures = []
    for number, label in enumerate(cut.labels):
        drawn = int((is_stranger & (cut.of_background == number)).sum())
        candidates = max(drawn, round(examples.candidates * drawn / int(is_stranger.sum())))
        # a fold ranks among a part of them only, so that they are a sample even where everybody is drawn
        bands = BandSettings(settings.confidence, EffectiveSample(drawn, min(settings.folds, examples.seeds)))
        quantiles = quantiles_within(cut, number, candidates, held_out, scorer)
        lift = lift_band(quantiles, SHARE, bands)
        figures.append(
            SliceFigures(
                label=label,
                candidates=candidates,
                seeds=quantiles.shape[1],
                lift=lift.value,
                low=lift.low,
                high=lift.high,
                verdict=slice_verdict(lift),
            )
        )
    return tuple(figures)


def quantiles_within(cut: Cut, number: int, candidates: int, held_out: Sequence[FoldScores], scorer: str) -> Floats:
    """The share of a slice's candidates that rank before each of its seeds, [R, seeds of the slice]."""
    own = cut.of_seed == number
    place = np.cumsum(own) - 1
    quantiles = np.empty((1 + max(fold.repeat for fold in held_out), int(own.sum())))
    for fold in held_out:
        seeds, pool = fold.scores[scorer]
        inside = own[fold.seed]
        among = pool[cut.of_background[fold.background] == number]
        quantiles[fold.repeat, place[fold.seed & own]] = rank_quantiles(
            seeds[inside], among, candidates, fold.tie_breaks[inside]
        )
    return quantiles


def slice_verdict(lift: Band) -> SliceVerdict:
    """Whether the list gains in a slice. A band from below chance to a lift that is worth having tells neither."""
    if lift.low > 1:
        return "gains"
    return "too_few" if lift.high > SMALL else "gains_nothing"

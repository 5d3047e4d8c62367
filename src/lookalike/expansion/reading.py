"""How the people of a seed are read: what the scorers learn from, and what they are measured on."""

from dataclasses import dataclass

import numpy as np

from lookalike.data.arrays import union
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.doers import Doers
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.forecast import Forecast, build_forecast
from lookalike.expansion.messages import (
    ExpansionWarning,
    NoForecast,
    PickedPart,
    SeedsWithNothingElse,
    SeedsWithoutHistory,
)
from lookalike.expansion.seed import SeedInput
from lookalike.expansion.seed_checks import check_others


@dataclass(frozen=True)
class Reading:
    """The people of a seed as they are read."""

    examples: Examples
    warnings: tuple[ExpansionWarning, ...] = ()
    forecast: Forecast | None = None  # what the scorers are measured on; hidden seeds if None


def read_examples(context: ExpansionContext, seed_input: SeedInput) -> Reading:
    """A seed with moments is read with everybody as they were then, one with a rule as if it had not fulfilled it.

    Raises ExpansionError when hardly anybody is left to compare it with.
    """
    examples = build_examples(context, seed_input.seed)
    check_others(len(examples.others))
    if seed_input.seed.doers is not None:
        return _read_without_deeds(context, seed_input, seed_input.seed.doers, examples)
    if seed_input.seed.moment is None:
        return Reading(examples)
    from lookalike.expansion.point_in_time import PointInTime, examples_at_moments

    with context.progress.step("embedding users as they were"):
        examples, without_history = examples_at_moments(PointInTime.of(context), seed_input.seed, examples)
    return Reading(examples, (SeedsWithoutHistory(seeds=without_history),) if without_history else ())


def _read_without_deeds(context: ExpansionContext, seed_input: SeedInput, doers: Doers, examples: Examples) -> Reading:
    from lookalike.expansion.without_deeds import examples_without_deeds, read_histories

    with context.progress.step("reading people as if they had not done it"):
        read = read_histories(context, seed_input.seed, doers, examples.rows)
        examples, without_history = examples_without_deeds(context, read, seed_input.seed, examples)
    with context.progress.step("looking for those who did it later"):
        seed = seed_input.seed
        nobody = union(seed.rows, seed.suppressed, doers.rows)
        forecast = build_forecast(
            read, examples, context.representation.users - len(nobody), context.settings.random_seed
        )
    warnings = (SeedsWithNothingElse(seeds=without_history),) if without_history else ()
    if examples.is_picked:
        warnings = (*warnings, PickedPart(others=len(np.setdiff1d(doers.rows, seed_input.seed.rows))))
    if forecast is None:
        warnings = (*warnings, NoForecast())
    return Reading(examples, warnings, forecast)

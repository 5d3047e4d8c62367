"""Everything that is known of an audience before the pass over all users."""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Rows
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.doers import Doers
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.forecast import Forecast, build_forecast
from lookalike.expansion.messages import (
    ExpansionWarning,
    ListedElsewhere,
    NoForecast,
    NothingToBalance,
    SeedsWithNothingElse,
    SeedsWithoutHistory,
)
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.result import Backtest, SeedProfile, Verdict
from lookalike.expansion.rule_summary import ForecastSummary, RuleUsed
from lookalike.expansion.seed import Part, SeedInput
from lookalike.expansion.seed_checks import MIN_SEEDS, profile_warnings
from lookalike.expansion.seed_profile import SubAudiences, find_sub_audiences, profile_seed
from lookalike.expansion.selection import Selection, fit_scorer, resolve_size, select
from lookalike.expansion.verdict import after_backtest
from lookalike.workspace.settings import ExpandSettings


@dataclass(frozen=True)
class Measurement:
    """An audience with its held-out figures, its verdict, and the request for its list."""

    audience: Audience
    input: SeedInput
    examples: Examples  # without the background's columns, which only fits need
    selection: Selection
    verdict: Verdict
    sub_audiences: SubAudiences
    profile: SeedProfile
    backtest: Backtest | None
    forecast: ForecastSummary | None
    request: RankingRequest | None  # None if no list is to be made
    warnings: tuple[ExpansionWarning, ...]


def measure(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput, *, force: bool, insist_on_backtest: bool
) -> Measurement:
    """Measures the scorers on held-out seeds, chooses one, gives the verdict, and fits the scorer that makes the list."""
    settings, layout, seed = context.settings, context.representation.layout, seed_input.seed
    size = resolve_size(audience.size, context.representation.users - len(seed.excluded))
    reading = read_examples(context, seed_input)
    examples, warnings = reading.examples, reading.warnings
    parts = find_sub_audiences(examples, layout, settings.random_seed)
    if audience.balance:
        examples, more = _balanced(examples, parts, seed_input)
        warnings += more
    with context.progress.step(*_measuring(reading.forecast, settings)) as advance:
        selection = select(examples, audience.scorer, size, settings, advance, reading.forecast)
    backtest = _backtest(context, seed_input, examples, selection, insist=insist_on_backtest)
    with context.progress.step("profiling the seed"):
        profile = profile_seed(examples, layout, parts, selection, settings)
    warnings += profile_warnings(profile, examples.seeds)
    if examples.listed_elsewhere:
        warnings += (ListedElsewhere(users=examples.listed_elsewhere),)
    for warning in warnings:
        context.progress.say(warning)
    verdict = after_backtest(
        selection.verdict, selection.lift_band, backtest.lifts[selection.scorer] if backtest else None
    )
    request = None
    if (verdict.expand or force) and examples.teaching >= MIN_SEEDS:
        score = fit_scorer(examples, selection.scorer, settings)
        request = RankingRequest(score, selection.size, seed.excluded)
    if verdict.expand and profile.splitting_reliable:
        verdict = verdict.model_copy(update={"parts": len(parts.parts)})
    forced = request is not None and not verdict.expand
    return Measurement(
        audience=audience,
        input=seed_input,
        examples=examples.without_background(),
        selection=selection,
        verdict=verdict.model_copy(update={"forced": forced}),
        sub_audiences=parts,
        profile=profile,
        backtest=backtest,
        forecast=_forecast_summary(reading.forecast),
        request=request,
        warnings=(*seed_input.warnings, *warnings),
    )


@dataclass(frozen=True)
class Reading:
    """How the people of a seed are read: what the scorers learn from, and what they are measured on."""

    examples: Examples
    warnings: tuple[ExpansionWarning, ...] = ()
    forecast: Forecast | None = None  # None: on hidden seeds


def read_examples(context: ExpansionContext, seed_input: SeedInput) -> Reading:
    """A seed with moments is read with everybody as they were then, one with a rule as if it had not fulfilled it."""
    examples = build_examples(context, seed_input.seed)
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

    rule = seed_input.rule
    assert rule is not None
    with context.progress.step("reading people as if they had not done it"):
        read = read_histories(context, seed_input.seed, doers, examples.rows)
        examples, without_history = examples_without_deeds(context, read, seed_input.seed, examples)
    with context.progress.step("looking for those who did it later"):
        seed = seed_input.seed
        nobody = np.union1d(np.union1d(seed.rows, seed.suppressed), doers.rows)
        forecast = build_forecast(read, examples, context.representation.users - len(nobody))
    context.progress.say(RuleUsed(rule=rule, matched=seed_input.match.matched))
    warnings = (SeedsWithNothingElse(seeds=without_history),) if without_history else ()
    if forecast is None:
        warnings = (*warnings, NoForecast())
    return Reading(examples, warnings, forecast)


def _measuring(forecast: Forecast | None, settings: ExpandSettings) -> tuple[str, int | None]:
    """What the step is called, and how many parts it has."""
    if forecast:
        return "measuring on those who did it later", None
    return "measuring on held-out seeds", settings.repeats * settings.folds


def _forecast_summary(forecast: Forecast | None) -> ForecastSummary | None:
    return (
        ForecastSummary(cut=forecast.moment, later=len(forecast.later), candidates=forecast.candidates)
        if forecast
        else None
    )


def split_by_sub_audience(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput
) -> list[tuple[Audience, SeedInput]]:
    """Each sub-audience of the seed as an audience of its own. Nobody of the whole seed is listed in any of them.

    Raises ExpansionError when the seed is one audience.
    """
    examples = read_examples(context, seed_input).examples
    of = find_sub_audiences(examples, context.representation.layout, context.settings.random_seed).of
    if not of.any():
        raise ExpansionError(
            "the seed is one audience: no stable sub-audiences found",
            "leave --split out; groups that you know yourself can be seeds of their own",
        )
    count = int(of.max()) + 1
    return [
        _part(audience, seed_input, examples.rows[of == number], Part(number + 1, count), len(of))
        for number in range(count)
    ]


def _part(audience: Audience, seed_input: SeedInput, rows: Rows, part: Part, seeds: int) -> tuple[Audience, SeedInput]:
    """One part of `seeds` seeds, with its share of the list."""
    whole = seed_input.seed
    # the other parts leave the background too: they are not strangers to this part, and it must not find them
    suppressed = np.union1d(whole.suppressed, np.setdiff1d(whole.rows, rows))
    # each part is taught by its own people alone: other doers would make all lists alike
    doers = None if whole.doers is None else whole.doers.only(rows)
    seed = replace(whole.subset(np.isin(whole.rows, rows)), suppressed=suppressed, doers=doers)
    own = replace(
        audience,
        name=f"{audience.name}-{part.number}",
        size=audience.size.part(len(rows) / seeds),
        named=False,  # a given name was not the part's: it must not replace another seed's list
    )
    return own, replace(seed_input, seed=seed, part=part)


def _balanced(
    examples: Examples, parts: SubAudiences, seed_input: SeedInput
) -> tuple[Examples, tuple[ExpansionWarning, ...]]:
    """With the sub-audiences whose shares the list is to keep."""
    if seed_input.seed.doers is not None:
        raise SettingsError(
            "--balance keeps the shares of seeds as they are, and these are read without what they have done",
            "--as-of-now, or leave --balance out",
        )
    if seed_input.seed.dropped_columns:
        raise SettingsError(
            "--balance reads the user embedding, which --drop-features removes", "leave one of them out"
        )
    if not parts.parts:
        return examples, (NothingToBalance(),)
    return replace(examples, sub_audience=parts.of), ()


def _backtest(
    context: ExpansionContext, seed_input: SeedInput, examples: Examples, selection: Selection, *, insist: bool
) -> Backtest | None:
    """How the list of an earlier day would have done; None if the seed has no moments, or too few."""
    if seed_input.seed.moment is None:
        return None
    from lookalike.expansion.backtest import run_backtest
    from lookalike.expansion.point_in_time import PointInTime

    try:
        with context.progress.step("backtesting on the latest seeds"):
            return run_backtest(PointInTime.of(context), seed_input.seed, examples, selection)
    except ExpansionError:
        if insist:
            raise
        return None

"""Everything that is known of an audience before the pass over all users."""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Rows, union
from lookalike.encoder.block_figures import BlockComparison
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.audience import Audience
from lookalike.expansion.block_fits import compare_blocks
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples
from lookalike.expansion.forecast import Forecast
from lookalike.expansion.judgement import judge, judge_without
from lookalike.expansion.messages import ExpansionWarning, ListedElsewhere, NothingToBalance
from lookalike.expansion.permutation_test import permutation_test
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.reading import Reading, read_examples
from lookalike.expansion.result import Backtest, SeedProfile, Verdict
from lookalike.expansion.seed import Part, SeedInput
from lookalike.expansion.seed_checks import MIN_SEEDS, profile_warnings
from lookalike.expansion.seed_profile import SubAudiences, find_sub_audiences, held_out_once, profile_seed
from lookalike.expansion.seed_summary import ForecastSummary, RuleUsed
from lookalike.expansion.selection import DEFAULT_SHARE, Selection, fit_scorer, resolve_size
from lookalike.expansion.slice_figures import Slices
from lookalike.expansion.slices import measure_slices
from lookalike.expansion.verdict import is_like_random


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
    slices: Slices | None
    blocks: BlockComparison | None
    request: RankingRequest | None  # None if no list is to be made
    warnings: tuple[ExpansionWarning, ...]


def measure(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput, *, force: bool, insist_on_backtest: bool
) -> Measurement:
    """Measures the scorers on held-out seeds, chooses one, gives the verdict, and fits the scorer that makes the list."""
    settings, layout, seed = context.settings, context.representation.layout, seed_input.seed
    resolve_size(audience.size, context.representation.users - len(seed.excluded))  # raises before people are read
    reading = read_examples(context, seed_input)
    if seed_input.rule is not None:
        context.progress.say(RuleUsed(rule=seed_input.rule))
    parts = find_sub_audiences(reading.examples, layout, settings.random_seed)
    if audience.balance:
        reading = _balanced(reading, parts, seed_input)
    judgement = judge(context, audience, seed_input, reading, insist_on_backtest)
    examples, selection, verdict = reading.examples, judgement.selection, judgement.verdict
    with context.progress.step("profiling the seed"):
        # a forecast ranks who did it later, mostly too few to be cut: slices are of hidden seeds, read without the deeds
        held_out = selection.held_out or tuple(held_out_once(examples, selection.scorer, settings))
        once = [fold for fold in held_out if fold.repeat == 0]
        profile = profile_seed(examples, layout, parts, selection, settings, once)
        slices = measure_slices(context, examples, held_out, selection.scorer)
        blocks = compare_blocks(examples, settings)
    may_split = profile.splitting_reliable and not is_like_random(verdict.permutation_test, settings.confidence)
    each = _parts(audience, seed_input, examples.rows, parts.of) if may_split else []
    profile = _with_advice_tried(context, audience, seed_input, profile, each)
    warnings = reading.warnings + profile_warnings(profile, examples.seeds)
    if examples.listed_elsewhere:
        warnings += (ListedElsewhere(users=examples.listed_elsewhere),)
    for warning in warnings:
        context.progress.say(warning)
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
        backtest=judgement.backtest,
        forecast=_forecast_summary(reading.forecast),
        slices=slices,
        blocks=blocks,
        request=request,
        warnings=(*seed_input.warnings, *warnings),
    )


def _with_advice_tried(
    context: ExpansionContext,
    audience: Audience,
    seed_input: SeedInput,
    profile: SeedProfile,
    parts: list[tuple[Audience, SeedInput]],
) -> SeedProfile:
    """The profile with what would come of its advice, so that nobody who follows it is told the contrary. `parts` are the
    seed's sub-audiences as audiences of their own, none if it must not be split."""
    changes: dict[str, float | bool | str] = {}
    if profile.leaks:
        without = judge_without(context, audience, seed_input, tuple(leak.column for leak in profile.leaks))
        changes |= {
            "lift_without_leaks": without.promise.value,
            "expand_without_leaks": without.verdict.expand,
            "scorer_without_leaks": without.audience.scorer,
        }
    if profile.splitting_reliable:
        changes["splitting_reliable"] = bool(parts) and all(_is_worth_a_list(context, *part) for part in parts)
    return profile.model_copy(update=changes)


def _is_worth_a_list(context: ExpansionContext, audience: Audience, seed_input: SeedInput) -> bool:
    try:
        return judge(context, audience, seed_input, read_examples(context, seed_input)).verdict.expand
    except ExpansionError:
        return False


def _forecast_summary(forecast: Forecast | None) -> ForecastSummary | None:
    return (
        ForecastSummary(
            cut=forecast.moment,
            later=len(forecast.later),
            candidates=forecast.candidates,
            seeds_only=forecast.seeds_only,
        )
        if forecast
        else None
    )


def split_by_sub_audience(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput, force: bool = False
) -> list[tuple[Audience, SeedInput]]:
    """Each sub-audience of the seed as an audience of its own. Nobody of the whole seed is listed in any of them.

    Raises ExpansionError when the seed is one audience, and unless `force` is set when it cannot be told from random
    people: where everybody is in one of a few groups, so are those, and each part is recognised by its group.
    """
    settings = context.settings
    examples = read_examples(context, seed_input).examples
    of = find_sub_audiences(examples, context.representation.layout, settings.random_seed).of
    if not of.any():
        raise ExpansionError(
            "the seed is one audience: no stable sub-audiences found",
            "leave --split out; groups that you know yourself can be seeds of their own",
        )
    if not force and is_like_random(permutation_test(examples, DEFAULT_SHARE, settings), settings.confidence):
        raise ExpansionError(
            "the seed cannot be told from random people who are as active, so its parts are only parts of everybody",
            "give people who have something in common; --force makes the lists all the same",
        )
    return _parts(audience, seed_input, examples.rows, of)


def _parts(audience: Audience, seed_input: SeedInput, rows: Rows, of: Rows) -> list[tuple[Audience, SeedInput]]:
    """The parts of a seed, given the part of each of its rows."""
    count = int(of.max()) + 1
    return [
        _part(audience, seed_input, rows[of == number], Part(number + 1, count), len(of)) for number in range(count)
    ]


def _part(audience: Audience, seed_input: SeedInput, rows: Rows, part: Part, seeds: int) -> tuple[Audience, SeedInput]:
    """One part of `seeds` seeds, with its share of the list."""
    whole = seed_input.seed
    # the other parts leave the background too: they are not strangers to this part, and it must not find them
    suppressed = union(whole.suppressed, np.setdiff1d(whole.rows, rows))
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


def _balanced(reading: Reading, parts: SubAudiences, seed_input: SeedInput) -> Reading:
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
        return replace(reading, warnings=(*reading.warnings, NothingToBalance()))
    return replace(reading, examples=replace(reading.examples, sub_audience=parts.of))

"""The evaluation of one expansion, and its folder: list, evaluation.json and manifest.json."""

from dataclasses import asdict, dataclass
from pathlib import Path

from lookalike.expansion import metrics
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import RANDOM, curve_shares, lift_curve, marginal_band, random_curve, scorer_figures
from lookalike.expansion.earlier_list import earlier_manifest, is_repeat, list_change
from lookalike.expansion.examples import Examples, effective_sample_size
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.list_change import ListChange
from lookalike.expansion.manifest import Counts, ExpansionManifest, ManifestSource
from lookalike.expansion.measurement import Measurement
from lookalike.expansion.messages import EscapedIds, ExpansionWarning
from lookalike.expansion.prospects import ProspectList, check_nobody_barred, describe, write_list
from lookalike.expansion.result import (
    CurvePoint,
    Evaluation,
    HeldOut,
    ListDescription,
    RepresentationSource,
    SeedSummary,
)
from lookalike.expansion.scorer_selection import AUTO
from lookalike.expansion.seed_checks import share_warnings
from lookalike.expansion.seed_summary import ForecastSummary
from lookalike.expansion.selection import Selection
from lookalike.workspace.files import Replaced, new_folder, sha256
from lookalike.workspace.provenance import library_versions, utc_now
from lookalike.workspace.settings import ExpandSettings


@dataclass(frozen=True)
class Written:
    """An expansion on disk."""

    evaluation: Evaluation
    manifest: ExpansionManifest
    folder: Path
    change: ListChange | None  # what it differs in from the one before it, if there was another


def write_expansion(context: ExpansionContext, measurement: Measurement, prospects: ProspectList | None) -> Written:
    """Describes the list, if there is one, and writes the audience's folder, which keeps the list that was there.

    Only the same list again takes its place.
    """
    audience, warnings = measurement.audience, measurement.warnings
    description = None
    if prospects is not None:
        check_nobody_barred(prospects, measurement.input.seed.excluded, measurement.input.barred)
        prospects, description = describe(context, measurement, prospects)
        warnings += _said(context, share_warnings(description.shares))
    folder = context.folder.audience(audience.name)
    earlier, change = earlier_manifest(folder), None
    with new_folder(folder, lambda _: Replaced.MERGED if is_repeat(earlier, manifest) else Replaced.KEPT) as new:
        if prospects is not None and (escaped := write_list(prospects, new, audience.format)):
            warnings += _said(context, (EscapedIds(ids=escaped),))
        count = len(prospects.rows) if prospects else 0
        evaluation = evaluate(context, measurement, _Outcome(count, description, warnings))
        evaluation.write(new / "evaluation.json")
        manifest = _manifest(context, measurement, evaluation, new)
        manifest.write(new / "manifest.json")
        if earlier is not None and not is_repeat(earlier, manifest):
            change = list_change(folder, earlier, manifest, prospects.frame if prospects else None)
    if change:
        context.progress.say(change)
    return Written(evaluation, manifest, folder, change)


def _said(context: ExpansionContext, warnings: tuple[ExpansionWarning, ...]) -> tuple[ExpansionWarning, ...]:
    for warning in warnings:
        context.progress.say(warning)
    return warnings


@dataclass(frozen=True)
class _Outcome:
    """What became of the list."""

    prospects: int
    description: ListDescription | None
    warnings: tuple[ExpansionWarning, ...]


def evaluate(context: ExpansionContext, measurement: Measurement, outcome: _Outcome) -> Evaluation:
    """All figures of an expansion."""
    selection, examples, settings = measurement.selection, measurement.examples, context.settings
    return Evaluation(
        name=measurement.audience.name,
        created=utc_now(),
        as_of=context.cut.as_of,
        scorer=selection.scorer,
        requested_scorer=measurement.audience.scorer,
        verdict=measurement.verdict,
        size=selection.size,
        requested_size=str(measurement.audience.size),
        universe=context.representation.users - len(measurement.input.seed.outside),
        candidates=examples.candidates - examples.listed_elsewhere,
        prospects=outcome.prospects,
        confidence=settings.confidence,
        folds=min(settings.folds, examples.seeds),
        repeats=settings.repeats,
        held_out=_held_out(examples, selection, settings, measurement.forecast),
        curves=_curves(selection),
        scorers=scorer_figures(selection.quantiles, selection.scorer, selection.share, selection.bands),
        seed=_seed_summary(measurement),
        suppression=measurement.input.suppression,
        seed_profile=measurement.profile,
        backtest=measurement.backtest,
        rule=measurement.input.rule,
        where=measurement.input.where,
        forecast=measurement.forecast,
        slices=measurement.slices,
        blocks=measurement.blocks,
        balanced=examples.sub_audience is not None,
        prospect_list=outcome.description,
        representation=_source(context),
        settings={f"expand.{name}": value for name, value in asdict(settings).items()},
        warnings=outcome.warnings,
    )


def _curves(selection: Selection) -> dict[str, tuple[CurvePoint, ...]]:
    """Each method's curve; the chosen scorer's is the one the list is judged by."""
    shares = curve_shares(selection.candidates, selection.share)
    quantiles = {name: values for name, values in selection.quantiles.items() if name != AUTO}
    quantiles |= {selection.scorer: selection.own_quantiles}
    curves = {
        name: lift_curve(values, shares, selection.candidates, selection.bands) for name, values in quantiles.items()
    }
    return curves | {RANDOM: random_curve(shares, selection.candidates)}


def _held_out(
    examples: Examples, selection: Selection, settings: ExpandSettings, forecast: ForecastSummary | None = None
) -> HeldOut:
    """The figures at the requested size."""
    begin, end = selection.requested.begin, selection.requested.end
    quantiles = selection.own_quantiles
    lift = selection.lift_band
    recall = lift.scaled(end - begin)
    activity = marginal_band(selection.quantiles[ACTIVITY], begin, end, selection.bands)
    hidden, candidates = examples.seeds // min(settings.folds, examples.seeds), examples.candidates  # seeds in one fold
    if forecast:
        hidden, candidates = forecast.later, forecast.candidates
    return HeldOut(
        size=selection.size,
        share=selection.share,
        lift=lift.value,
        low=lift.low,
        high=lift.high,
        activity_lift=activity.value,
        activity_low=activity.low,
        activity_high=activity.high,
        # all of them in front of the candidates they hide among
        max_lift=1 / max(selection.share, hidden / (candidates + hidden)),
        recall=recall.value,
        recall_low=recall.low,
        recall_high=recall.high,
        precision_floor=metrics.precision_floor(recall.value, hidden, selection.share * candidates),
        partial_auc=metrics.partial_auc(quantiles),
        gain=metrics.gain(quantiles),
        value_lift=metrics.lift(quantiles, selection.share, None if forecast else examples.weight),
        largest=selection.largest_size,
    )


def _seed_summary(measurement: Measurement) -> SeedSummary:
    seed, part = measurement.input.seed, measurement.input.part
    return SeedSummary(
        **dict(measurement.input.match),
        valued=seed.value is not None,
        negatives=len(seed.negatives),
        point_in_time=seed.moment is not None,
        used=measurement.examples.seeds,
        effective=effective_sample_size(measurement.examples.weight),
        part=part.number if part else None,
        parts=part.parts if part else None,
    )


def _source(context: ExpansionContext) -> RepresentationSource:
    representation = context.representation
    return RepresentationSource(
        version=representation.version,
        run=representation.manifest.run,
        blocks=representation.manifest.blocks,
        trained=representation.manifest.created,
    )


def _manifest(
    context: ExpansionContext, measurement: Measurement, evaluation: Evaluation, folder: Path
) -> ExpansionManifest:
    """The manifest of the files that are in the folder by now."""
    vectors = context.representation.folder / "manifest.json"
    return ExpansionManifest(
        name=evaluation.name,
        created=evaluation.created,
        audience=measurement.audience.record(),
        settings=evaluation.settings,
        inputs=measurement.input.inputs,
        representation=ManifestSource(**dict(evaluation.representation), sha256=sha256(vectors)),
        counts=Counts(
            universe=evaluation.universe,
            candidates=evaluation.candidates,
            prospects=evaluation.prospects,
            seed=evaluation.seed,
            suppression=evaluation.suppression,
        ),
        versions=library_versions(),
        outputs={file.name: sha256(file) for file in sorted(folder.iterdir())},
    )

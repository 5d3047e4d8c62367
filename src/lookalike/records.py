"""What an expansion found, as the plain values that evaluation.json, `expand --json` and the report are made of."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from lookalike import evaluation, insights, metrics
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.evaluation import Examples
from lookalike.expansion import AUTO, Choice
from lookalike.settings import ExpandSettings

Result = dict[str, Any]


def evaluation_record(
    audience: Audience, settings: ExpandSettings, representation: Representation, known: Examples, choice: Choice
) -> Result:
    """All that was measured, as evaluation.json holds it."""
    confidence, quantiles = settings.confidence, choice.quantiles
    doubt = known.doubt(settings.folds)
    curves_of = {name: values for name, values in quantiles.items() if name != AUTO} | {choice.scorer: choice.found}
    at = evaluation.shares(known.candidates, choice.share)
    curves = {
        name: evaluation.curve(values, at, known.candidates, confidence, doubt) for name, values in curves_of.items()
    }
    manifest = representation.manifest
    return {
        "name": audience.name,
        "as_of": manifest["as_of"],
        "scorer": choice.scorer,
        "requested_scorer": audience.scorer,
        "verdict": _verdict(choice),
        "size": choice.size,
        "requested_size": str(audience.size),
        "universe": representation.users,
        "candidates": known.candidates - known.taken,
        "prospects": 0,
        "confidence": confidence,
        "folds": min(settings.folds, known.seeds),
        "repeats": settings.repeats,
        "held_out": _held_out(known, choice, settings),
        "curves": curves | {evaluation.RANDOM: evaluation.random_curve(at, known.candidates)},
        "scorers": evaluation.summary(quantiles, choice.scorer, choice.share, confidence, doubt),
        "tiers": [],
        "insights": None,
        "between_tiers": None,
        "shares": [],
        "reasons": None,
        "representation": {
            "version": representation.folder.name,
            "run": manifest["run"],
            "blocks": manifest["blocks"],
            "trained": manifest["created"],
        },
        "settings": {f"expand.{key}": value for key, value in asdict(settings).items()},
    }


def _verdict(choice: Choice) -> Result:
    verdict = choice.verdict
    return {
        "decision": verdict.decision,
        "advice": verdict.advice,
        "up_to": verdict.up_to,
        "parts": verdict.parts,
        "reasons": list(verdict.reasons),
        "against": list(verdict.against),
        "careful": list(verdict.careful),
        "forced": False,
        "against_random": asdict(choice.against),
    }


def _held_out(known: Examples, choice: Choice, settings: ExpandSettings) -> Result:
    """The figures at the size asked for."""
    confidence, doubt = settings.confidence, known.doubt(settings.folds)
    begin, end = choice.asked.begin, min(1.0, choice.asked.begin + choice.share)
    lift = evaluation.marginal_band(choice.found, begin, end, confidence, doubt)
    recall = lift.times(end - begin)
    activity = evaluation.marginal_band(choice.quantiles[evaluation.ACTIVITY], begin, end, confidence, doubt)
    hidden = known.seeds // min(settings.folds, known.seeds)
    return {
        "size": choice.size,
        "share": choice.share,
        "lift": lift.value,
        "low": lift.low,
        "high": lift.high,
        "activity_lift": activity.value,
        "activity_low": activity.low,
        "activity_high": activity.high,
        # a fold's seeds, all in front, among the candidates and themselves
        "max_lift": 1 / max(choice.share, hidden / (known.candidates + hidden)),
        "recall": recall.value,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "precision_floor": metrics.precision_floor(recall.value, hidden, choice.size),
        "partial_auc": metrics.partial_auc(choice.found),
        "gain": metrics.gain(choice.found),
        "value_lift": metrics.lift(choice.found, choice.share, known.weight),
        "largest": choice.largest,
    }


def tier_lifts(known: Examples, choice: Choice, tiers: list[Result], settings: ExpandSettings) -> list[Result]:
    """The tiers, each with the lift of its ranks alone."""
    doubt = known.doubt(settings.folds)
    made = []
    for tier in tiers:
        begin = choice.asked.begin
        first, last = (begin + rank / known.candidates for rank in (tier["from_rank"] - 1, tier["to_rank"]))
        band = evaluation.marginal_band(choice.found, min(first, 1.0), min(last, 1.0), settings.confidence, doubt)
        made.append(tier | {"lift": band.value, "lift_low": band.low, "lift_high": band.high})
    return made


def list_record(prospects: pl.DataFrame) -> Result:
    """How long the list is, and its tiers."""
    by_tier = prospects.group_by("tier", maintain_order=True).agg(
        from_rank=pl.col("rank").min(),
        to_rank=pl.col("rank").max(),
        users=pl.len(),
        highest_score=pl.col("score").max(),
        lowest_score=pl.col("score").min(),
    )
    return {"prospects": len(prospects), "tiers": by_tier.to_dicts()}


def insights_record(counts: pl.DataFrame, looked: insights.Looked, min_cell: int) -> Result:
    """What one group of users does more and less than another."""
    return {
        "audience_users": looked.audience,
        "base_users": looked.base,
        "min_cell": min_cell,
        "groups": insights.groups(counts, looked, min_cell),
    }


def expand_summary(found: Result, folder: Path, form: str) -> Result:
    """What `expand --json` prints."""
    held = found["held_out"]
    return {
        "name": found["name"],
        "scorer": found["scorer"],
        "verdict": found["verdict"]["decision"],
        "advice": found["verdict"]["advice"],
        "up_to": found["verdict"]["up_to"],
        "reasons": found["verdict"]["reasons"],
        "against": found["verdict"]["against"],
        "careful": found["verdict"]["careful"],
        "size": found["size"],
        "candidates": found["candidates"],
        "matched": found["seed"]["matched"],
        "match_rate": found["seed"]["match_rate"],
        "used": found["seed"]["used"],
        "suppression": found["suppression"],
        "lift": held["lift"],
        "lift_low": held["low"],
        "lift_high": held["high"],
        "activity_lift": held["activity_lift"],
        "backtest": _backtested(found),
        "prospects": str(folder / f"prospects.{form}") if found["prospects"] else None,
        "reasons_of_each": str(folder / f"reasons.{form}") if found["reasons"] else None,
        "evaluation": str(folder / "evaluation.json"),
    }


def _backtested(found: Result) -> Result | None:
    """The lift of the list of an earlier day, and of the plain figures alone, which nothing of later has touched."""
    if not found["backtest"]:
        return None
    lifts = found["backtest"]["lifts"]
    return {"cut": found["backtest"]["cut"], **lifts[found["scorer"]], "plain_lift": lifts["plain"]["lift"]}

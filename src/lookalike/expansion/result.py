"""What an expansion found, as the plain values that evaluation.json, `expand --json` and the report are made of."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from lookalike.embeddings.representation import Representation
from lookalike.expansion import holdout, metrics, over_index
from lookalike.expansion.audience import Audience
from lookalike.expansion.curves import RANDOM, curve_shares, lift_curve, marginal_band, random_curve, scorer_figures
from lookalike.expansion.examples import Examples
from lookalike.expansion.selection import AUTO, Selection
from lookalike.workspace.settings import ExpandSettings

Result = dict[str, Any]


def evaluation_record(
    audience: Audience, settings: ExpandSettings, representation: Representation, known: Examples, choice: Selection
) -> Result:
    """All that was measured, as evaluation.json holds it."""
    confidence, quantiles = settings.confidence, choice.quantiles
    doubt = known.doubt(settings.folds)
    curves_of = {name: values for name, values in quantiles.items() if name != AUTO} | {choice.scorer: choice.found}
    at = curve_shares(known.candidates, choice.share)
    curves = {name: lift_curve(values, at, known.candidates, confidence, doubt) for name, values in curves_of.items()}
    manifest = representation.manifest
    return {
        "name": audience.name,
        "as_of": manifest.as_of.isoformat(),
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
        "curves": curves | {RANDOM: random_curve(at, known.candidates)},
        "scorers": scorer_figures(quantiles, choice.scorer, choice.share, confidence, doubt),
        "tiers": [],
        "insights": None,
        "between_tiers": None,
        "shares": [],
        "reasons": None,
        "representation": {
            "version": representation.folder.name,
            "run": manifest.run,
            "blocks": manifest.blocks,
            "trained": manifest.created,
        },
        "settings": {f"expand.{key}": value for key, value in asdict(settings).items()},
    }


def _verdict(choice: Selection) -> Result:
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


def _held_out(known: Examples, choice: Selection, settings: ExpandSettings) -> Result:
    """The figures at the size asked for."""
    confidence, doubt = settings.confidence, known.doubt(settings.folds)
    begin, end = choice.asked.begin, min(1.0, choice.asked.begin + choice.share)
    lift = marginal_band(choice.found, begin, end, confidence, doubt)
    recall = lift.times(end - begin)
    activity = marginal_band(choice.quantiles[holdout.ACTIVITY], begin, end, confidence, doubt)
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


def tier_lifts(known: Examples, choice: Selection, tiers: list[Result], settings: ExpandSettings) -> list[Result]:
    """The tiers, each with the lift of its ranks alone."""
    doubt = known.doubt(settings.folds)
    made = []
    for tier in tiers:
        begin = choice.asked.begin
        first, last = (begin + rank / known.candidates for rank in (tier["from_rank"] - 1, tier["to_rank"]))
        band = marginal_band(choice.found, min(first, 1.0), min(last, 1.0), settings.confidence, doubt)
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


def insights_record(counts: pl.DataFrame, looked: over_index.GroupSizes, min_cell: int) -> Result:
    """What one group of users does more and less than another."""
    return {
        "audience_users": looked.audience,
        "base_users": looked.base,
        "min_cell": min_cell,
        "groups": over_index.over_index_groups(counts, looked, min_cell),
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

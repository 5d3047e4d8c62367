"""What the report shows besides the verdict, as text: key figures, curves, scorers, tiers, counts, settings."""

import math
from typing import Literal, NamedTuple

from lookalike.expansion.result import CurvePoint, Evaluation, ScorerFigures
from lookalike.expansion.suppression_figures import Suppression
from lookalike.reporting.formatting import (
    Label,
    band,
    clean,
    count,
    label,
    likely,
    listed,
    moment,
    people,
    percent,
    percent_band,
    plural,
    score,
    times,
)
from lookalike.reporting.rule_section import measured_by

Measure = Literal["lift", "recall"]
ROUND_SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
BASELINES = ("centroid", "activity", "random")
METHOD_NAMES = {"activity": "activity alone", "random": "random pick"}


class Figure(NamedTuple):
    """One key figure: its name, its value, and a line that puts it in context."""

    name: str
    value: str
    note: str = ""


class Method(NamedTuple):
    """A line of the curves: its key in `curves`, its name for people, and its role in the chart."""

    key: str
    name: str
    role: str


# --- key figures -----------------------------------------------------------------------------------------------------


def _suppressed(suppression: Suppression) -> str:
    if not suppression.given:
        return ""
    alike = f", and {count(suppression.alike)} with an id like them" if suppression.alike else ""
    verb = "is" if suppression.given == 1 and not alike else "are"
    return f"; {count(suppression.matched)} of {plural(suppression.given, 'id', 'ids')} given{alike} {verb} suppressed"


def key_figures(evaluation: Evaluation) -> list[Figure]:
    """The key figures, in the order in which people ask for them."""
    seed, suppression = evaluation.seed, evaluation.suppression
    held, promise = evaluation.held_out, evaluation.promise
    unused = seed.matched - seed.used if seed.point_in_time else 0
    found, whom = ("Hidden seed people found", "held out")
    if evaluation.forecast:
        found, whom = ("Later people found", "looked for")
    return [
        Figure(
            "Audience",
            count(evaluation.prospects),
            requested_size(evaluation) if evaluation.prospects else "no list written",
        ),
        Figure(
            "Candidates",
            count(evaluation.candidates),
            f"of {people(evaluation.universe)} eligible{_suppressed(suppression)}",
        ),
        Figure(
            "Seed match rate",
            percent(seed.match_rate),
            f"{count(seed.matched)} of {count(seed.distinct)} ids; {count(seed.used)} used"
            + (f"; {count(unused)} had no earlier event" if unused else ""),
        ),
        Figure(
            f"Lift at {people(held.size)}",
            times(promise.value),
            f"{likely(promise.low, promise.high)}; at most {times(held.max_lift)} is possible",
        ),
        Figure(
            found,
            percent(held.recall),
            f"{percent_band(held.recall_low, held.recall_high)} of those {whom}",
        ),
        Figure(
            "Largest list worth taking",
            *_largest(evaluation),
        ),
    ]


def _largest(evaluation: Evaluation) -> tuple[str, str]:
    """The largest list worth taking, and what that means. A list that is to be made is never called worth nothing."""
    largest, floor = evaluation.held_out.largest, float(evaluation.settings["expand.min_lift"])
    better = "better than chance" if floor <= 1 else f"above {times(floor)}"
    if largest is not None and not evaluation.verdict.expand:
        return "none", "other checks speak against a list of any size"
    if largest is not None:
        return count(largest), f"its last half is reliably {better}"
    if evaluation.verdict.expand:
        return "not known", f"too few people to tell where the last half stops being {better}"
    return "none", f"no size has a last half reliably {better}"


def requested_size(evaluation: Evaluation) -> str:
    """The requested size, in the words of the request."""
    requested = clean(evaluation.requested_size, 40)
    if requested.isdecimal():
        return (
            "as many as requested"
            if evaluation.size == evaluation.prospects
            else f"{people(evaluation.size)} requested"
        )
    return f"requested: {requested}, which is {people(evaluation.size)}"


# --- lift and recall by size -----------------------------------------------------------------------------------------


def methods(evaluation: Evaluation) -> list[Method]:
    """The chosen scorer first, then the baselines that have a curve."""
    chosen = evaluation.scorer
    name = f"{clean(METHOD_NAMES.get(chosen, chosen), 40)} (chosen)"
    baselines = [key for key in BASELINES if key in evaluation.curves and key != chosen]
    return [Method(chosen, name, "chosen"), *(Method(key, METHOD_NAMES.get(key, key), key) for key in baselines)]


def points(evaluation: Evaluation, method: str) -> dict[float, CurvePoint]:
    """A method's curve by share, smallest first."""
    return {point.share: point for point in sorted(evaluation.curves[method], key=lambda point: point.share)}


def value_and_band(point: CurvePoint | None, measure: Measure) -> tuple[str, str]:
    """A point's lift or recall, and its band."""
    if point is None:
        return (clean(None), clean(None))
    if measure == "lift":
        return times(point.lift), band(point.lift_low, point.lift_high)
    return percent(point.recall), percent_band(point.recall_low, point.recall_high)


def curve_rows(evaluation: Evaluation, measure: Measure, *, few: bool = False) -> list[list[str]]:
    """Rows of share, people, then the chosen scorer's figure and band, then each baseline's figure.

    `few` gives about eight sizes. All sizes of lift have one more cell: the lift of the people since the size before.
    """
    curves = [points(evaluation, method.key) for method in methods(evaluation)]
    shares = list(curves[0])
    rows = []
    for share in round_shares(shares, evaluation.held_out.share) if few else shares:
        point = curves[0][share]
        row = [percent(share), count(point.size), *value_and_band(point, measure)]
        row += [value_and_band(curve.get(share), measure)[0] for curve in curves[1:]]
        if measure == "lift" and not few:
            row.append(f"{times(point.marginal)} ({band(point.marginal_low, point.marginal_high)})")
        rows.append(row)
    return rows


def round_shares(shares: list[float], requested: float) -> list[float]:
    """The measured shares nearest to round ones, and to the requested one."""
    wanted = (*ROUND_SHARES, requested)
    return sorted({min(shares, key=lambda share: abs(math.log(share / want))) for want in wanted})


def curve_description(evaluation: Evaluation, measure: Measure) -> str:
    """What a curve shows, for somebody who cannot see it."""
    held, lines = evaluation.held_out, methods(evaluation)
    curve = list(points(evaluation, lines[0].key).values())
    first, last = curve[0], curve[-1]
    text = (
        f"Line chart of {measure} by audience size for {listed(line.name for line in lines)}. "
        f"{lines[0].name} goes from {value_and_band(first, measure)[0]} in the first {percent(first.share)} "
        f"to {value_and_band(last, measure)[0]} at {percent(last.share)}. At {people(held.size)}, the requested size, it is "
    )
    if measure == "lift":
        return f"{text}{times(held.lift)} ({likely(held.low, held.high)})."
    return f"{text}{percent(held.recall)}."


# --- the scorers and the tiers ---------------------------------------------------------------------------------------


def scorers(evaluation: Evaluation) -> list[ScorerFigures]:
    """The scorers measured, best lift first."""
    return sorted(evaluation.scorers, key=lambda figures: (-figures.lift, figures.name))


def scorer_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of name, lift, band, AUC, AUC of the first 5 %, and whether it was chosen."""
    return [
        [
            clean(figures.name, 40),
            times(figures.lift),
            band(figures.low, figures.high),
            score(figures.auc),
            score(figures.partial_auc),
            "chosen" if figures.chosen else "",
        ]
        for figures in scorers(evaluation)
    ]


def scorer_description(evaluation: Evaluation) -> str:
    """What the chart of the scorers shows, for somebody who cannot see it."""
    rows = "; ".join(f"{row[0]} {row[1]} ({row[2]}){', chosen' if row[5] else ''}" for row in scorer_rows(evaluation))
    return f"Lift at the requested size, by scorer: {rows}."


def centroid_tie(evaluation: Evaluation) -> str:
    """A sentence if the plain centroid's lift lies within the chosen scorer's band, else nothing."""
    by_name = {figures.name: figures for figures in evaluation.scorers}
    chosen, centroid = by_name.get(evaluation.scorer), by_name.get("centroid")
    if chosen is None or centroid is None or chosen is centroid or centroid.lift < chosen.low:
        return ""
    return (
        "The plain centroid's lift lies within the chosen scorer's band: the gain over the plain method is uncertain."
    )


def tier_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of tier, ranks, people, scores, and the lift of the tier alone with its band."""
    return [
        [
            str(tier.tier),
            f"{count(tier.from_rank)} to {count(tier.to_rank)}",
            count(tier.users),
            f"{score(tier.highest_score)} to {score(tier.lowest_score)}",
            times(tier.lift),
            band(tier.lift_low, tier.lift_high),
        ]
        for tier in (evaluation.prospect_list.tiers if evaluation.prospect_list else ())
    ]


# --- where the figures come from -------------------------------------------------------------------------------------


def provenance(evaluation: Evaluation) -> list[tuple[str, str]]:
    """When, from what, and how the figures were measured."""
    source = evaluation.representation
    blocks = ", ".join(f"{clean(name, 40)} ({count(width)})" for name, width in source.blocks.items())
    return [
        ("Made", moment(evaluation.created)),
        ("Events before", moment(evaluation.as_of)),
        ("Scorer", f"{clean(evaluation.scorer, 40)} (requested: {clean(evaluation.requested_scorer, 40)})"),
        ("Measured by", measured_by(evaluation)),
        ("Stored vectors", clean(source.version, 60)),
        ("Run", clean(source.run, 60)),
        ("Trained", moment(source.trained)),
        ("Blocks (columns)", blocks),
    ]


def count_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """How many ids and users there were at every step."""
    seed, suppression = evaluation.seed, evaluation.suppression
    return [
        ("Seed ids given", count(seed.given)),
        ("Different seed ids", count(seed.distinct)),
        ("Seeds matched", count(seed.matched)),
        ("Seeds used", count(seed.used)),
        ("Eligible users", count(evaluation.universe)),
        ("Ids to suppress given", count(suppression.given)),
        ("Users suppressed", count(suppression.matched + suppression.alike)),
        ("Candidates", count(evaluation.candidates)),
        ("Prospects listed", count(evaluation.prospects)),
    ]


def setting_rows(evaluation: Evaluation) -> list[tuple[Label, Label]]:
    """Every setting and its value."""
    return [(label(key, 80), label(value, 120)) for key, value in evaluation.settings.items()]

"""What a report says, as plain values: sentences, figures and rows that the page and the terminal both show."""

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from lookalike.reporting.formatting import (
    Label,
    band,
    clean,
    count,
    label,
    listed,
    moment,
    number,
    percent,
    percent_band,
    plural,
    score,
    times,
)

Evaluation = dict[str, Any]


TELLING_SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)


BASELINES = ("centroid", "activity", "random")


SPOKEN = {"activity": "activity alone", "random": "random pick"}


class Figure(NamedTuple):
    """One key figure: what it is, its value, and a line that puts it in place."""

    name: str
    value: str
    note: str = ""


class Method(NamedTuple):
    """A line of the curves: its key in `curves`, its name for people, and the part it plays."""

    key: str
    name: str
    role: str


class Reason(NamedTuple):
    """One reason for a verdict, and whether it speaks for the list."""

    text: str
    good: bool


@dataclass(frozen=True)
class VerdictText:
    """The decision in one sentence, with the reasons given for it."""

    expand: bool
    headline: str
    sentence: str
    reasons: list[Reason]
    careful: list[str]
    note: str


def part(evaluation: Evaluation, key: str) -> dict[str, Any]:
    """The object under `key`, or an empty one where the evaluation has none."""
    value = evaluation.get(key)
    return value if isinstance(value, dict) else {}


def confidence(evaluation: Evaluation) -> str:
    """`95 %`."""
    level = number(evaluation.get("confidence"))
    return percent(0.95 if level is None else level)


def people(value: Any) -> str:
    """`168 people`."""
    return plural(value, "person", "people")


def sentence(evaluation: Evaluation) -> str:
    """The key number in one plain sentence."""
    held = part(evaluation, "held_out")
    if number(held.get("lift")) is None:
        return "The seed could not be measured on held-out people, so nothing is known about how good a list would be."
    lift, size = times(held["lift"]).replace("\u00a0×", ""), number(held.get("size"))
    who = "the first person holds" if size == 1 else f"the first {people(size)} hold"
    said = (
        f"Of seed people hidden as a test, {who} {lift} times as many as a random pick "
        f"({confidence(evaluation)} band {band(held.get('low'), held.get('high'))})"
    )
    if number(held.get("activity_lift")) is None:
        return f"{said}."
    return f"{said}; ranking by activity alone gives {times(held['activity_lift'])}."


def verdict(evaluation: Evaluation) -> VerdictText:
    """The decision, its sentence and its reasons."""
    given = part(evaluation, "verdict")
    expand, forced = given.get("decision") == "expand", bool(given.get("forced"))
    note = ""
    if not expand:
        note = "The list was written all the same, because it was forced." if forced else "No list was written."
    against = set(given.get("against") or [])
    return VerdictText(
        expand=expand,
        headline=_headline(given) if expand else "Do not expand this seed",
        sentence=sentence(evaluation),
        reasons=[Reason(clean(one, 600), one not in against) for one in given.get("reasons") or []],
        careful=[clean(one, 900) for one in given.get("careful") or []],
        note=note,
    )


def _headline(verdict: dict[str, Any]) -> str:
    most, parts = number(verdict.get("up_to")), number(verdict.get("parts"))
    if parts:
        return f"Split this seed into {count(parts)} lists"
    return "Expand this seed" if most is None else f"Expand this seed, up to {people(most)}"


def figures(evaluation: Evaluation) -> list[Figure]:
    """The key figures, in the order in which they are asked for."""
    seed, suppression, held = (part(evaluation, key) for key in ("seed", "suppression", "held_out"))
    written = number(evaluation.get("prospects")) or 0
    floor = number(part(evaluation, "settings").get("expand.min_lift")) or 1.0
    matched, used = number(seed.get("matched")) or 0, number(seed.get("used")) or 0
    unused = f"; {count(matched - used)} had no earlier event" if seed.get("as_they_were") and used < matched else ""
    return [
        Figure("Audience", count(written), asked(evaluation) if written else "no list written"),
        Figure(
            "Candidates",
            count(evaluation.get("candidates")),
            f"of {people(evaluation.get('universe'))} eligible; {count(suppression.get('matched'))} of "
            f"{plural(suppression.get('given'), 'id', 'ids')} given are suppressed",
        ),
        Figure(
            "Seed match rate",
            percent(seed.get("match_rate")),
            f"{count(seed.get('matched'))} of {count(seed.get('distinct'))} ids; {count(seed.get('used'))} used{unused}",
        ),
        Figure(
            f"Lift at {people(held.get('size'))}",
            times(held.get("lift")),
            f"{band(held.get('low'), held.get('high'))}; at most {times(held.get('max_lift'))} is possible",
        ),
        Figure(
            "Hidden seed people found",
            percent(held.get("recall")),
            f"{percent_band(held.get('recall_low'), held.get('recall_high'))} of those held out",
        ),
        Figure(
            "Largest list worth taking",
            count(held.get("largest")) if number(held.get("largest")) else "none",
            f"{'its' if number(held.get('largest')) else 'at no size is the'} last half surely "
            + ("beats chance" if floor <= 1 else f"above {times(floor)}"),
        ),
    ]


def asked(evaluation: Evaluation) -> str:
    """The size asked for, in the words in which it was."""
    size, requested = number(evaluation.get("size")), clean(evaluation.get("requested_size"), 40)
    if requested.replace(",", "").replace("_", "") == count(size).replace(",", ""):
        return "as many as asked for" if size == number(evaluation.get("prospects")) else f"{people(size)} asked for"
    return f"asked for: {requested}, which is {people(size)}"


def methods(evaluation: Evaluation) -> list[Method]:
    """The chosen scorer first, then the baselines that have a curve."""
    curves, chosen = part(evaluation, "curves"), evaluation.get("scorer")
    made = []
    if chosen in curves:
        made.append(Method(str(chosen), f"{clean(SPOKEN.get(str(chosen), chosen), 40)} (chosen)", "chosen"))
    made += [Method(key, SPOKEN.get(key, key), key) for key in BASELINES if key in curves and key != chosen]
    return made


def points(evaluation: Evaluation, method: str) -> dict[float, dict[str, Any]]:
    """A method's curve by share, smallest first; points without a usable share are left out."""
    curve = part(evaluation, "curves").get(method) or []
    usable = [point for point in curve if (number(point.get("share")) or 0) > 0]
    return {float(point["share"]): point for point in sorted(usable, key=lambda point: float(point["share"]))}


def asked_share(evaluation: Evaluation) -> float | None:
    """The size asked for as a share of the candidates."""
    share = number(part(evaluation, "held_out").get("share"))
    return share if share is not None and 0 < share <= 1 else None


def curve_rows(evaluation: Evaluation, measure: str, telling: bool = False) -> list[list[str]]:
    """Rows of share, people, then for the chosen scorer the figure and its band, then each baseline's figure.

    All sizes of lift have one cell more: the lift of the people since the size before alone.
    """
    lines = methods(evaluation)
    if not lines:
        return []
    curves = [points(evaluation, line.key) for line in lines]
    shares = list(curves[0])
    if telling:
        shares = telling_shares(shares, asked_share(evaluation))
    say, say_band = (times, band) if measure == "lift" else (percent, percent_band)
    rows = []
    for share in shares:
        first = curves[0][share]
        row = [percent(share), count(first.get("size")), say(first.get(measure))]
        row.append(say_band(first.get(f"{measure}_low"), first.get(f"{measure}_high")))
        row += [say(curve.get(share, {}).get(measure)) for curve in curves[1:]]
        if measure == "lift" and not telling:
            row.append(
                f"{times(first.get('marginal'))} ({band(first.get('marginal_low'), first.get('marginal_high'))})"
            )
        rows.append(row)
    return rows


def telling_shares(shares: list[float], asked: float | None) -> list[float]:
    """About eight of the measured shares: those nearest to round ones, and the one asked for."""
    wanted = [*TELLING_SHARES, *([asked] if asked else [])]
    nearest = {min(shares, key=lambda share: abs(math.log(share / want))) for want in wanted} if shares else set()
    return sorted(nearest)


def curve_finding(evaluation: Evaluation, measure: str) -> str:
    """What a curve shows, for somebody who cannot see it."""
    held, lines = part(evaluation, "held_out"), methods(evaluation)
    if not lines:
        return "There is no curve: nothing could be measured."
    curve = list(points(evaluation, lines[0].key).values())
    say = times if measure == "lift" else percent
    said = f"Line chart of {measure} by audience size for {listed(line.name for line in lines)}."
    if curve:
        first, last = curve[0], curve[-1]
        said += (
            f" {lines[0].name} goes from {say(first.get(measure))} in the first {percent(first['share'])} "
            f"to {say(last.get(measure))} at {percent(last['share'])}."
        )
    if number(held.get(measure)) is not None:
        low, high = (held.get("low"), held.get("high")) if measure == "lift" else (held.get("recall_low"), None)
        about = f", {confidence(evaluation)} band {band(low, high)}" if measure == "lift" else ""
        said += f" At {people(held.get('size'))}, the size asked for, it is {say(held[measure])}{about}."
    return said


def scorers(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The scorers tried, best lift first."""
    given = evaluation.get("scorers") or []
    return sorted(given, key=lambda one: (-(number(one.get("lift")) or 0), str(one.get("name"))))


def scorer_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of name, lift, band, AUC, AUC of the first twentieth, and whether it was chosen."""
    return [
        [
            clean(one.get("name"), 40),
            times(one.get("lift")),
            band(one.get("low"), one.get("high")),
            score(one.get("auc")),
            score(one.get("partial_auc")),
            "chosen" if one.get("chosen") else "",
        ]
        for one in scorers(evaluation)
    ]


def scorer_finding(evaluation: Evaluation) -> str:
    """What the comparison of scorers shows, with a plain word when the centroid does as well."""
    tried = scorers(evaluation)
    if not tried:
        return "No scorer was compared."
    said = "; ".join(f"{row[0]} {row[1]} ({row[2]}){', chosen' if row[5] else ''}" for row in scorer_rows(evaluation))
    return f"Lift at the size asked for, by scorer: {said}."


def tie(evaluation: Evaluation) -> str:
    """A sentence when the plain centroid's lift lies within the chosen scorer's band, else nothing."""
    by_name = {one.get("name"): one for one in scorers(evaluation)}
    chosen, plain = by_name.get(evaluation.get("scorer")), by_name.get("centroid")
    if chosen is None or plain is None or chosen is plain:
        return ""
    low, lift = number(chosen.get("low")), number(plain.get("lift"))
    if low is None or lift is None or lift < low:
        return ""
    return (
        "The plain centroid's lift lies within the chosen scorer's band: the gain over the plain method is not certain."
    )


def tier_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of tier, ranks, people, scores, and the lift of the tier alone with its band."""
    return [
        [
            clean(tier.get("tier"), 20),
            f"{count(tier.get('from_rank'))} to {count(tier.get('to_rank'))}",
            count(tier.get("users")),
            f"{score(tier.get('highest_score'))} to {score(tier.get('lowest_score'))}",
            times(tier.get("lift")),
            band(tier.get("lift_low"), tier.get("lift_high")),
        ]
        for tier in evaluation.get("tiers") or []
    ]


def about(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What the figures rest on: when, on what, how measured."""
    stored = part(evaluation, "representation")
    blocks = ", ".join(f"{clean(name, 40)} ({count(width)})" for name, width in part(stored, "blocks").items())
    chosen, asked = clean(evaluation.get("scorer"), 40), clean(evaluation.get("requested_scorer"), 40)
    return [
        ("Made", moment(evaluation.get("created"))),
        ("Events before", moment(evaluation.get("as_of"))),
        ("Scorer", f"{chosen} (asked for: {asked})"),
        ("Measured by", f"{count(evaluation.get('folds'))}-fold hold-out, {count(evaluation.get('repeats'))} times"),
        ("Representation", clean(stored.get("version"), 60)),
        ("Run", clean(stored.get("run"), 60)),
        ("Trained", moment(stored.get("trained")) if stored.get("trained") else clean(None)),
        ("Blocks (columns)", blocks or clean(None)),
    ]


def counts(evaluation: Evaluation) -> list[tuple[Label, Label]]:
    """What was counted at every step."""
    return [
        (name, Label(count(value)) if number(value) is not None else shown)
        for (name, shown), value in zip(
            flat(part(evaluation, "counts")), part(evaluation, "counts").values(), strict=True
        )
    ]


def flat(values: dict[str, Any]) -> list[tuple[Label, Label]]:
    """Names and values as labels; anything that is not plain text is shown as JSON."""
    return [
        (
            label(key, 80),
            label(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), 120),
        )
        for key, value in values.items()
    ]


def warnings(evaluation: Evaluation) -> list[str]:
    """The warnings, each on one line."""
    return [clean(warning, 600) for warning in evaluation.get("warnings") or []]

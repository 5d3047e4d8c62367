"""What the list of an earlier day would have found, beside what the hold-out promises."""

from lookalike.reporting.content import Evaluation, confidence, part, people
from lookalike.reporting.formatting import band, clean, moment, number, percent, times


def sentence(evaluation: Evaluation) -> str:
    """What the list of an earlier day would have found, beside what the hold-out promises; empty without a backtest."""
    found = part(evaluation, "backtest")
    ours = part(part(found, "lifts"), str(evaluation.get("scorer")))
    if number(ours.get("lift")) is None:
        return ""
    now, later = part(evaluation, "held_out").get("lift"), people(found.get("later"))
    said = [
        f"A list of {percent(found.get('share'))} made on {moment(found.get('cut'))}, from the {people(found.get('seeds'))} who "
        f"were seeds by then, holds {times(ours['lift'])} as many of the {later} who became seeds after it as a random pick "
        f"({confidence(evaluation)} band {band(ours.get('low'), ours.get('high'))}).",
        f"The hold-out of today says {times(now)}.",
    ]
    if number(found.get("newcomers")):
        said.insert(1, f"{people(found['newcomers'])} more had done nothing by then: no list could have held them.")
    return " ".join(said)


SPOKEN = {"plain": "plain figures alone", "activity": "activity alone"}


def rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of method, lift and band of the backtest; the chosen scorer first."""
    lifts, chosen = part(part(evaluation, "backtest"), "lifts"), evaluation.get("scorer")
    ordered = sorted(lifts, key=lambda name: (name != chosen, -(number(lifts[name].get("lift")) or 0)))
    return [
        [
            clean(SPOKEN.get(name, name), 40),
            times(lifts[name].get("lift")),
            band(lifts[name].get("low"), lifts[name].get("high")),
        ]
        for name in ordered
    ]

"""Where the list gains, and where it gains nothing: lift by slice of people."""

from lookalike.expansion.result import Evaluation
from lookalike.expansion.slice_figures import MIN_OTHERS, SliceBy, SliceFigures
from lookalike.reporting.formatting import band, count, label, listed, percent, times

VALUE_LENGTH = 30
OTHERS = {"device": "other devices", "country": "other countries"}
VERDICTS = {"gains": "gains", "gains_nothing": "gains nothing", "too_few": "too few to say"}


def slice_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of slice, people, seeds, lift, band and verdict; everybody first."""
    slices = evaluation.slices
    if slices is None or not slices.groups:
        return []
    everybody = ["everybody", "", "", times(slices.lift), band(slices.low, slices.high), ""]
    return [everybody, *(_row(group.by, each) for group in slices.groups for each in group.slices)]


def _row(by: SliceBy, figures: SliceFigures) -> list[str]:
    return [
        slice_name(by, figures.label),
        count(figures.candidates),
        count(figures.seeds),
        times(figures.lift),
        band(figures.low, figures.high),
        VERDICTS[figures.verdict],
    ]


def slice_name(by: SliceBy, value: str | None) -> str:
    """Who is in a slice."""
    if value is None:
        return OTHERS[by]
    if by == "events":
        return f"{value} event" if value == "1" else f"{value} events"
    return f"known {value}" if by == "tenure" else f"{by} {label(value, VALUE_LENGTH).text}"


def slices_sentence(evaluation: Evaluation) -> str:
    """The slices in which the list gains nothing; empty where people were not cut."""
    slices = evaluation.slices
    if slices is None or not slices.groups:
        return ""
    told = [(group.by, each) for group in slices.groups for each in group.slices if each.verdict != "too_few"]
    nothing = [slice_name(by, each.label) for by, each in told if each.verdict == "gains_nothing"]
    if not told:
        return "There are too few people in each slice to say where the list gains."
    if not nothing:
        return "In none of the slices is the list known to be useless."
    return f"The list gains nothing among these people: {listed(nothing)}."


def slices_measured(evaluation: Evaluation) -> str:
    """What the lift of a slice is, and how it was measured; empty where people were not cut."""
    slices = evaluation.slices
    if slices is None or not slices.groups:
        return ""
    text = (
        f"Lift of a list of {percent(slices.share)} of a slice's own people, so that no slice does well merely because its "
        f"people are more active. No slice has fewer than {count(slices.min_people)} seeds or {MIN_OTHERS} others; smaller ones "
        "are joined."
    )
    if slices.measured_on == "hidden_seeds_without_deeds":
        return (
            f"{text} Measured on hidden seed people, read as if they had not done what the seeds have in common: compare "
            "slices with each other, not with the lift that is promised."
        )
    return f"{text} Measured on hidden seed people."

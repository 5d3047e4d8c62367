"""Whether the encoder pays: a logistic model on plain counts, on the user embedding, and on both."""

from typing import NamedTuple

from lookalike.encoder.block_figures import BlockComparison, BlockFigures, Interval
from lookalike.reporting.formatting import band, times

MINUS = "\u2212"
COLUMNS = ("", "Plain counts", "Embedding", "Both", "Both \u2212 counts")
SMALL_GAIN = 0.25  # of the lift without the encoder: an interval that reaches further tells little
METRICS = (("lift", "Lift@5%", 2), ("auc", "AUC", 3), ("log_loss", "Log-loss", 4), ("ndcg", "NDCG@5%", 3))


class Cell(NamedTuple):
    """A figure and its interval."""

    value: str
    interval: str


def block_rows(blocks: BlockComparison | None) -> list[tuple[str, list[Cell]]]:
    """For each metric its name, and the figures in the order of `COLUMNS`."""
    if blocks is None:
        return []
    answers = (blocks.aggregates, blocks.sequence, blocks.both)
    return [
        (
            name,
            [
                *(_cell(_figure(each, metric), metric == "lift", decimals) for each in answers),
                _difference(_figure(blocks.gain, metric), decimals),
            ],
        )
        for metric, name, decimals in METRICS
    ]


def encoder_sentence(blocks: BlockComparison | None) -> str:
    """Whether the encoder pays; empty where that was not measured."""
    if blocks is None:
        return ""
    gain = _difference(blocks.gain.lift, 2)
    lifts = (
        f"the lift of a list of 5% is {times(blocks.both.lift.value)} with it and {times(blocks.aggregates.lift.value)} "
        f"without ({gain.value}, likely {gain.interval})"
    )
    if blocks.encoder == "pays":
        return f"The encoder pays: {lifts}."
    if blocks.encoder == "costs":
        return f"The encoder does harm here: {lifts}."
    ruled_out = blocks.gain.lift.high <= SMALL_GAIN * blocks.aggregates.lift.value
    if ruled_out:
        text = f"The encoder adds nothing to the lift here that plain counts do not have: {lifts}."
    else:
        text = f"It cannot be told from chance whether the encoder adds to the lift here: {lifts}."
    if blocks.gain.log_loss.high < 0:
        text += " Far from the top of the list it tells a little more: over all people, log-loss is reliably lower."
    return text


def _figure(figures: BlockFigures, metric: str) -> Interval:
    figure: Interval = getattr(figures, metric)
    return figure


def _cell(figure: Interval, is_lift: bool, decimals: int) -> Cell:
    if is_lift:
        return Cell(times(figure.value), band(figure.low, figure.high))
    return Cell(f"{figure.value:.{decimals}f}", f"{figure.low:.{decimals}f}\u2013{figure.high:.{decimals}f}")


def _difference(figure: Interval, decimals: int) -> Cell:
    return Cell(
        signed(figure.value, decimals, plus="+"), f"{signed(figure.low, decimals)} to {signed(figure.high, decimals)}"
    )


def signed(value: float, decimals: int, plus: str = "") -> str:
    """`+0.50`, `\u22120.27`, `0.00`: with a minus sign that is as wide as a plus."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return f"{MINUS if value < 0 else plus}{text}"

"""How well blocks of columns tell an audience, as records: plain counts alone, the user embedding alone, and both.

Imports no torch, so that any layer can read them. They are measured by `audience_probe` at training, and on a seed by
`expansion.block_fits`.
"""

from typing import Literal

from pydantic import Field

from lookalike.workspace.records import Record

EncoderWorth = Literal["pays", "adds_nothing", "costs"]


class Interval(Record):
    """A figure with its interval."""

    value: float = Field(description="the figure")
    low: float = Field(description="lower end of its interval")
    high: float = Field(description="upper end")


class BlockFigures(Record):
    """Held-out figures of a ridge logistic regression on some columns, or the difference of two of them."""

    lift: Interval = Field(description="lift@5%")
    auc: Interval = Field(description="area under the ROC curve")
    log_loss: Interval = Field(description="mean log-loss, in nats; less is better")
    ndcg: Interval = Field(description="NDCG of the first 5%")


class BlockComparison(Record):
    """The same held-out question answered from plain counts, from the user embedding, and from both."""

    measured: int = Field(description="held-out seeds; at training, held-out audiences of the log")
    aggregates: BlockFigures = Field(description="of the block `aggregates` alone")
    sequence: BlockFigures = Field(description="of the block `sequence`, the user embedding, alone")
    both: BlockFigures = Field(description="of both blocks")
    gain: BlockFigures = Field(description="of both minus `aggregates` alone, paired")
    log_loss_of_none: float = Field(description="log-loss of telling nobody apart")
    encoder: EncoderWorth = Field(
        description="pays if the gain in lift is above 0 and the lift with it above 1, each with its whole interval, costs if "
        "the gain is below 0, else adds_nothing"
    )


def worth(gain_in_lift: Interval, lift: Interval) -> EncoderWorth:
    """Whether the encoder pays, given the lift with it. Lift decides, which is what a list is made for; one figure, so that
    none is picked. A list that is no better than chance with it is no gain."""
    if gain_in_lift.low > 0 and lift.low > 1:
        return "pays"
    return "costs" if gain_in_lift.high < 0 else "adds_nothing"

"""Held-out lift by slice of people, as records."""

from typing import Literal

from pydantic import Field

from lookalike.workspace.records import Record

MIN_OTHERS = 200  # of a slice, besides its seeds: a fold ranks its seeds among a fifth of them

SliceBy = Literal["events", "tenure", "device", "country"]
SliceVerdict = Literal["gains", "gains_nothing", "too_few"]
SliceMeasure = Literal["hidden_seeds", "hidden_seeds_without_deeds"]


class SliceFigures(Record):
    """The people of one slice, and how much better than chance the list finds its seeds among them alone."""

    label: str | None = Field(
        description="the number of events, the tenure in words, or the value; null for all other values together"
    )
    candidates: int = Field(description="people in it; an estimate where the background is a sample of them")
    seeds: int = Field(description="seeds in it, of those that were held out")
    lift: float = Field(description="lift@5% of its held-out seeds among its own people")
    low: float = Field(description="lower end of its band")
    high: float = Field(description="upper end")
    verdict: SliceVerdict = Field(
        description="gains if the band lies above 1; gains_nothing if it ends at 1.5 or below; else too_few"
    )


class SliceGroup(Record):
    """Everybody, cut by one property. Slices of too few people are joined with others."""

    by: SliceBy = Field(description="events, tenure (time since the first event), device or country")
    slices: tuple[SliceFigures, ...] = Field(description="those in which there are seeds")


class Slices(Record):
    """Where the list gains: held-out lift within slices of people."""

    measured_on: SliceMeasure = Field(
        description="hidden_seeds, or hidden_seeds_without_deeds if the seeds have a rule and are read without it"
    )
    share: float = Field(description="size of the list within a slice, as a share of its people")
    lift: float = Field(description="of everybody, at the same share and measured in the same way")
    low: float = Field(description="lower end of its band")
    high: float = Field(description="upper end")
    min_people: int = Field(
        description="no slice has fewer seeds; of others there are at least 200, and five for each seed"
    )
    groups: tuple[SliceGroup, ...] = Field(description="by property; without those that cut nobody off")

"""Who an audience is made of, as user rows: the seed, with the figures of the lists it came from."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl

from lookalike.data.arrays import Flags, Floats, Rows, Seconds, union
from lookalike.expansion.doers import Doers
from lookalike.expansion.manifest import ListFile
from lookalike.expansion.messages import ExpansionWarning
from lookalike.expansion.result import SeedMatch
from lookalike.expansion.seed_summary import RuleSummary, WhereSummary
from lookalike.expansion.suppression_figures import Suppression


def no_rows() -> Rows:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class TwoKinds:
    """Candidates without events beside others, and how many of the seeds have none."""

    seed_share: float  # of the seeds without events
    without: int  # candidates without events
    candidates: int

    @property
    def more_without(self) -> bool:
        """Whether the seeds are without events more often than the candidates."""
        return self.seed_share * self.candidates > self.without

    def random_lift(self, size: int) -> float:
        """The lift of a list of random people, those of the kind that the seeds are more often first."""
        shares, counts = (self.seed_share, 1 - self.seed_share), (self.without, self.candidates - self.without)
        (first_share, last_share), (first, last) = (
            (shares, counts) if self.more_without else (shares[::-1], counts[::-1])
        )
        found = first_share * min(1.0, size / max(1, first)) + last_share * max(0, size - first) / max(1, last)
        return found * self.candidates / size


@dataclass(frozen=True)
class Seed:
    """The users of an audience, as ascending user rows."""

    rows: Rows  # [M]
    suppressed: Rows  # neither listed nor compared with
    value: Floats | None = None  # [M]; None if all seeds count the same
    moment: Seconds | None = None  # [M]: only events before it are read; None for all events
    moment_event: str | None = None  # the event type that the moments are the first of, if they are
    negatives: Rows = field(default_factory=no_rows)  # users whose like should rank lower
    listed_elsewhere: Rows = field(default_factory=no_rows)  # eligible, but not to be listed
    outside: Rows = field(default_factory=no_rows)  # not those the list is for; suppressed, and they do not teach
    kinds: TwoKinds | None = None  # where people without events are candidates
    dropped_columns: tuple[str, ...] = ()  # aggregates that no scorer may read
    doers: Doers | None = (
        None  # who has done what the seeds have in common, if they have; the seeds are read without it
    )

    @cached_property
    def excluded(self) -> Rows:
        """Everybody who must not be listed."""
        return union(self.rows, self.suppressed, self.listed_elsewhere)

    def subset(self, kept: Flags) -> "Seed":
        """Only some of the seeds [M]."""
        return replace(
            self,
            rows=self.rows[kept],
            value=None if self.value is None else self.value[kept],
            moment=None if self.moment is None else self.moment[kept],
        )


@dataclass(frozen=True)
class Part:
    """Which sub-audience of a larger seed this is, counted from 1."""

    number: int
    parts: int


@dataclass(frozen=True)
class SeedInput:
    """A seed with the figures of the lists it came from."""

    seed: Seed
    match: SeedMatch
    suppression: Suppression
    inputs: tuple[ListFile, ...]  # the seed's list first
    warnings: tuple[ExpansionWarning, ...]
    part: Part | None = None
    rule: RuleSummary | None = None
    where: WhereSummary | None = None
    barred: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"user_id": pl.String})
    )  # not to be listed


def to_seconds(moment: datetime) -> int:
    """Seconds since 1970 of a UTC time without a zone."""
    return int(moment.replace(tzinfo=UTC).timestamp())

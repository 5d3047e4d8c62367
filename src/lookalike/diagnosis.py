"""Who the seed is among the known users, and what is wrong with it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike import embeddings
from lookalike.embeddings import Representation
from lookalike.errors import ExpansionError

MIN_SEED = 5


@dataclass(frozen=True)
class SeedFacts:
    given: int
    distinct: int
    duplicates: int
    matched: int
    unmatched: int
    suppressed: int  # of the matched; they teach but are never listed
    match_rate: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def match_seed(
    representation: Representation, ids: pl.DataFrame, suppressed: NDArray[np.int64], file: Path
) -> tuple[NDArray[np.int64], SeedFacts]:
    """The seed's rows, ascending, and its figures. Raises ExpansionError when they are too few, or everybody."""
    distinct = ids.unique()
    rows = embeddings.match(representation, distinct)
    facts = SeedFacts(
        given=len(ids),
        distinct=len(distinct),
        duplicates=len(ids) - len(distinct),
        matched=len(rows),
        unmatched=len(distinct) - len(rows),
        suppressed=int(np.isin(rows, suppressed, assume_unique=True).sum()),
        match_rate=len(rows) / max(1, len(distinct)),
    )
    said = f"{file}: {facts.matched:,} of {facts.distinct:,} ids match a known user ({facts.match_rate:.2%})"
    if not facts.matched:
        raise ExpansionError(said, "ids are compared exactly; check that the seed uses the log's user ids")
    if facts.matched < MIN_SEED:
        raise ExpansionError(
            f"{said}; fewer than {MIN_SEED} cannot be measured",
            "give a larger seed; from 100 users on the figures say much",
        )
    if facts.matched == representation.users:
        raise ExpansionError(f"{said}: every user is a seed, nobody is left to rank", "give the users you want more of")
    return rows, facts

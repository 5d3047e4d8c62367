"""Who must not be listed: ids that were given, and those of the standing list, in whatever spelling.

An id that is nobody's is most likely a person of the log in another form. So a list with many of them is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from lookalike.data import id_lists, suppressions
from lookalike.data.database import Database, ingested_users
from lookalike.data.id_lists import IdSource
from lookalike.data.id_spellings import kind_of
from lookalike.data.standing_lists import StandingList
from lookalike.embeddings.user_index import Alike, UserIndex
from lookalike.errors import DataError
from lookalike.expansion.manifest import ListFile

MAX_UNMATCHED = 0.05  # of the ids of a list
SHORT_LIST = 20  # below which every id must be somebody's


@dataclass(frozen=True)
class SuppressionLists:
    """Lists of ids to suppress, as they were read."""

    checked: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # name -> ids that must mostly be of the log
    allowed: Mapping[str, float] = field(default_factory=dict)  # standing list -> share that may be nobody's
    standing: int = 0  # ids of the standing list
    files: tuple[ListFile, ...] = ()  # that the standing list was made of
    ids: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"user_id": pl.String}))  # all, once


def read_lists(database: Database, sources: tuple[IdSource, ...]) -> SuppressionLists:
    """The lists given and the standing list of today. Raises DataError for a list that cannot be read."""
    checked: dict[str, pl.DataFrame] = {}
    for source in sources:
        ids, name = id_lists.read_all_ids(source), id_lists.source_name(source)
        checked[name] = pl.concat([checked[name], ids]) if name in checked else ids
    today = suppressions.today()
    standing = suppressions.suppressed_on(database, today)
    held = {
        f"standing list {each.number} ({each.name})": each
        for each in suppressions.standing_lists(database)
        if each.holds(today)
    }
    for name, each in held.items():
        checked[name] = standing.filter(pl.col("number") == each.number).select("user_id")
    return SuppressionLists(
        checked=checked,
        allowed={name: _allowed(each) for name, each in held.items()},
        standing=standing["user_id"].n_unique(),
        files=tuple(ListFile(name=each.name, sha256=each.sha256) for each in held.values()),
        ids=pl.concat([standing.select("user_id"), *checked.values()]).unique(),
    )


def _allowed(held: StandingList) -> float:
    """The share of a standing list that may be nobody's: what was allowed or found when it was added; and then 5 % more,
    since the log may have changed."""
    found = held.unmatched / max(1, held.ids) + MAX_UNMATCHED if held.unmatched else 0.0
    return max(held.allowed or 0.0, found)


def check_lists(
    index: UserIndex, database: Database, lists: SuppressionLists, alike: Alike, allowed: float | None
) -> None:
    """Raises DataError for a list of whose ids more than the allowed share are nobody's; 5 % if None, and none of fewer
    than 20. Of a standing list it may be more. People of the log without a vector are somebody."""
    if alike.unmatched.is_empty() or not lists.checked:
        return
    known = ingested_users(database, alike.unmatched)
    strangers = alike.unmatched.join(known, on="user_id", how="anti")
    faults: list[tuple[str, str]] = []
    for name, ids in lists.checked.items():
        given, missing = ids["user_id"].n_unique(), strangers.join(ids, on="user_id", how="semi")
        limit = (MAX_UNMATCHED if given >= SHORT_LIST else 0.0) if allowed is None else allowed
        if len(missing) > max(limit, lists.allowed.get(name, 0.0)) * given:
            share = math.ceil(100 * len(missing) / given)
            faults.append(
                (
                    f"{name}: {len(missing):,} of {given:,} ids to suppress are nobody's in the log, in any spelling",
                    f"{_why(index, missing)}--allow-unmatched {share}% if these people are really not in the log",
                )
            )
    if faults:
        raise DataError("; ".join(message for message, _ in faults), faults[0][1])


def _why(index: UserIndex, missing: pl.DataFrame) -> str:
    """How the ids differ from the log's, as far as that shows."""
    listed, known = kind_of(missing), index.kind()
    return (
        "" if listed == known else f"they are {listed}, and the log's ids are {known}: write them as the log does; or "
    )

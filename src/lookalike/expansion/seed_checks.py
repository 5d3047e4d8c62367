"""Who the seed is among the known users, and what is wrong with it."""

import difflib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data import database
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import DataError, ExpansionError, SettingsError
from lookalike.workspace.paths import WorkspaceFolder

MIN_MEASURABLE_SEEDS = 5  # fewer cannot be held out


MIN_SEEDS = 25  # fewer are no ground for a list: it would be of those few people's chance traits


MIN_SUPPRESSION_IDS = 10


GOOD_MATCH_RATE = 0.8


MAX_BUSY_SHARE = 0.02  # of the seed may be unusually busy


@dataclass(frozen=True)
class SeedMatch:
    given: int
    distinct: int
    duplicates: int
    matched: int
    unmatched: int
    suppressed: int  # of the matched; they teach but are never listed
    match_rate: float
    spelled_otherwise: int = 0  # of the unmatched: a known id but for case, blanks or zeros in front
    without_vector: int = 0  # of the unmatched: in the log, but not before the cut, or with too few events

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def match_seed(
    representation: Representation, ids: pl.DataFrame, suppressed: NDArray[np.int64]
) -> tuple[NDArray[np.int64], SeedMatch]:
    """The seed's rows, ascending, and its figures."""
    distinct = ids.unique()
    rows = UserIndex(representation).match({"seed": distinct})["seed"].rows
    return rows, SeedMatch(
        given=len(ids),
        distinct=len(distinct),
        duplicates=len(ids) - len(distinct),
        matched=len(rows),
        unmatched=len(distinct) - len(rows),
        suppressed=int(np.isin(rows, suppressed, assume_unique=True).sum()),
        match_rate=len(rows) / max(1, len(distinct)),
    )


def check_seed(facts: SeedMatch, users: int, file: Path, force: bool = False) -> None:
    """Raises ExpansionError when the seed is too few, or everybody. With `force` a few are let through, to be measured."""
    said = f"{file}: {facts.matched:,} of {facts.distinct:,} ids match a known user ({facts.match_rate:.2%})"
    why = "; ".join(_unmatched(facts))
    if not facts.matched:
        raise ExpansionError(said, why or "ids are compared exactly; check that the seed uses the log's user ids")
    if facts.matched < MIN_MEASURABLE_SEEDS or (facts.matched < MIN_SEEDS and not force):
        able = facts.matched >= MIN_MEASURABLE_SEEDS
        raise ExpansionError(
            f"{said}; fewer than {MIN_SEEDS} are no ground for a list" + ("" if able else ", nor can they be measured"),
            why
            or ("--force measures them all the same, without a list; " if able else "")
            + "give a larger seed; from 100 users on the figures say much",
        )
    if facts.matched == users:
        raise ExpansionError(f"{said}: every user is a seed, nobody is left to rank", "give the users you want more of")


def with_mismatch_reasons(
    facts: SeedMatch, workspace: WorkspaceFolder, representation: Representation, ids: pl.DataFrame
) -> SeedMatch:
    """The figures with why ids match nobody."""
    if not facts.unmatched:
        return facts
    unmatched = UserIndex(representation).match({"seed": ids})["seed"].unmatched
    with database.open_file(workspace.database, read_only=True) as opened:
        seen = database.users_with_events(opened, unmatched)
    otherwise = UserIndex(representation).count_near_matches(unmatched.join(seen, on="user_id", how="anti"))
    return replace(facts, spelled_otherwise=otherwise, without_vector=len(seen))


def check_suppression(given: int, matched: int) -> None:
    """Raises DataError when a list of some length names nobody: then its ids are most likely written in another way."""
    if given >= MIN_SUPPRESSION_IDS and not matched:
        raise DataError(
            f"none of the {given:,} ids to suppress is a known user",
            "write them as the log does; leave the list out if it really concerns nobody here",
        )


def warnings_of(facts: SeedMatch, given: int, suppressed: int) -> list[str]:
    """What an analyst should know before trusting the list, one sentence each."""
    found = []
    if given and not suppressed:
        found.append(f"none of the {given:,} ids to suppress is a known user")
    if facts.match_rate < GOOD_MATCH_RATE:
        found.append(
            f"{facts.unmatched:,} of {facts.distinct:,} seed ids are no known users: "
            f"the list is made from the other {facts.matched:,}"
        )
    found += _unmatched(facts)
    return found


def _unmatched(facts: SeedMatch) -> list[str]:
    """Why ids match nobody, as far as that can be told."""
    found = []
    if facts.spelled_otherwise:
        found.append(
            f"{facts.spelled_otherwise:,} of the seed ids that match nobody would but for capitals, blanks or zeros in "
            "front: write them as the log does"
        )
    if facts.without_vector:
        found.append(
            f"{facts.without_vector:,} of the seed ids that match nobody are in the log, but came after the vectors were "
            "made, or with too few events: lookalike embed takes newcomers in"
        )
    return found


def negative_warnings(files: tuple[Path, ...], matched: int) -> list[str]:
    """Lists of people of whom fewer are wanted that name hardly anybody."""
    if not files or matched >= MIN_MEASURABLE_SEEDS:
        return []
    return [
        f"the negative examples name {matched:,} known users who are no seeds: too few to learn from, yet they count"
    ]


def check_droppable(representation: Representation, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, all columns of the aggregates. Raises SettingsError for one that is none."""
    known = representation.layout.aggregates
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            raise SettingsError(
                f"no feature is called {name[:60]!r}",
                f"known ones like it: {', '.join(near) or ', '.join(known[:5])}; the report names those that stand out",
            )
    return names


def findings(found: dict[str, Any], seeds: int) -> list[str]:
    """What of a diagnosis an analyst must not miss, one sentence each."""
    said = []
    if (groups := found["groups"]) and found["splitting_is_sure"]:
        shares = ", ".join(f"{group['share']:.0%}" for group in groups)
        said.append(
            f"the seed is {len(groups)} audiences ({shares}), and lists of their own find more: --split makes them"
        )
    if found["often"] > max(2, MAX_BUSY_SHARE * seeds):
        said.append(
            f"{found['often']:,} of {seeds:,} seeds do more a day than 99.9 % of everybody: bots or staff, most likely"
        )
    return said


def careful(found: dict[str, Any]) -> str:
    """What to think of a lift where single features nearly define the seed."""
    leaks = found["leaks"]
    named = ", ".join(
        f"{leak['column']} ({leak['seed']:.0%} of it, {leak['others']:.1%} of others)" for leak in leaks[:3]
    )
    flags = " ".join(f"--drop-features '{leak['column']}'" for leak in leaks[:3])
    one = "one feature alone nearly picks out" if len(leaks) == 1 else f"{len(leaks):,} features each nearly pick out"
    return (
        f"careful: {one} the seed: {named}. If that is how these people became seeds, expect the lift of "
        f"{found['lift_without']:.2f} that is left without it and the user embedding, and expand with {flags}"
    )


MIN_KEPT_SHARE = 0.5


def of_shares(shares: list[dict[str, Any]]) -> list[str]:
    """Which sub-audiences of the seed a list has hardly any of."""
    return [
        f"the list holds {one['list']:.0%} of sub-audience {number}, the seed {one['seed']:.0%}: --balance keeps the shares"
        for number, one in enumerate(shares, 1)
        if one["list"] < MIN_KEPT_SHARE * one["seed"]
    ]

"""Who an audience is made of: the files of its definition, read and matched with the known users."""

from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lookalike.data import database, id_lists
from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings import freshness
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion import seed_checks
from lookalike.expansion.audience import Audience
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress


@dataclass(frozen=True)
class SeedPeople:
    """Who teaches and who must not be listed, all as ascending rows."""

    seed: Rows
    suppressed: Rows
    value: Floats | None = None  # of each seed; None where all are worth the same
    against: Rows = field(default_factory=lambda: np.zeros(0, np.int64))  # of whom fewer are wanted
    dropped: tuple[str, ...] = ()  # columns of the aggregates that no scorer may read
    moment: Rows | None = None  # seconds since 1970, of each seed: only what they did before it is read
    before: str | None = None  # the event type that the moments are the first of, where they are
    taken: Rows = field(default_factory=lambda: np.zeros(0, np.int64))  # eligible, but not to be listed

    @property
    def left_out(self) -> Rows:
        return np.union1d(np.union1d(self.seed, self.suppressed), self.taken)


Result = dict[str, Any]


@dataclass(frozen=True)
class SeedLists:
    """The people, and what is to be said of the lists they came from."""

    people: SeedPeople
    seed_facts: Result
    suppression: Result
    inputs: list[dict[str, str]]  # the seed's file first
    warnings: list[str]

    def warn(self, said: list[str], progress: Progress) -> None:
        """Keeps warnings for the report and says them."""
        for warning in said:
            self.warnings.append(warning)
            progress.note(f"warning: {warning}")


def read_seed(
    workspace: WorkspaceFolder,
    representation: Representation,
    audience: Audience,
    progress: Progress,
    force: bool = False,
) -> SeedLists:
    """Everybody an audience is made of. Raises ExpansionError when the seed is too small; with `force` a few are enough."""
    given = id_lists.read_ids(audience.seed, with_values=True)
    suppress = _ids_of(audience.suppress)
    suppressed = UserIndex(representation).match({"ids": id_lists.with_escaped_forms(suppress)})["ids"].rows
    seed_checks.check_suppression(len(suppress), len(suppressed))
    seed, facts = seed_checks.match_seed(representation, given.ids.select("user_id"), suppressed)
    facts = seed_checks.with_mismatch_reasons(facts, workspace, representation, given.ids.select("user_id"))
    seed_checks.check_seed(facts, representation.users, audience.seed, force)
    value = None
    if "value" in given.ids.columns:
        worth = given.ids.group_by("user_id").agg(pl.col("value").sum())
        value = UserIndex(representation).match({"seed": worth})["seed"].matched["value"].to_numpy()
    moment = _moments(workspace, representation, audience, given.ids, seed)
    negative = UserIndex(representation).match({"ids": _ids_of(audience.negative)})["ids"].rows
    against = np.setdiff1d(negative, seed)
    files = (audience.seed, *audience.suppress, *audience.negative)
    inputs = [{"name": file.name, "sha256": sha256(file)} for file in files]
    warnings = seed_checks.warnings_of(facts, len(suppress), len(suppressed))
    warnings += seed_checks.negative_warnings(audience.negative, len(against))
    warnings += _freshness_warnings(workspace, representation)
    suppression = {"given": len(suppress), "matched": len(suppressed)}
    said = facts.as_dict() | {"valued": value is not None, "negative": len(against), "as_they_were": moment is not None}
    dropped = seed_checks.check_droppable(representation, audience.drop_features)
    taken = _listed(workspace, representation, audience.disjoint_from)
    found = SeedPeople(seed, suppressed, value, against, dropped, moment, audience.before, taken)
    read = SeedLists(found, said, suppression, inputs, [])
    read.warn(warnings, progress)
    return read


def _freshness_warnings(workspace: WorkspaceFolder, representation: Representation) -> list[str]:
    if not workspace.database.exists():
        return []
    with database.open_file(workspace.database, read_only=True) as opened:
        newer = freshness.newer_files(opened, representation)
    return [f"{newer:,} files were ingested after the training; lookalike embed takes them in"] if newer else []


def _moments(
    workspace: WorkspaceFolder, representation: Representation, audience: Audience, ids: pl.DataFrame, seed: Rows
) -> Rows | None:
    """Up to when each seed is read; None where neither the file nor `--before` says. Who has no such event: up to now."""
    if audience.before is None and "ts" not in ids.columns:
        return None
    end = int(representation.manifest.as_of.replace(tzinfo=UTC).timestamp()) + 1
    if audience.before is None:
        given = ids.group_by("user_id").agg(value=pl.col("ts").min())
    else:
        from lookalike.expansion import point_in_time

        with database.open_in(workspace) as opened:
            given = point_in_time.first_events_of_type(opened, ids.select("user_id").unique(), audience.before).rename(
                {"moment": "value"}
            )
    found = UserIndex(representation).match({"seed": given})["seed"].matched
    moment = np.full(len(seed), end, np.int64)
    moment[np.searchsorted(seed, found["row"].to_numpy())] = np.minimum(found["value"].to_numpy(), end)
    return moment


def _listed(workspace: WorkspaceFolder, representation: Representation, names: tuple[str, ...]) -> Rows:
    """The rows of everybody in the lists of other audiences."""
    lists = {name: id_lists.read_prospects(workspace.audience(name)) for name in names}
    rows = [match.rows for match in UserIndex(representation).match(lists).values()]
    return np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)


def _ids_of(files: tuple[Path, ...]) -> pl.DataFrame:
    read = [id_lists.read_ids(file).ids.select("user_id") for file in files]
    return pl.concat(read).unique() if read else pl.DataFrame({"user_id": []}, schema={"user_id": pl.String})

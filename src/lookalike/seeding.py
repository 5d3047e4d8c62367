"""Who an audience is made of: the files of its definition, read and matched with the known users."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lookalike import diagnosis, embeddings, lists, store
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.expansion import People, Rows
from lookalike.talk import Talk
from lookalike.workspace import Workspace, sha256

Result = dict[str, Any]


@dataclass(frozen=True)
class Read:
    """The people, and what is to be said of the lists they came from."""

    people: People
    seed_facts: Result
    suppression: Result
    inputs: list[dict[str, str]]  # the seed's file first
    warnings: list[str]

    def warn(self, said: list[str], talk: Talk) -> None:
        """Keeps warnings for the report and says them."""
        for warning in said:
            self.warnings.append(warning)
            talk.note(f"warning: {warning}")


def people(
    workspace: Workspace, representation: Representation, audience: Audience, talk: Talk, force: bool = False
) -> Read:
    """Everybody an audience is made of. Raises ExpansionError when the seed is too small; with `force` a few are enough."""
    given = lists.read_ids(audience.seed, with_values=True)
    suppress = _ids_of(audience.suppress)
    suppressed = embeddings.match(representation, lists.either_way(suppress))
    diagnosis.check_suppression(len(suppress), len(suppressed))
    seed, facts = diagnosis.match_seed(representation, given.ids.select("user_id"), suppressed)
    facts = diagnosis.with_reasons(facts, workspace, representation, given.ids.select("user_id"))
    diagnosis.check_seed(facts, representation.users, audience.seed, force)
    value = None
    if "value" in given.ids.columns:
        worth = given.ids.group_by("user_id").agg(pl.col("value").sum())
        value = embeddings.matched(representation, worth)["value"].to_numpy()
    moment = _moments(workspace, representation, audience, given.ids, seed)
    against = np.setdiff1d(embeddings.match(representation, _ids_of(audience.negative)), seed)
    files = (audience.seed, *audience.suppress, *audience.negative)
    inputs = [{"name": file.name, "sha256": sha256(file)} for file in files]
    warnings = diagnosis.warnings_of(facts, len(suppress), len(suppressed))
    warnings += diagnosis.negative_warnings(audience.negative, len(against))
    warnings += diagnosis.newer_files(workspace, representation)
    suppression = {"given": len(suppress), "matched": len(suppressed)}
    said = facts.as_dict() | {"valued": value is not None, "negative": len(against), "as_they_were": moment is not None}
    dropped = diagnosis.droppable(representation, audience.drop_features)
    taken = _listed(workspace, representation, audience.disjoint_from)
    found = People(seed, suppressed, value, against, dropped, moment, audience.before, taken)
    read = Read(found, said, suppression, inputs, [])
    read.warn(warnings, talk)
    return read


def _moments(
    workspace: Workspace, representation: Representation, audience: Audience, ids: pl.DataFrame, seed: Rows
) -> Rows | None:
    """Up to when each seed is read; None where neither the file nor `--before` says. Who has no such event: up to now."""
    if audience.before is None and "ts" not in ids.columns:
        return None
    end = int(datetime.fromisoformat(representation.manifest["as_of"]).replace(tzinfo=UTC).timestamp()) + 1
    if audience.before is None:
        given = ids.group_by("user_id").agg(value=pl.col("ts").min())
    else:
        from lookalike import moments

        with store.opened_in(workspace) as opened:
            given = moments.of_event(opened, ids.select("user_id").unique(), audience.before).rename(
                {"moment": "value"}
            )
    found = embeddings.matched(representation, given)
    moment = np.full(len(seed), end, np.int64)
    moment[np.searchsorted(seed, found["row"].to_numpy())] = np.minimum(found["value"].to_numpy(), end)
    return moment


def _listed(workspace: Workspace, representation: Representation, names: tuple[str, ...]) -> Rows:
    """The rows of everybody in the lists of other audiences."""
    rows = [embeddings.match(representation, lists.read_prospects(workspace.audience(name))) for name in names]
    return np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)


def _ids_of(files: tuple[Path, ...]) -> pl.DataFrame:
    read = [lists.read_ids(file).ids.select("user_id") for file in files]
    return pl.concat(read).unique() if read else pl.DataFrame({"user_id": []}, schema={"user_id": pl.String})

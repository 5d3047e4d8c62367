"""A ranked list: made, looked at, explained and put in place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lookalike.data import behaviour, database, id_lists
from lookalike.data.arrays import Rows
from lookalike.data.database import Cut
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion import audience as audience_module
from lookalike.expansion import examples, explanations, over_index, result, seed_profile, selection
from lookalike.expansion.audience import Audience
from lookalike.expansion.examples import Examples
from lookalike.expansion.ranking import scan
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.ranking.top_k import Ranking
from lookalike.expansion.seed import SeedPeople
from lookalike.expansion.seed_profile import SeedProfile
from lookalike.workspace.executor import Executor
from lookalike.workspace.files import new_folder, sha256, write_json
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress
from lookalike.workspace.provenance import library_versions
from lookalike.workspace.settings import ExpandSettings

Result = dict[str, Any]


@dataclass(frozen=True)
class ExpansionContext:
    """Where a list comes from and goes to."""

    workspace: WorkspaceFolder
    representation: Representation
    settings: ExpandSettings
    progress: Progress
    engine: Executor | None = None  # what ranks the shards; this process if not given

    @property
    def cut(self) -> Cut:
        return Cut(self.representation.manifest.as_of)


@dataclass(frozen=True)
class ProspectList:
    """The ranked list with its ids and tiers, and why each is on it where that was asked for."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier
    reasons: pl.DataFrame | None = None  # rank, user_id, cluster, shared


def rank_prospects(place: ExpansionContext, wanted: list[RankingRequest]) -> list[ProspectList]:
    """The lists, made in one pass over everybody."""
    if not wanted:
        return []
    with place.progress.step("ranking everybody", total=place.representation.users) as step:
        if place.engine is None:
            found = scan.rank(place.representation, wanted, step)
        else:
            found = scan.rank_by(place.engine, place.representation, wanted, step)
    return [_with_ids(place, one) for one in found]


def _with_ids(place: ExpansionContext, found: Ranking) -> ProspectList:
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(found.rows) + 1),
            "user_id": UserIndex(place.representation).ids(found.rows),
            "score": found.scores,
            "tier": selection.tiers(len(found.rows), place.settings.tiers),
        }
    )
    return ProspectList(found.rows, frame)


def describe_list(place: ExpansionContext, made: ProspectList, suppressed: Rows) -> Result:
    """Compares what a sample of the list did with everybody eligible, and what the first tier did with the last."""
    settings = place.settings
    audience = examples.draw_sample(made.rows, settings.background, settings.random_seed)
    base = examples.draw_background(place.representation.users, suppressed, settings.background, settings.random_seed)
    found = result.list_record(made.frame) | {"insights": _compared(place, audience, base)}
    tier = made.frame["tier"].to_numpy()
    first, last = (
        examples.draw_sample(made.rows[tier == end], settings.background, settings.random_seed) for end in (1, tier[-1])
    )
    enough = tier[-1] > 1 and min(len(first), len(last)) >= settings.min_cell
    return found | {"between_tiers": _compared(place, first, last) if enough else None}


def _compared(place: ExpansionContext, audience: Rows, base: Rows) -> Result:
    """What one group of users does more and less than another."""
    rows = np.union1d(audience, base)
    looked_at = pl.DataFrame(
        {
            "user_id": UserIndex(place.representation).ids(rows),
            "audience": np.isin(rows, audience).astype(np.int8),
            "base": np.isin(rows, base).astype(np.int8),
        }
    )
    with database.open_file(place.workspace.database, read_only=True) as opened:
        counts = behaviour.behaviour_counts(opened, looked_at, place.cut)
    return result.insights_record(counts, over_index.GroupSizes(len(audience), len(base)), place.settings.min_cell)


def sub_audience_shares(
    place: ExpansionContext, made: ProspectList, known: Examples, seen: SeedProfile
) -> list[Result]:
    """Of each sub-audience of the seed, its share of the seed and of the list; nothing where the seed is one audience."""
    if not seen.groups:
        return []
    centres = seen.centres(known.seed[:, place.representation.layout.columns("sequence")])
    some = examples.draw_sample(made.rows, place.settings.background, place.settings.random_seed)
    near = explanations.nearest_cluster(place.representation, some, centres)
    listed = np.bincount(near, minlength=len(centres)) / len(some)
    return [
        {"seed": group.share, "list": float(share), "more_of": list(group.more_of)}
        for group, share in zip(seen.groups, listed, strict=True)
    ]


def with_explanations(
    place: ExpansionContext, made: ProspectList, known: Examples, people: SeedPeople
) -> tuple[ProspectList, list[Result]]:
    """The list with a line of reasons for each, and the parts of the seed that the lines speak of.

    Of a seed with moments only what was before them is looked at.
    """
    representation, settings = place.representation, place.settings
    parts = explanations.cluster_seed(known.seed[:, representation.layout.columns("sequence")].astype(np.float32))
    near = explanations.nearest_cluster(representation, made.rows, parts.centres)
    base = examples.draw_background(representation.users, people.suppressed, settings.background, settings.random_seed)
    until = np.full(len(known.rows), np.datetime64(place.cut.as_of, "us"))
    if people.moment is not None:
        moment = people.moment[np.searchsorted(people.seed, known.rows)]
        until = np.minimum(until, moment.astype("datetime64[s]").astype("datetime64[us]"))
    groups = (
        pl.DataFrame({"user_id": UserIndex(representation).ids(known.rows), "cluster": parts.of, "until": until}),
        made.frame.select("user_id", cluster=pl.Series(near)),
        pl.DataFrame({"user_id": UserIndex(representation).ids(base)}),
    )
    with place.progress.step("looking for reasons"), database.open_in(place.workspace, read_only=True) as opened:
        shared = explanations.shared_traits(opened, groups, place.cut, settings.min_cell, people.dropped)
    lines = made.frame.select("rank", "user_id", cluster=pl.Series(near + 1)).join(
        shared, on="user_id", how="left", maintain_order="left"
    )
    names, first = list(representation.layout.aggregates), representation.layout.aggregates_start
    had = known.seed[:, first : first + len(names)]
    described = [
        {
            "cluster": one + 1,
            "seed": float(np.mean(parts.of == one)),
            "list": float(np.mean(near == one)),
            "more_of": list(seed_profile.distinguishing_columns(had, parts.of == one, names)),
        }
        for one in range(len(parts.centres))
    ]
    return ProspectList(made.rows, made.frame, lines), described


def write_expansion(
    place: ExpansionContext, audience: Audience, found: Result, inputs: list[dict[str, str]], made: ProspectList | None
) -> Path:
    """Puts the audience's folder in place whole, and gives it. `inputs` are the hashes of what it was made from."""
    folder = place.workspace.audience(audience.name)
    with new_folder(folder) as beside:
        if made is not None:
            escaped = id_lists.write_prospects(made.frame, beside / f"prospects.{audience.format}")
            if made.reasons is not None:
                id_lists.write_prospects(made.reasons, beside / f"reasons.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                place.progress.note(f"warning: {warning}")
        write_json(beside / "evaluation.json", found)
        outputs = {file.name: sha256(file) for file in sorted(beside.iterdir())}
        source = found["representation"] | {"sha256": sha256(place.representation.folder / "manifest.json")}
        counted = ("universe", "candidates", "prospects", "seed", "suppression")
        manifest = {
            "name": audience.name,
            "created": found["created"],
            "audience": audience_module.described(audience),
            "settings": found["settings"],
            "inputs": inputs,
            "representation": source,
            "counts": {key: found[key] for key in counted},
            "versions": library_versions(),
            "outputs": outputs,
        }
        write_json(beside / "manifest.json", manifest)
    return folder

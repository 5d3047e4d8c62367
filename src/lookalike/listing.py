"""A ranked list: made, looked at, explained and put in place."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lookalike import audience as audiences
from lookalike import deeds, embeddings, expansion, insights, lists, portrait, reasons, records, scan, store
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.engine import Engine
from lookalike.evaluation import Examples
from lookalike.expansion import People, Rows
from lookalike.portrait import Portrait
from lookalike.provenance import versions
from lookalike.ranking import Ranked
from lookalike.scan import Wanted
from lookalike.settings import ExpandSettings
from lookalike.store import Cut
from lookalike.talk import Talk
from lookalike.workspace import Workspace, new_folder, sha256, write_json

Result = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a list comes from and goes to."""

    workspace: Workspace
    representation: Representation
    settings: ExpandSettings
    talk: Talk
    engine: Engine | None = None  # what ranks the shards; this process if not given

    @property
    def cut(self) -> Cut:
        return Cut(datetime.fromisoformat(self.representation.manifest["as_of"]))


@dataclass(frozen=True)
class Listed:
    """The ranked list with its ids and tiers, and why each is on it where that was asked for."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier
    reasons: pl.DataFrame | None = None  # rank, user_id, cluster, shared


def ranked(place: Place, wanted: list[Wanted]) -> list[Listed]:
    """The lists, made in one pass over everybody."""
    if not wanted:
        return []
    with place.talk.progress("ranking everybody", total=place.representation.users) as step:
        if place.engine is None:
            found = scan.rank(place.representation, wanted, step)
        else:
            found = scan.rank_by(place.engine, place.representation, wanted, step)
    return [_listed(place, one) for one in found]


def _listed(place: Place, found: Ranked) -> Listed:
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(found.rows) + 1),
            "user_id": embeddings.user_ids(place.representation, found.rows),
            "score": found.scores,
            "tier": expansion.tiers(len(found.rows), place.settings.tiers),
        }
    )
    return Listed(found.rows, frame)


# --- what its people did ---------------------------------------------------------------------------------------------


def about(place: Place, made: Listed, suppressed: Rows) -> Result:
    """Compares what a sample of the list did with everybody eligible, and what the first tier did with the last."""
    settings = place.settings
    audience = expansion.draw(made.rows, settings.background, settings.random_seed)
    base = expansion.draw_background(place.representation.users, suppressed, settings.background, settings.random_seed)
    found = records.list_record(made.frame) | {"insights": _compared(place, audience, base)}
    tier = made.frame["tier"].to_numpy()
    first, last = (
        expansion.draw(made.rows[tier == end], settings.background, settings.random_seed) for end in (1, tier[-1])
    )
    enough = tier[-1] > 1 and min(len(first), len(last)) >= settings.min_cell
    return found | {"between_tiers": _compared(place, first, last) if enough else None}


def _compared(place: Place, audience: Rows, base: Rows) -> Result:
    """What one group of users does more and less than another."""
    rows = np.union1d(audience, base)
    looked_at = pl.DataFrame(
        {
            "user_id": embeddings.user_ids(place.representation, rows),
            "audience": np.isin(rows, audience).astype(np.int8),
            "base": np.isin(rows, base).astype(np.int8),
        }
    )
    with store.opened(place.workspace.database, read_only=True) as opened:
        counts = deeds.what_users_did(opened, looked_at, place.cut)
    return records.insights_record(counts, insights.Looked(len(audience), len(base)), place.settings.min_cell)


def shares(place: Place, made: Listed, known: Examples, seen: Portrait) -> list[Result]:
    """Of each sub-audience of the seed, its share of the seed and of the list; nothing where the seed is one audience."""
    if not seen.groups:
        return []
    centres = seen.centres(known.seed[:, place.representation.columns("sequence")])
    some = expansion.draw(made.rows, place.settings.background, place.settings.random_seed)
    near = reasons.nearest_of(place.representation, some, centres)
    listed = np.bincount(near, minlength=len(centres)) / len(some)
    return [
        {"seed": group.share, "list": float(share), "more_of": list(group.more_of)}
        for group, share in zip(seen.groups, listed, strict=True)
    ]


# --- why each of them is on it ---------------------------------------------------------------------------------------


def with_reasons(place: Place, made: Listed, known: Examples, people: People) -> tuple[Listed, list[Result]]:
    """The list with a line of reasons for each, and the parts of the seed that the lines speak of.

    Of a seed with moments only what was before them is looked at.
    """
    representation, settings = place.representation, place.settings
    parts = reasons.clusters(known.seed[:, representation.columns("sequence")].astype(np.float32))
    near = reasons.nearest_of(representation, made.rows, parts.centres)
    base = expansion.draw_background(representation.users, people.suppressed, settings.background, settings.random_seed)
    until = np.full(len(known.rows), np.datetime64(place.cut.as_of, "us"))
    if people.moment is not None:
        moment = people.moment[np.searchsorted(people.seed, known.rows)]
        until = np.minimum(until, moment.astype("datetime64[s]").astype("datetime64[us]"))
    groups = (
        pl.DataFrame({"user_id": embeddings.user_ids(representation, known.rows), "cluster": parts.of, "until": until}),
        made.frame.select("user_id", cluster=pl.Series(near)),
        pl.DataFrame({"user_id": embeddings.user_ids(representation, base)}),
    )
    with place.talk.progress("looking for reasons"), store.opened_in(place.workspace, read_only=True) as opened:
        shared = reasons.shared(opened, groups, place.cut, settings.min_cell, people.dropped)
    lines = made.frame.select("rank", "user_id", cluster=pl.Series(near + 1)).join(
        shared, on="user_id", how="left", maintain_order="left"
    )
    names, first = representation.manifest["columns"]["aggregates"], representation.spans["aggregates"][0]
    had = known.seed[:, first : first + len(names)]
    described = [
        {
            "cluster": one + 1,
            "seed": float(np.mean(parts.of == one)),
            "list": float(np.mean(near == one)),
            "more_of": list(portrait.more_of(had, parts.of == one, names)),
        }
        for one in range(len(parts.centres))
    ]
    return Listed(made.rows, made.frame, lines), described


# --- on disk ---------------------------------------------------------------------------------------------------------


def write(place: Place, audience: Audience, found: Result, inputs: list[dict[str, str]], made: Listed | None) -> Path:
    """Puts the audience's folder in place whole, and gives it. `inputs` are the hashes of what it was made from."""
    folder = place.workspace.audience(audience.name)
    with new_folder(folder) as beside:
        if made is not None:
            escaped = lists.write_prospects(made.frame, beside / f"prospects.{audience.format}")
            if made.reasons is not None:
                lists.write_prospects(made.reasons, beside / f"reasons.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                place.talk.note(f"warning: {warning}")
        write_json(beside / "evaluation.json", found)
        outputs = {file.name: sha256(file) for file in sorted(beside.iterdir())}
        source = found["representation"] | {"sha256": sha256(place.representation.folder / "manifest.json")}
        counted = ("universe", "candidates", "prospects", "seed", "suppression")
        manifest = {
            "name": audience.name,
            "created": found["created"],
            "audience": audiences.described(audience),
            "settings": found["settings"],
            "inputs": inputs,
            "representation": source,
            "counts": {key: found[key] for key in counted},
            "versions": versions(),
            "outputs": outputs,
        }
        write_json(beside / "manifest.json", manifest)
    return folder

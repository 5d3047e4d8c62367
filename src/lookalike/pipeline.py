"""The commands as functions: read, call, write. Each takes an open workspace and gives back plain values to show."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from lookalike import audience as audiences
from lookalike import diagnosis, embeddings, expansion, insights, lists, records, store
from lookalike import ingest as ingesting
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.errors import StateError
from lookalike.evaluation import Examples
from lookalike.expansion import Choice, Rows
from lookalike.ingest import IngestOptions
from lookalike.provenance import now, versions
from lookalike.settings import ExpandSettings
from lookalike.store import Cut
from lookalike.talk import Talk
from lookalike.workspace import Workspace, new_folder, read_json, sha256, write_json, write_text

Result = dict[str, Any]
# BLAS works on one thread: its own split a sum differently on another machine, and crawl when a core is taken. Where a
# second core helps, whole pieces of work are given to it.


# --- ingest ----------------------------------------------------------------------------------------------------------


def ingest(workspace: Workspace, paths: list[Path], options: IngestOptions, talk: Talk) -> Result:
    with workspace.locked(make=True), store.opened_in(workspace) as opened:
        return ingesting.ingest(opened, paths, options, talk).as_dict()


def explain(paths: list[Path], options: IngestOptions) -> Result:
    return ingesting.explain(paths, options).as_dict()


# --- expand ----------------------------------------------------------------------------------------------------------


def expand(workspace: Workspace, audience: Audience, settings: ExpandSettings, force: bool, talk: Talk) -> Result:
    """Measures and ranks; writes the list with its evaluation, and gives a summary.

    When the verdict is against and `force` is not given, only the evaluation is written: `prospects` is None.
    """
    representation = embeddings.current(workspace)
    with workspace.locked(), threadpool_limits(1, "blas"):
        suppressed, suppression = _suppressed(representation, audience)
        seed, facts = diagnosis.match_seed(representation, lists.read_ids(audience.seed), suppressed, audience.seed)
        left_out = np.union1d(seed, suppressed)
        asked = expansion.size_among(audience.size, representation.users - len(left_out))
        known = expansion.examples(representation, seed, suppressed, settings)
        with talk.progress("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
            choice = expansion.decide(known, audience.scorer, asked, settings, step)
        found = records.evaluation_record(audience, settings, representation, known, choice)
        found |= {"created": now(), "seed": facts.as_dict() | {"used": known.seeds}, "suppression": suppression}
        found["verdict"]["forced"] = force and not choice.verdict.expand
        ranked = None
        if choice.verdict.expand or force:
            ranked = _ranked(representation, known, choice, left_out, settings, talk)
            found |= _about_list(workspace, representation, ranked, suppressed, settings)
        _write_expansion(workspace, representation, audience, found, ranked, talk)
    return records.expand_summary(found, workspace.audience(audience.name), audience.format)


@dataclass(frozen=True)
class _List:
    """The ranked list with its ids and tiers."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier


def _suppressed(representation: Representation, audience: Audience) -> tuple[Rows, Result]:
    if not audience.suppress:
        return np.zeros(0, np.int64), {"given": 0, "matched": 0}
    ids = pl.concat([lists.read_ids(file) for file in audience.suppress]).unique()
    rows = embeddings.match(representation, lists.either_way(ids))
    return rows, {"given": len(ids), "matched": len(rows)}


def _ranked(
    representation: Representation,
    known: Examples,
    choice: Choice,
    left_out: Rows,
    settings: ExpandSettings,
    talk: Talk,
) -> _List:
    score = expansion.fit(known, choice.scorer, settings)
    with talk.progress("ranking everybody", total=representation.users) as step:
        ranked = expansion.rank(representation, score, choice.size, left_out, step)
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(ranked.rows) + 1),
            "user_id": embeddings.user_ids(representation, ranked.rows),
            "score": ranked.scores,
            "tier": expansion.tiers(len(ranked.rows), settings.tiers),
        }
    )
    return _List(ranked.rows, frame)


def _about_list(
    workspace: Workspace, representation: Representation, ranked: _List, suppressed: Rows, settings: ExpandSettings
) -> Result:
    """Looks up what a sample of the list and of everybody eligible did, and compares the two."""
    audience = expansion.draw(ranked.rows, settings.background, settings.random_seed)
    base = expansion.draw_background(representation.users, suppressed, settings.background, settings.random_seed)
    rows = np.union1d(audience, base)
    looked_at = pl.DataFrame(
        {
            "user_id": embeddings.user_ids(representation, rows),
            "audience": np.isin(rows, audience).astype(np.int8),
            "base": np.isin(rows, base).astype(np.int8),
        }
    )
    with store.opened_in(workspace) as opened:
        counts = store.what_users_did(opened, looked_at, Cut(datetime.fromisoformat(representation.manifest["as_of"])))
    return records.list_record(ranked.frame, counts, insights.Looked(len(audience), len(base)), settings.min_cell)


def _write_expansion(
    workspace: Workspace,
    representation: Representation,
    audience: Audience,
    found: Result,
    ranked: _List | None,
    talk: Talk,
) -> None:
    with new_folder(workspace.audience(audience.name)) as folder:
        if ranked is not None:
            escaped = lists.write_prospects(ranked.frame, folder / f"prospects.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                talk.note(f"warning: {warning}")
        write_json(folder / "evaluation.json", found)
        inputs = {file.name: sha256(file) for file in (audience.seed, *audience.suppress)}
        outputs = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        write_json(
            folder / "manifest.json",
            {
                "name": audience.name,
                "created": found["created"],
                "audience": audiences.described(audience),
                "settings": found["settings"],
                "inputs": inputs,
                "representation": {
                    **found["representation"],
                    "sha256": sha256(representation.folder / "manifest.json"),
                },
                "counts": {key: found[key] for key in ("universe", "candidates", "prospects", "seed", "suppression")},
                "versions": versions(),
                "outputs": outputs,
            },
        )


# --- report, status --------------------------------------------------------------------------------------------------


def report(workspace: Workspace, name: str | None) -> tuple[Result, Path]:
    """Writes the page of one expansion, the newest unless named; gives its evaluation and where the page is."""
    from lookalike.report import page

    chosen = name or _newest(workspace)
    folder = workspace.audience(chosen)
    if not (folder / "evaluation.json").exists():
        known = ", ".join(row["name"] for row in _expansions(workspace)) or "none"
        raise StateError(f"no expansion is called {chosen!r}", f"known: {known}")
    found = read_json(folder / "evaluation.json", "name", "verdict", "held_out", "curves")
    write_text(folder / "report.html", page(found))
    return found, folder / "report.html"


def _newest(workspace: Workspace) -> str:
    made = _expansions(workspace)
    if not made:
        raise StateError("nothing was expanded in this workspace", "lookalike expand --seed seed.csv --size 5%")
    return str(max(made, key=lambda row: row["created"])["name"])


def _expansions(workspace: Workspace) -> list[Result]:
    manifests = sorted(workspace.audiences.glob("*/manifest.json"))
    made = [read_json(path, "name", "created", "counts") for path in manifests if not path.parent.name.startswith(".")]
    return [{"name": m["name"], "created": m["created"], "prospects": m["counts"]["prospects"]} for m in made]


def status(workspace: Workspace) -> Result:
    """What the workspace holds, and the next command."""
    log: Result = {"events": 0}
    if workspace.database.exists():
        with store.opened(workspace.database, read_only=True) as opened:  # no lock: a training may be under way
            log = store.summary(opened)
    live = embeddings.current(workspace).manifest if (workspace.embeddings / "CURRENT").exists() else None
    represented = live and {key: live[key] for key in ("run", "created", "as_of", "users", "blocks")}
    made = _expansions(workspace)
    following = (
        "report"
        if made
        else "expand --seed seed.csv --size 5%"
        if live
        else "train"
        if log["events"]
        else "ingest FILES"
    )
    return {
        "workspace": str(workspace.root),
        "log": log,
        "runs": [
            _run_row(read_json(path, "run", "created", "as_of"))
            for path in sorted(workspace.runs.glob("r*/manifest.json"))
        ],
        "representation": represented,
        "expansions": made,
        "next": f"lookalike {following}",
    }


def _run_row(manifest: Result) -> Result:
    return {key: manifest[key] for key in ("run", "created", "as_of")}

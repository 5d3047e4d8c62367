"""The commands as functions: read, call, write. Each takes an open workspace and gives back plain values to show."""

import contextlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from lookalike import audience as audiences
from lookalike import diagnosis, embeddings, expansion, insights, leakage, lists, portrait, priors, records, store
from lookalike import ingest as ingesting
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.errors import SettingsError, StateError
from lookalike.evaluation import Examples
from lookalike.expansion import Choice, People, Rows
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
    ingesting.find(paths, options)  # a file that is not there is said before the workspace is made
    with workspace.locked(make=True), store.opened_in(workspace) as opened:
        return ingesting.ingest(opened, paths, options, talk).as_dict()


def after_ingest(workspace: Workspace) -> str:
    """The command that takes in what was ingested."""
    return "embed" if embeddings.exists(workspace) else "train"


def explain(paths: list[Path], options: IngestOptions) -> Result:
    return ingesting.explain(paths, options).as_dict()


# --- expand ----------------------------------------------------------------------------------------------------------


def expand(workspace: Workspace, audience: Audience, settings: ExpandSettings, force: bool, talk: Talk) -> Result:
    """Measures and ranks; writes the list with its evaluation, and gives a summary.

    When the verdict is against and `force` is not given, only the evaluation is written: `prospects` is None.
    """
    folder = workspace.audience(audience.name)
    embeddings.current(workspace)  # nothing trained: said before the lock makes a file
    with workspace.locked(), threadpool_limits(1, "blas"):
        representation = embeddings.current(workspace)
        _check_name(folder, audience)
        read = _people(workspace, representation, audience, talk)
        people = read.people
        asked = expansion.size_among(audience.size, representation.users - len(people.left_out))
        prior = priors.of_run(workspace, representation.manifest["run"])
        known = expansion.examples(representation, people, settings, prior)
        with talk.progress("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
            choice = expansion.decide(known, audience.scorer, asked, settings, step)
        found = records.evaluation_record(audience, settings, representation, known, choice)
        found["diagnosis"] = _diagnosed(representation, known, choice, settings, talk)
        for warning in diagnosis.findings(found["diagnosis"], known.seeds):
            read.warnings.append(warning)
            talk.note(f"warning: {warning}")
        found |= {
            "created": now(),
            "seed": read.seed_facts | {"used": known.seeds, "effective": expansion.effective(known.weight)},
        }
        found |= {"suppression": read.suppression, "warnings": read.warnings}
        found["verdict"]["forced"] = force and not choice.verdict.expand
        ranked = None
        if choice.verdict.expand or force:
            ranked = _ranked(representation, known, choice, people.left_out, settings, talk)
            found |= _about_list(workspace, representation, ranked, people.suppressed, settings)
        _write_expansion(folder, representation, audience, (found, read.inputs), ranked, talk)
    return records.expand_summary(found, folder, audience.format)


def _diagnosed(
    representation: Representation, known: Examples, choice: Choice, settings: ExpandSettings, talk: Talk
) -> Result:
    """What kind of people the seed is, and what nearly defines it."""
    names, first = representation.manifest["columns"]["aggregates"], representation.spans["aggregates"][0]
    with talk.progress("looking at the seed"):
        found = portrait.portrait(known, names, first, settings.random_seed).as_dict()
        leaks = leakage.audit(known, names, first)
        dropped = np.array([representation.column(leak.column) for leak in leaks], np.int64)
        blind = leakage.lift_without(known, dropped, choice.share, settings) if leaks else None
        doubling = portrait.gain_of_doubling(known, choice.scorer, choice.share, settings, lambda done: None)
    return found | {"leaks": [asdict(leak) for leak in leaks], "lift_without": blind, "gain_of_doubling": doubling}


def _check_name(folder: Path, audience: Audience) -> None:
    """A list may only be replaced by another seed's when the name was meant: two clients' seed.csv share a default one."""
    if audience.named or not (folder / "manifest.json").exists():
        return
    made_from = read_json(folder / "manifest.json").get("inputs", [])
    if made_from and made_from[0].get("sha256") != sha256(audience.seed):
        raise SettingsError(
            f"audiences/{audience.name} holds the list of another seed",
            f"--name NAME, or --name {audience.name} to replace it",
        )


@dataclass(frozen=True)
class _Read:
    """The people, and what is to be said of the lists they came from."""

    people: People
    seed_facts: Result
    suppression: Result
    inputs: list[dict[str, str]]  # the seed's file first
    warnings: list[str]


def _people(workspace: Workspace, representation: Representation, audience: Audience, talk: Talk) -> _Read:
    files = (audience.seed, *audience.suppress, *audience.negative)
    inputs = [{"name": file.name, "sha256": sha256(file)} for file in files if file.exists()]
    given = lists.read_ids(audience.seed, with_values=True)
    suppress = _ids_of(audience.suppress)
    suppressed = embeddings.match(representation, lists.either_way(suppress))
    diagnosis.check_suppression(len(suppress), len(suppressed))
    seed, facts = diagnosis.match_seed(representation, given.ids.select("user_id"), suppressed, audience.seed)
    value = None
    if "value" in given.ids.columns:
        worth = given.ids.group_by("user_id").agg(pl.col("value").sum())
        value = embeddings.matched(representation, worth)["value"].to_numpy()
    against = np.setdiff1d(embeddings.match(representation, _ids_of(audience.negative)), seed)
    warnings = diagnosis.warnings_of(facts, len(suppress), len(suppressed))
    warnings += diagnosis.negative_warnings(audience.negative, len(against))
    warnings += _newer(workspace, representation)
    for warning in warnings:
        talk.note(f"warning: {warning}")
    suppression = {"given": len(suppress), "matched": len(suppressed)}
    said = facts.as_dict() | {"valued": value is not None, "negative": len(against)}
    people = People(seed, suppressed, value, against, diagnosis.droppable(representation, audience.drop_features))
    return _Read(people, said, suppression, inputs, warnings)


def _ids_of(files: tuple[Path, ...]) -> pl.DataFrame:
    read = [lists.read_ids(file).ids.select("user_id") for file in files]
    return pl.concat(read).unique() if read else pl.DataFrame({"user_id": []}, schema={"user_id": pl.String})


def _newer(workspace: Workspace, representation: Representation) -> list[str]:
    """A warning when files were ingested that the stored vectors have not seen."""
    seen = representation.manifest.get("files")
    if seen is None or not workspace.database.exists():
        return []
    with store.opened(workspace.database, read_only=True) as opened:
        newer = len(store.ingested(opened)) - len(seen)
    return [f"{newer:,} files were ingested after the training; lookalike embed takes them in"] if newer > 0 else []


@dataclass(frozen=True)
class _List:
    """The ranked list with its ids and tiers."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier


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
    with store.opened(workspace.database, read_only=True) as opened:
        counts = store.what_users_did(opened, looked_at, Cut(datetime.fromisoformat(representation.manifest["as_of"])))
    return records.list_record(ranked.frame, counts, insights.Looked(len(audience), len(base)), settings.min_cell)


def _write_expansion(
    folder: Path,
    representation: Representation,
    audience: Audience,
    of: tuple[Result, list[dict[str, str]]],
    ranked: _List | None,
    talk: Talk,
) -> None:
    """Puts the folder in place whole. `of` is the record and the hashes of what it was made from."""
    found, inputs = of
    with new_folder(folder) as made:
        if ranked is not None:
            escaped = lists.write_prospects(ranked.frame, made / f"prospects.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                talk.note(f"warning: {warning}")
        write_json(made / "evaluation.json", found)
        outputs = {file.name: sha256(file) for file in sorted(made.iterdir())}
        source = found["representation"] | {"sha256": sha256(representation.folder / "manifest.json")}
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
        write_json(made / "manifest.json", manifest)


# --- report, status --------------------------------------------------------------------------------------------------


def report(workspace: Workspace, name: str | None) -> tuple[Result, Path]:
    """Writes the page of one expansion, the newest unless named; gives its evaluation and where the page is."""
    from lookalike.report import page

    _tidy(workspace)
    folder = workspace.audience(name or _newest(workspace))
    if not (folder / "evaluation.json").exists():
        known = ", ".join(row["name"] for row in _expansions(workspace)) or "none"
        raise StateError(f"no expansion is called {name!r}", f"known: {known}")
    found = read_json(folder / "evaluation.json", "name", "verdict", "held_out", "curves")
    html = page(found)
    # no lock, so that a report can be had while a training runs; an expansion that ended meanwhile has the last word
    if read_json(folder / "evaluation.json") != found:
        raise StateError(f"{folder}: was expanded anew just now", f"lookalike report {folder.name}")
    write_text(folder / "report.html", html)
    return found, folder / "report.html"


def _tidy(workspace: Workspace) -> None:
    """Cleans up after a killed command, unless somebody is at work."""
    if workspace.root.exists():
        with contextlib.suppress(StateError), workspace.locked():
            pass


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
    _tidy(workspace)
    if workspace.database.exists():
        with store.opened(workspace.database, read_only=True) as opened:  # no lock: a training may be under way
            log = store.summary(opened)
    live = embeddings.current(workspace).manifest if (workspace.embeddings / "CURRENT").exists() else None
    represented = live and {key: live[key] for key in ("run", "created", "as_of", "users", "blocks")}
    made = _expansions(workspace)
    stale = bool(live) and bool(_newer(workspace, embeddings.current(workspace)))
    return {
        "workspace": str(workspace.root),
        "log": log,
        "runs": [
            _run_row(read_json(path, "run", "created", "as_of"))
            for path in sorted(workspace.runs.glob("r*/manifest.json"))
        ],
        "representation": represented,
        "expansions": made,
        "next": f"lookalike {_following(bool(log['events']), bool(live), stale, bool(made))}",
    }


def _following(ingested: bool, trained: bool, stale: bool, expanded: bool) -> str:
    """The command that comes next."""
    if not ingested:
        return "ingest FILES"
    if not trained:
        return "train"
    if stale:
        return "embed"
    return "report" if expanded else "expand --seed seed.csv --size 5%"


def _run_row(manifest: Result) -> Result:
    return {key: manifest[key] for key in ("run", "created", "as_of")}

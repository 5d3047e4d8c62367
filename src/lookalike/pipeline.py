"""The commands as functions: read, call, write. Each takes an open workspace and gives back plain values to show."""

import contextlib
from pathlib import Path
from typing import Any

from lookalike import diagnosis, embeddings, runs, store
from lookalike import ingest as ingesting
from lookalike.errors import StateError
from lookalike.ingest import IngestOptions
from lookalike.talk import Talk
from lookalike.workspace import Workspace, read_json, write_text

Result = dict[str, Any]


# --- ingest ----------------------------------------------------------------------------------------------------------


def ingest(workspace: Workspace, paths: list[Path], options: IngestOptions, talk: Talk) -> Result:
    ingesting.find(paths, options)  # a file that is not there is said before the workspace is made
    with workspace.locked(make=True), store.opened_in(workspace) as opened:
        return ingesting.ingest(opened, paths, options, talk).as_dict()


def after_ingest(workspace: Workspace) -> str:
    """The command that takes in what was ingested."""
    if not embeddings.exists(workspace):
        return "train"
    stale = diagnosis.newer_files(workspace, embeddings.current(workspace))
    return "embed" if stale else "expand --seed seed.csv --size 5%"


def explain(paths: list[Path], options: IngestOptions) -> Result:
    return ingesting.explain(paths, options).as_dict()


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
    readable = embeddings.exists(workspace)
    live = embeddings.current(workspace).manifest if readable else None
    represented = live and {key: live[key] for key in ("run", "created", "as_of", "users", "blocks")}
    made = _expansions(workspace)
    stale = readable and bool(diagnosis.newer_files(workspace, embeddings.current(workspace)))
    trained = runs.names(workspace)
    return {
        "workspace": str(workspace.root),
        "log": log,
        "runs": [
            _run_row(read_json(path, "run", "created", "as_of"))
            for path in sorted(workspace.runs.glob("r*/manifest.json"))
        ],
        "representation": represented,
        "expansions": made,
        "next": f"lookalike {_following(bool(log['events']), readable, trained, stale, bool(made))}",
    }


def _following(ingested: bool, represented: bool, trained: list[str], stale: bool, expanded: bool) -> str:
    """The command that comes next."""
    if not ingested:
        return "ingest FILES"
    if not represented:
        return f"embed --run {trained[-1]}" if trained else "train"
    if stale:
        return "embed"
    return "report" if expanded else "expand --seed seed.csv --size 5%"


def _run_row(manifest: Result) -> Result:
    return {key: manifest[key] for key in ("run", "created", "as_of")}

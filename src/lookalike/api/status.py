"""TODO"""

import contextlib
from typing import Any

from lookalike.data import database
from lookalike.embeddings import freshness, representation
from lookalike.encoder import runs
from lookalike.errors import StateError
from lookalike.workspace.files import read_json
from lookalike.workspace.paths import WorkspaceFolder

Result = dict[str, Any]


def clean_up(workspace: WorkspaceFolder) -> None:
    """Cleans up after a killed command, unless somebody is at work."""
    if workspace.root.exists():
        with contextlib.suppress(StateError), workspace.locked():
            pass


def list_expansions(workspace: WorkspaceFolder) -> list[Result]:
    manifests = sorted(workspace.audiences.glob("*/manifest.json"))
    made = [read_json(path, "name", "created", "counts") for path in manifests if not path.parent.name.startswith(".")]
    return [{"name": m["name"], "created": m["created"], "prospects": m["counts"]["prospects"]} for m in made]


def status(workspace: WorkspaceFolder) -> Result:
    """What the workspace holds, and the next command."""
    log: Result = {"events": 0}
    clean_up(workspace)
    if workspace.database.exists():
        with database.open_file(workspace.database, read_only=True) as opened:  # no lock: a training may be under way
            log = database.log_summary(opened).as_json()
    readable = representation.has_live_version(workspace)
    live = representation.live_version(workspace) if readable else None
    represented = live and {key: live.manifest.as_json()[key] for key in ("run", "created", "as_of", "users", "blocks")}
    made = list_expansions(workspace)
    stale = False
    if live and workspace.database.exists():
        with database.open_file(workspace.database, read_only=True) as opened:
            stale = freshness.newer_files(opened, live) > 0
    trained = runs.run_names(workspace)
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

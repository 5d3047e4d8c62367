"""The commands as functions: read, call, write. Each takes an open workspace and gives back plain values to show."""

from pathlib import Path
from typing import Any

from lookalike.api.status import clean_up, list_expansions
from lookalike.errors import StateError
from lookalike.workspace.files import read_json, write_text
from lookalike.workspace.paths import WorkspaceFolder

Result = dict[str, Any]


def report(workspace: WorkspaceFolder, name: str | None) -> tuple[Result, Path]:
    """Writes the page of one expansion, the newest unless named; gives its evaluation and where the page is."""
    from lookalike.reporting.page import page

    clean_up(workspace)
    folder = workspace.audience(name or _newest(workspace))
    if not (folder / "evaluation.json").exists():
        known = ", ".join(row["name"] for row in list_expansions(workspace)) or "none"
        raise StateError(f"no expansion is called {name!r}", f"known: {known}")
    found = read_json(folder / "evaluation.json", "name", "verdict", "held_out", "curves")
    html = page(found)
    # no lock, so that a report can be had while a training runs; an expansion that ended meanwhile has the last word
    if read_json(folder / "evaluation.json") != found:
        raise StateError(f"{folder}: was expanded anew just now", f"lookalike report {folder.name}")
    write_text(folder / "report.html", html)
    return found, folder / "report.html"


def _newest(workspace: WorkspaceFolder) -> str:
    made = list_expansions(workspace)
    if not made:
        raise StateError("nothing was expanded in this workspace", "lookalike expand --seed seed.csv --size 5%")
    return str(max(made, key=lambda row: row["created"])["name"])

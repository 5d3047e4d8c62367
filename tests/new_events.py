"""New events for the tiny workspace, for the tests of `embed`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from lookalike.api import ingest as ingest_module
from lookalike.data.ingest.options import IngestOptions
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from planted_log import START

LATER = START + timedelta(days=85)  # after the end of the tiny log
SOME_USERS = ["u00003", "u00250", "u00251", "u00599"]


def write_events(
    path: Path, users: list[str], when: datetime = LATER, items: tuple[str, ...] = ("i0003", "i0013")
) -> Path:
    """One event of each user for each item, a minute apart."""
    rows = [
        {"user_id": user, "ts": when + timedelta(minutes=n), "event_type": "view", "item_id": item, "value": 1.5}
        for user in users
        for n, item in enumerate(items)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
    return path


def ingest(workspace: WorkspaceFolder, *paths: Path, **options: Any) -> None:
    ingest_module.ingest(workspace, list(paths), IngestOptions(**options), QuietProgress())

"""The verb `status`: what a workspace holds, and which command comes next."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from lookalike.data import database, suppressions
from lookalike.data.database import Database, DatabaseBusy, LogSummary
from lookalike.embeddings import freshness
from lookalike.embeddings.representation import Representation, has_live_version, live_version
from lookalike.encoder.run_files import RunManifest
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.workspace.files import versions
from lookalike.workspace.paths import NothingIngested, WorkspaceFolder
from lookalike.workspace.records import Record

NextStep = Literal["ingest", "train", "embed", "embed_run", "expand", "report"]
REPORT_PAGE = "report.html"  # in the folder of an expansion
_PATIENCE = 0.5  # seconds to wait for a command that writes to the database


class RunSummary(Record):
    """One training."""

    run: str = Field(description="its name")
    created: str = Field(description="when it was trained")
    as_of: datetime = Field(description="events before this moment were read")


class VectorSummary(Record):
    """The stored vectors."""

    version: str = Field(description="its name")
    run: str = Field(description="whose encoder made it")
    created: str = Field(description="when it was written")
    as_of: datetime = Field(description="events before this moment were read")
    users: int = Field(description="with a vector")
    without_events: int = Field(description="of them, people whom only the users table knows")
    blocks: dict[str, int] = Field(description="number of columns by block")


class ExpansionSummary(Record):
    """One expansion."""

    name: str = Field(description="the audience")
    created: str = Field(description="when it was made")
    prospects: int = Field(description="users on the list; 0 if none was written")
    versions: int = Field(description="expansions of the audience that are kept, this one included")


class StatusResult(Record):
    """What a workspace holds."""

    workspace: str = Field(description="the folder")
    log: LogSummary | None = Field(description="null before the first ingest, and while `writing`")
    suppressed: int = Field(default=0, description="ids that are on the standing list today; 0 while `writing`")
    writing: bool = Field(default=False, description="a command is writing to the log, so that it cannot be read")
    runs: tuple[RunSummary, ...] = Field(description="trainings, oldest first")
    vectors: VectorSummary | None = Field(description="null before the first training")
    expansions: tuple[ExpansionSummary, ...] = Field(description="by name")
    next_step: NextStep = Field(
        description="the command that comes next: ingest, train, embed, embed_run, expand or report"
    )


def status(folder: WorkspaceFolder) -> StatusResult:
    """What the workspace holds, and the next command. Stops no command that is at work or begins, and works where nothing
    can be written. While a command writes to the database, nothing is said of the log.
    """
    folder.clean_up()
    live = live_version(folder) if has_live_version(folder) else None
    log, suppressed, writing, step = _log(folder, live)
    return StatusResult(
        workspace=str(folder.root),
        log=log if log and log.events else None,
        suppressed=suppressed,
        writing=writing,
        runs=run_summaries(folder),
        vectors=_vectors(live) if live else None,
        expansions=expansions(folder),
        next_step=step,
    )


def _log(folder: WorkspaceFolder, live: Representation | None) -> tuple[LogSummary | None, int, bool, NextStep]:
    """What the log holds, how many ids are suppressed, whether a command is writing, and the next command."""
    try:
        with database.open_in(folder, read_only=True, patience=_PATIENCE) as db:
            suppressed = suppressions.count_suppressed(db, suppressions.today())
            return database.log_summary(db), suppressed, False, _next_step(folder, db, live)
    except NothingIngested:
        return None, 0, False, "ingest"
    except DatabaseBusy:
        return None, 0, True, "expand" if live else "train"


def next_step(folder: WorkspaceFolder) -> NextStep:
    """The command that comes next; quicker than `status`, which counts the log."""
    live = live_version(folder) if has_live_version(folder) else None
    try:
        with database.open_in(folder, read_only=True, patience=_PATIENCE) as db:
            return _next_step(folder, db, live)
    except NothingIngested:
        return "ingest"
    except DatabaseBusy:
        return "expand" if live else "train"


def _next_step(folder: WorkspaceFolder, db: Database, live: Representation | None) -> NextStep:
    if not database.has_files(db):
        return "ingest"
    if live is None:
        return "embed_run" if run_summaries(folder) else "train"
    if freshness.newer_files(db, live):
        return "embed"
    return "report" if _lacks_report(folder) else "expand"


def _lacks_report(folder: WorkspaceFolder) -> bool:
    """Whether the newest expansion has no page yet. Another expansion of the audience removes the page."""
    manifests = folder.audiences.glob("[!.]*/manifest.json")
    newest = max(manifests, key=lambda file: file.stat().st_mtime_ns, default=None)
    return newest is not None and not (newest.parent / REPORT_PAGE).exists()


def run_summaries(folder: WorkspaceFolder) -> tuple[RunSummary, ...]:
    """The runs of a workspace, oldest first."""
    manifests = [RunManifest.read(file) for file in sorted(folder.runs.glob("r*/manifest.json"))]
    return tuple(RunSummary(run=manifest.run, created=manifest.created, as_of=manifest.as_of) for manifest in manifests)


def _vectors(live: Representation) -> VectorSummary:
    manifest = live.manifest
    return VectorSummary(
        version=live.version,
        run=manifest.run,
        created=manifest.created,
        as_of=manifest.as_of,
        users=manifest.users,
        without_events=manifest.without_events,
        blocks=manifest.blocks,
    )


def expansions(folder: WorkspaceFolder) -> tuple[ExpansionSummary, ...]:
    """The expansions of a workspace, by name."""
    files = sorted(folder.audiences.glob("*/manifest.json"))
    return tuple(_expansion(file) for file in files if not file.parent.name.startswith("."))


def _expansion(file: Path) -> ExpansionSummary:
    manifest = ExpansionManifest.read(file)
    return ExpansionSummary(
        name=manifest.name,
        created=manifest.created,
        prospects=manifest.counts.prospects,
        versions=1 + len(versions(file.parent)),
    )

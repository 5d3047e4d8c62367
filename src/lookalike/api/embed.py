"""The embed verb: stores new vectors of the users whose events changed, by an encoder that was trained before."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from threadpoolctl import threadpool_limits

from lookalike.api.locking import locked
from lookalike.data import database, sequence_builder
from lookalike.data.ingest import context_columns
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import representation, writer
from lookalike.embeddings.manifest import VersionManifest
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.writer import BlockWork
from lookalike.encoder import inference, refresh, runs, versions
from lookalike.encoder.embedder import Embedder, load_embedder
from lookalike.encoder.refresh import RefreshedBlocks, RefreshPlan, VersionRows
from lookalike.encoder.results import EmbedResult, NewItems, NothingToRefresh, RunAdopted, UnknownColumns, VectorsKept
from lookalike.encoder.runs import Run
from lookalike.encoder.versions import LogSnapshot
from lookalike.errors import StateError
from lookalike.workspace.executor import Executor
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress


@dataclass(frozen=True)
class EmbedRequest:
    """Whom to embed, and by which run."""

    run: str | None = None  # name or folder; the live version's run if not given
    as_of: datetime | None = None  # only events before it are read
    full: bool = False  # every user, not only those with new events
    device: str = "auto"
    executor: Executor | None = None  # does the work on shards; this process if not given


@dataclass(frozen=True)
class _Job:
    """One embedding: the run, and the live version if there is one."""

    folder: WorkspaceFolder
    request: EmbedRequest
    progress: Progress
    run: Run
    live: Representation | None
    stored: VersionManifest | None  # what the live version has read


@dataclass(frozen=True)
class _Log:
    """What was read of the log, and who is embedded."""

    snapshot: LogSnapshot
    plan: RefreshPlan
    sequences: Sequences  # of the users to embed
    vocabulary: Vocabulary
    rows: VersionRows
    unknown_columns: tuple[str, ...]  # of the log, which the run was not trained on


def embed(folder: WorkspaceFolder, request: EmbedRequest, progress: Progress) -> EmbedResult:
    """Embeds the users with new events. The others keep their vectors, byte for byte.

    Raises StateError when nothing was ingested or trained, or no user has enough events.
    """
    folder.require_database()
    device = inference.device_for(request.device)
    with threadpool_limits(1, "blas"), locked(folder, progress), folder.scratch() as scratch:
        job = _new_job(folder, request, progress)
        log = _read_log(job, scratch)
        _report_log(job, log)
        if job.live and job.stored and _is_up_to_date(job.stored, log):
            progress.say(NothingToRefresh())
            return _result(job, log, job.live.folder.name)
        embedder = load_embedder(job.run, log.vocabulary, device)
        _adopt(job, embedder, log)
        version = _write_version(job, log, embedder)
        if log.rows.kept:
            progress.say(VectorsKept(users=log.rows.kept, as_of=log.snapshot.cut.as_of))
        return _result(job, log, version)


def _new_job(folder: WorkspaceFolder, request: EmbedRequest, progress: Progress) -> _Job:
    live = representation.live_version(folder) if representation.has_live_version(folder) else None
    stored = live.manifest if live else None
    if request.run is not None:
        loaded = runs.load_run(folder, request.run)
        run = replace(loaded, name=runs.local_name(folder, loaded))
    elif stored is not None:
        run = runs.load_run(folder, stored.run)
    elif names := runs.run_names(folder):
        raise StateError("there are no stored vectors that can be read", f"lookalike embed --run {names[-1]}")
    else:
        raise StateError("no encoder was trained in this workspace", "lookalike train, or embed --run FOLDER")
    return _Job(folder, request, progress, run, live, stored)


def _read_log(job: _Job, scratch: Path) -> _Log:
    run, request = job.run, job.request
    with database.open_in(job.folder, read_only=True) as opened, job.progress.step("reading the log"):
        context_columns.require_finished_ingest(opened)
        snapshot = LogSnapshot.read(opened, request.as_of, run.config.settings.min_events)
        plan = refresh.plan_refresh(job.stored, run.name, snapshot, request.full)
        log = (opened, snapshot.cut, scratch, run.vocabulary)
        if job.live and plan.watermark:
            sequences, vocabulary = sequence_builder.build_changed(*log, plan.watermark)
            rows = VersionRows.matched(opened, scratch, job.live)
        else:
            sequences, vocabulary = sequence_builder.build_sequences(*log)
            _require_events(sequences)
            rows = VersionRows.all_changed(scratch, sequences.users)
        unknown = tuple(name for name in database.coded_fields(opened) if name not in run.vocabulary.codes)
    return _Log(snapshot, plan, sequences, vocabulary, rows, unknown)


def _require_events(everybody: Sequences) -> None:
    if everybody.offsets[-1] == 0:
        raise StateError("no user has enough events before the cut", "a later --as-of, or lookalike ingest")


def _report_log(job: _Job, log: _Log) -> None:
    run, say = job.run, job.progress.say
    if log.plan.reason:
        say(log.plan.reason)
    if new_items := len(log.vocabulary.items) - len(run.vocabulary.items):
        say(NewItems(run=run.name, items=new_items))
    if log.unknown_columns:
        say(UnknownColumns(run=run.name, columns=log.unknown_columns))


def _is_up_to_date(stored: VersionManifest, log: _Log) -> bool:
    """Whether the live version has read all there is, so that a new one would be the same."""
    nobody_changed = bool(log.plan.watermark) and not log.sequences.users and not log.rows.removed
    return nobody_changed and log.snapshot.files == stored.files


def _adopt(job: _Job, embedder: Embedder, log: _Log) -> None:
    """Copies a run from elsewhere into the workspace, once it has embedded somebody: a run that does not fit stays out."""
    run = job.run
    if run.folder.resolve().parent == job.folder.runs.resolve():
        return
    embedder.check(log.sequences)
    runs.adopt(job.folder, run)
    if run.folder.name != run.name:
        job.progress.say(RunAdopted(source=str(job.request.run), run=run.name))


def _write_version(job: _Job, log: _Log, embedder: Embedder) -> str:
    """Stores all blocks of all users. Returns the name of the version."""
    snapshot, rows = log.snapshot, log.rows
    everybody_as_of = job.stored.everybody_as_of if job.stored and log.plan.watermark else snapshot.cut.as_of
    facts = versions.manifest_facts(job.run.name, embedder, snapshot, log.sequences.users, everybody_as_of)
    work = BlockWork(RefreshedBlocks(embedder, log.sequences, rows, job.live), job.request.executor)
    with job.progress.step("embedding users", total=len(rows.changed)) as advance:
        return writer.write_version(job.folder, rows.ids, work, facts, advance)


def _result(job: _Job, log: _Log, version: str) -> EmbedResult:
    live = representation.live_version(job.folder).manifest
    return EmbedResult(
        run=job.run.name,
        version=version,
        users=live.users,
        without_events=live.without_events,
        refreshed=log.sequences.users,
    )

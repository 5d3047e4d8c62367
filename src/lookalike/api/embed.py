"""The embed command: stored vectors for users whose events changed, by an encoder that was trained before."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lookalike.data import database, sequence_builder
from lookalike.data.arrays import Rows
from lookalike.data.database import Cut, Database
from lookalike.data.id_encoding import Watermark, matched_user_rows
from lookalike.data.ingest import context_columns
from lookalike.data.schema import SourceFile
from lookalike.data.sequences import Sequences
from lookalike.embeddings import representation, writer
from lookalike.embeddings.manifest import VersionFacts, VersionManifest
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.embeddings.writer import BlockWork
from lookalike.encoder import embedder, inference, runs
from lookalike.encoder.embedder import USERS_PER_STEP, Embedder
from lookalike.encoder.runs import Run
from lookalike.errors import StateError
from lookalike.workspace.executor import Executor
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress
from lookalike.workspace.provenance import library_versions, utc_now

Result = dict[str, Any]


NOBODY = (np.zeros(0, np.int64), np.zeros(0, np.int64))


STALE = timedelta(days=30)  # by how much the recency of users without new events may lag behind


@dataclass(frozen=True)
class EmbedRequest:
    run: str | None = None  # a run, or the folder of one; the live version's if not given
    as_of: datetime | None = None
    full: bool = False
    device: str = "auto"
    engine: Executor | None = None  # what does the work on the shards; this process if not given


def embed(workspace: WorkspaceFolder, request: EmbedRequest, progress: Progress) -> Result:
    """Embeds users with events that were not seen, keeps the others' vectors byte for byte, and gives the counts."""
    if not workspace.database.exists():
        raise StateError("nothing was ingested into this workspace", "lookalike ingest FILES")
    device = inference.device_for(request.device)
    with threadpool_limits(1, "blas"), workspace.locked(), workspace.scratch() as scratch:
        live = representation.live_version(workspace) if representation.has_live_version(workspace) else None
        run = _run(workspace, request.run, live)
        if request.run and Path(request.run).name != run.name:
            progress.note(f"{request.run} is {run.name} in this workspace")
        with database.open_in(workspace) as opened, progress.step("reading the log"):
            context_columns.decide_if_pending(opened)
            cut = Cut(database.resolve_cutoff(opened, request.as_of), run.config["settings"]["min_events"])
            files = database.ingested_files(opened)
            seen, why = _seen(live, run, cut, files, request.full)
            if seen:
                arrays, vocabulary = sequence_builder.build_changed(opened, cut, scratch, run.vocabulary, seen)
            else:
                arrays, vocabulary = sequence_builder.build_sequences(opened, cut, scratch, run.vocabulary)
            people = _People.of(opened, scratch, arrays.users, live if seen else None)
            last = database.last_file_id(opened)
            late = [name for name in database.coded_fields(opened) if name not in run.vocabulary.codes]
        untrained = f"{', '.join(late)}: not known to {run.name}; lookalike train makes features of it" if late else ""
        for line in (why, _known(run, len(vocabulary.items)), untrained):
            if line:
                progress.note(line)
        made = embedder.load_embedder(run, vocabulary, device)
        if not len(people.old):
            raise StateError("no user has enough events before the cut", "a later --as-of, or lookalike ingest")
        if seen and live and not arrays.users and not people.gone and files == live.manifest.files:
            progress.note("no user has events that were not seen")
            return _counts(live.folder.name, run, arrays.users, people)
        facts = VersionFacts(
            run=run.name,
            created=utc_now(),
            as_of=cut.as_of,
            everybody_as_of=_oldest(live.manifest) if seen and live else cut.as_of,
            min_events=cut.min_events,
            files=files,
            last_file=last,
            blocks=made.widths,
            columns={"aggregates": tuple(made.aggregates.names)},
            refreshed=arrays.users,
            versions=library_versions(),
        )
        with progress.step("embedding users", total=len(people.old)) as step:
            version = writer.write_version(
                workspace, people.file, BlockWork(_blocks(made, arrays, people, live), request.engine), facts, step
            )
    if people.unchanged:
        progress.note(
            f"{people.unchanged:,} users without new events keep their vectors, recency as of then too; "
            f"--full moves everybody to {cut.as_of}"
        )
    return _counts(version, run, arrays.users, people)


def _counts(version: str, run: Run, refreshed: int, people: "_People") -> Result:
    return {"run": run.name, "version": version, "users": len(people.old), "refreshed": refreshed}


def _run(workspace: WorkspaceFolder, asked: str | None, live: Representation | None) -> Run:
    """The run to use; one from elsewhere is copied into the workspace, where lists made with it will look for it."""
    if asked is None:
        if live is None:
            trained = runs.run_names(workspace)
            if trained:
                raise StateError("there are no stored vectors that can be read", f"lookalike embed --run {trained[-1]}")
            raise StateError("no encoder was trained in this workspace", "lookalike train, or embed --run FOLDER")
        return runs.load_run(workspace, live.manifest.run)
    run = runs.load_run(workspace, asked)
    return run if runs.is_local(workspace, run) else runs.adopt_run(workspace, run)


def _seen(
    live: Representation | None, run: Run, cut: Cut, files: tuple[SourceFile, ...], full: bool
) -> tuple[Watermark | None, str]:
    """What the live version has read, None where everybody is to be embedded anew; and the reason to tell."""
    if live is None:
        return None, ""
    known = live.manifest
    before = known.as_of
    if full:
        return None, "everybody is embedded anew, as asked"
    if known.run != run.name:
        return None, f"the stored vectors are by {known.run}: everybody is embedded anew by {run.name}"
    oldest = _oldest(known)
    if cut.as_of - oldest > STALE:
        return None, f"some stored vectors are of {oldest:%Y-%m-%d}: after {STALE.days} days everybody is embedded anew"
    if cut.as_of < before:
        return None, f"{cut.as_of} is before the stored vectors' {before}: everybody is embedded anew"
    tables = [[file for file in read if file.kind != "events"] for read in (files, known.files)]
    if tables[0] != tables[1]:
        return None, "items or users were described anew: everybody is embedded anew"
    return Watermark(before, known.last_file), ""


def _oldest(manifest: VersionManifest) -> datetime:
    """The last moment at which everybody was embedded: a version that keeps vectors keeps it too."""
    return manifest.everybody_as_of or manifest.as_of


def _known(run: Run, items: int) -> str:
    """How much of the log's catalogue the run was trained on, where that is not all."""
    trained = len(run.vocabulary.items)
    return (
        f"{items - trained:,} items are new to {run.name}: they are their attributes alone" if items > trained else ""
    )


@dataclass(frozen=True)
class _People:
    """Everybody of the new version, in order: the row in the old version and the row among the changed; -1 for none."""

    file: Path
    old: Rows
    changed: Rows
    gone: int

    @property
    def unchanged(self) -> int:
        return int((self.changed < 0).sum())

    @classmethod
    def of(cls, opened: Database, folder: Path, changed: int, live: Representation | None) -> "_People":
        """After the histories of so many changed users were built in `folder`; with no live version they are everybody."""
        if live is None:
            return cls(folder / "users.parquet", np.full(changed, -1), np.arange(changed), 0)
        ids = UserIndex(live).checked_file()
        parts = [(part["old"].to_numpy(), part["changed"].to_numpy()) for part in matched_user_rows(opened, ids)]
        old, new = (
            (np.concatenate([*of, np.zeros(0, np.int64)]) for of in zip(*parts, strict=True)) if parts else NOBODY
        )
        return cls(folder / "all_users.parquet", old, new, live.users - int((old >= 0).sum()))


def _blocks(made: Embedder, arrays: Sequences, people: _People, live: Representation | None) -> writer.ComputeBlocks:
    """Each block of a stretch of everybody: computed where events changed, else as it was stored."""
    changed = _Changed(made, arrays)

    def compute(first: int, last: int) -> dict[str, NDArray[np.floating[Any]]]:
        rows = people.changed[first:last]
        fresh = np.flatnonzero(rows >= 0)
        computed = changed.blocks(int(rows[fresh[0]]), int(rows[fresh[-1]]) + 1) if len(fresh) else {}
        if len(fresh) == last - first:
            return computed
        assert live is not None, "only a stored vector can be kept"
        kept = np.flatnonzero(rows < 0)
        stored = live.raw(people.old[first:last][kept])
        for block, values in computed.items():
            whole = np.empty((last - first, values.shape[1]), np.float16)
            whole[kept], whole[fresh] = stored[block], values
            stored[block] = whole
        return dict(stored)

    return compute


@dataclass
class _Changed:
    """The blocks of the changed users, computed so many at a time: of a hundred users only a few may have changed, and to
    compute those by themselves would cost nearly as much as all of them."""

    made: Embedder
    arrays: Sequences
    first: int = 0
    computed: dict[str, Any] = field(default_factory=dict)

    def blocks(self, low: int, high: int) -> dict[str, NDArray[np.floating[Any]]]:
        """Of the changed users low : high. Stretches are asked for in order; a step is computed once."""
        parts: list[dict[str, Any]] = []
        while low < high:
            step = low - low % USERS_PER_STEP
            if not self.computed or step != self.first:
                last = min(step + USERS_PER_STEP, self.arrays.users)
                self.first, self.computed = step, dict(self.made.blocks(self.arrays.block(step, last)))
            end = min(high, step + USERS_PER_STEP)
            parts.append({name: values[low - step : end - step] for name, values in self.computed.items()})
            low = end
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

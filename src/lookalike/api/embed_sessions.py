"""The embed verb for anonymous sessions: their vectors by the encoder of the users', in one Parquet file."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lookalike.api.locking import locked
from lookalike.data import database, sequence_builder
from lookalike.data.database import Cut
from lookalike.data.ingest import session_users, sources
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import representation
from lookalike.encoder import inference, runs
from lookalike.encoder.embedder import load_embedder
from lookalike.encoder.results import SessionsResult
from lookalike.encoder.runs import Run
from lookalike.workspace.files import make_folder, new_file, sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress, QuietProgress


@dataclass(frozen=True)
class SessionsRequest:
    """Files of events with a session id, and the run that embeds them."""

    paths: list[Path]
    run: str | None = None  # name or folder; the live version's run if not given
    options: IngestOptions = field(default_factory=IngestOptions)
    device: str = "auto"


def embed_sessions(folder: WorkspaceFolder, request: SessionsRequest, progress: Progress) -> SessionsResult:
    """Embeds anonymous sessions like users and writes their vectors to `embeddings/sessions-NAME-HASH.parquet`.

    The sessions are read into a temporary database: they never join the users.
    """
    device = inference.device_for(request.device)
    with threadpool_limits(1, "blas"), locked(folder, progress), folder.scratch() as scratch:
        run = runs.load_run(folder, request.run or representation.live_version(folder).manifest.run)
        options = session_users.sessions_as_users(request.paths, request.options, _declared_columns(run))
        with database.open_file(scratch / "sessions.duckdb", temporary=scratch / "spill") as opened:
            with progress.step("reading the sessions"):
                ingest_files(opened, request.paths, options, QuietProgress())
            cut = Cut(database.end_of_log(opened))
            sequences, vocabulary = sequence_builder.build_sequences(opened, cut, scratch, run.vocabulary)
        embedder = load_embedder(run, vocabulary, device)
        embedder.check(sequences)
        with progress.step("embedding sessions", total=sequences.users) as advance:
            vectors = embedder.vectors(sequences, advance)
        sessions = pl.read_parquet(scratch / "users.parquet", glob=False).select(session_id="user_id", events="events")
        path = _output_path(folder, request.paths, options)
        _write(path, sessions, vectors)
    return SessionsResult(run=run.name, sessions=len(sessions), path=path)


def _declared_columns(run: Run) -> tuple[str, ...]:
    """The columns that were declared with --context when the run's log was ingested."""
    return tuple(name for name in run.vocabulary.codes if name not in database.CODED_FIELDS)


def _output_path(folder: WorkspaceFolder, paths: list[Path], options: IngestOptions) -> Path:
    """Named by the first file and the content of all, so that the same sessions replace their vectors."""
    hashes = "".join(sha256(source.path) for source, _ in sources.find_input_files(paths, options))
    return folder.embeddings / f"sessions-{paths[0].stem}-{hashlib.sha256(hashes.encode()).hexdigest()[:8]}.parquet"


def _write(path: Path, sessions: pl.DataFrame, vectors: NDArray[np.float32]) -> None:
    """Writes `session_id`, `events` and `sequence`, the vector."""
    column = pl.Series("sequence", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
    make_folder(path.parent)
    with new_file(path) as temporary:
        sessions.with_columns(column).write_parquet(temporary)

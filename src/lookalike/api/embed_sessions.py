"""TODO"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from lookalike.api.embed import Result
from lookalike.data import database, sequence_builder
from lookalike.data.database import Cut
from lookalike.data.ingest import ingest
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import representation, writer
from lookalike.encoder import embedder, inference, runs
from lookalike.workspace.files import new_file, sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress, QuietProgress


@dataclass(frozen=True)
class SessionsRequest:
    paths: list[Path]
    run: str | None = None
    options: IngestOptions = field(default_factory=IngestOptions)
    device: str = "auto"


def embed_sessions(workspace: WorkspaceFolder, request: SessionsRequest, progress: Progress) -> Result:
    """Vectors of anonymous sessions by the weights that made the users'; writes them as one Parquet file.

    The sessions are read into a database of their own, which is thrown away: they never join the users.
    """
    device = inference.device_for(request.device)
    with threadpool_limits(1, "blas"), workspace.locked(), workspace.scratch() as scratch:
        run = runs.load_run(workspace, request.run or representation.live_version(workspace).manifest.run)
        declared = tuple(name for name in run.vocabulary.codes if name not in database.CODED_FIELDS)
        options = ingest.sessions_as_users(request.paths, request.options, declared)
        with database.open_file(scratch / "sessions.duckdb", temporary=scratch / "spill") as opened:
            with progress.step("reading the sessions"):
                ingest.ingest_files(opened, request.paths, options, QuietProgress())
            cut = Cut(database.end_of_log(opened))
            arrays, vocabulary = sequence_builder.build_sequences(opened, cut, scratch, run.vocabulary)
        made = embedder.load_embedder(run, vocabulary, device)
        mark = hashlib.sha256(
            "".join(sha256(source.path) for source, _ in ingest.find_sources(request.paths, options)).encode()
        ).hexdigest()[:8]
        path = workspace.embeddings / f"sessions-{request.paths[0].stem}-{mark}.parquet"
        workspace.embeddings.mkdir(exist_ok=True)
        ids = pl.read_parquet(scratch / "users.parquet").select(session_id="user_id", events="events")
        with progress.step("embedding sessions", total=arrays.users) as step:
            vectors = np.zeros((arrays.users, made.fusion.width), np.float32)
            for first in range(0, arrays.users, writer.USERS_PER_STEP):
                last = min(first + writer.USERS_PER_STEP, arrays.users)
                vectors[first:last] = made.blocks(arrays.block(first, last))["sequence"]
                step(last)
        frame = ids.with_columns(pl.Series("sequence", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])))
        with new_file(path) as temporary:
            frame.write_parquet(temporary)
    return {"run": run.name, "sessions": len(ids), "path": str(path)}

"""Small representations for tests of the ranking, and the plain ranking that theirs is compared with."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings import representation, writer
from lookalike.embeddings.representation import Representation, VersionManifest
from lookalike.expansion.ranking import block_pass, half_sums, score_readers, threshold
from lookalike.expansion.ranking.top_k import Ranking
from lookalike.expansion.scorers import Score
from lookalike.workspace.files import fingerprint
from lookalike.workspace.paths import WorkspaceFolder

USERS = 2_000
WIDTHS = {"sequence": 16, "content": 3, "aggregates": 11}
WIDTH = sum(WIDTHS.values())
SEQUENCE_AND_AGGREGATES = np.concatenate([np.arange(16), np.arange(19, 30)])
NOBODY = np.zeros(0, np.int64)

Vectors = NDArray[np.float32]
TieHashes = NDArray[np.uint64]


def use_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many shards, steps and tiles, and a sample that is a part of the users."""
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 700)
    monkeypatch.setattr(block_pass, "USERS_PER_STEP", 128)
    monkeypatch.setattr(score_readers, "TILE_USERS", 64)
    monkeypatch.setattr(score_readers, "WIDEN_USERS", 32)
    monkeypatch.setattr(threshold, "SAMPLE_USERS", 256)
    monkeypatch.setattr(threshold, "SAMPLE_RUN", 8)
    monkeypatch.setattr(half_sums, "USERS_PER_STEP", 48)


def sampled_rows() -> Rows:
    """The users by whom thresholds are guessed, with small steps."""
    return (np.linspace(0, USERS - 8, 32).astype(np.int64)[:, None] + np.arange(8)).ravel()


def normal_vectors(random_seed: int = 0) -> Vectors:
    return np.random.default_rng(random_seed).standard_normal((USERS, WIDTH)).astype(np.float32)


def store(
    folder: Path, values: Vectors, ties: TieHashes | None = None, widths: dict[str, int] | None = None
) -> Representation:
    """Writes the columns [n, W] as a version of the workspace in the folder, and opens it."""
    widths = widths or WIDTHS
    users, edges = len(values), np.cumsum(list(widths.values()))[:-1]
    blocks = dict(zip(widths, np.split(values, edges, axis=1), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    index = pl.DataFrame(
        {
            "row": np.arange(users, dtype=np.int32),
            "user_id": [f"u{row}" for row in range(users)],
            "tie": np.arange(users, dtype=np.uint64) * np.uint64(7919) % np.uint64(101) if ties is None else ties,
            "events": np.ones(users, np.int64),
        }
    )
    index.write_parquet(folder / "in.parquet")
    moment = datetime(2024, 1, 1)
    facts = VersionManifest(
        run="r000001",
        created="now",
        as_of=moment,
        everybody_as_of=moment,
        min_events=1,
        files=(),
        last_file=0,
        blocks=widths,
        columns={"aggregates": ("log_events", *(f"c{n}" for n in range(widths["aggregates"] - 1)))},
        refreshed=users,
        versions={},
    )
    work = writer.BlockWork(lambda first, last: {block: rows[first:last] for block, rows in blocks.items()})
    writer.write_version(WorkspaceFolder(folder), folder / "in.parquet", work, facts, lambda done: None)
    return representation.live_version(WorkspaceFolder(folder))


def spoil(live: Representation, row: int, column: int, value: float) -> None:
    """Writes a value into the shard that holds it, as a damaged disk would."""
    starts = np.concatenate([[0], np.cumsum(live.manifest.shards)])
    shard = int(np.searchsorted(starts, row, side="right")) - 1
    block, (first, _) = next(span for span in live.layout.spans.items() if span[1][0] <= column < span[1][1])
    path = live.folder / f"{block}-{shard:05d}.npy"
    file = np.load(path, mmap_mode="r+")
    file[row - starts[shard], column - first] = value
    file.flush()
    live.manifest.fingerprints[path.name] = fingerprint(path)  # as if it had not been noticed


def brute_force(live: Representation, score: Score, size: int, excluded: Rows) -> Ranking:
    """All users scored in doubles, and sorted at once."""
    values = live.gather(np.arange(live.users)).astype(np.float64)
    ties = np.concatenate([hashes for _, _, hashes in live.stream(10**9)])
    scores: Floats = np.concatenate([score(part) for part in np.split(values, range(64, len(values), 64))])
    order = np.lexsort((np.arange(len(scores)), ties, -scores))
    order = order[~np.isin(order, excluded)][:size]
    return Ranking(scores[order], order)


def same_ranking(first: Ranking, second: Ranking) -> bool:
    return np.array_equal(first.rows, second.rows) and np.array_equal(first.scores, second.scores)

"""What a verdict with its bands costs at any number of users, compared with the pass that ranks all of them.

    python bench/verdict.py WORKSPACE --seed seed.csv [--users 10000000] [--seeds 500] [--folder FOLDER]

WORKSPACE must be trained. Its users are copied at random, with a little noise on each copy, until there are so many. The
seed is a sample of the copies of the given seed's users. The vectors are written as the program writes them (1.3 kB a
user) and deleted at the end.
"""

import argparse
import contextlib
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.api.expand import ExpandRequest, expand
from lookalike.data import id_lists
from lookalike.embeddings import representation, writer
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion.audience import Audience, Size
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Advance, QuietProgress
from lookalike.workspace.settings import ExpandSettings

NOISE = 0.02  # standard deviation of the noise, as a share of the column's own
NOISE_VECTORS = 64  # from which each copy takes one: drawing noise for every user would take most of the time
MAX_SIZE = 500_000
IDS_PER_STEP = 1_000_000
RANKING_STEP = "ranking all users"  # name of the step in expansion.prospects


class TimedProgress(QuietProgress):
    """Reports nothing, and records the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Advance]:
        start = time.perf_counter()
        with super().step(name, total) as advance:
            yield advance
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def enlarge(small: WorkspaceFolder, large: WorkspaceFolder, users: int) -> NDArray[np.int64]:
    """Writes a workspace with so many users; returns the row in the small one that each is a copy of, [N]."""
    shutil.copytree(small.runs, large.runs)
    shutil.copy(small.database, large.database)
    large.embeddings.mkdir()
    live = representation.live_version(small)
    blocks = live.raw(np.arange(live.users))
    deviation = {name: values.astype(np.float32).std(axis=0) * NOISE for name, values in blocks.items()}
    origin = np.random.default_rng(0).integers(0, live.users, users)

    def compute(first: int, last: int) -> dict[str, NDArray[np.floating[Any]]]:
        rng, rows = np.random.default_rng([1, first]), origin[first:last]
        copies: dict[str, NDArray[np.floating[Any]]] = {}
        for name, values in blocks.items():
            noise = rng.standard_normal((NOISE_VECTORS, values.shape[1]), np.float32) * deviation[name]
            copies[name] = values[rows] + noise[rng.integers(0, NOISE_VECTORS, len(rows))] * (values[rows] != 0)
        return copies

    ids = large.root / "users.parquet"
    write_ids(ids, users)
    facts = VersionFacts(**{name: getattr(live.manifest, name) for name in VersionFacts.model_fields})
    writer.write_version(large, ids, writer.BlockWork(compute), facts, lambda written: None)
    ids.unlink()
    return origin


def write_ids(path: Path, users: int) -> None:
    """Writes `row`, `user_id`, `tie` and `events` of so many users."""
    parts = []
    for first in range(0, users, IDS_PER_STEP):
        row = pl.int_range(first, min(users, first + IDS_PER_STEP), dtype=pl.Int32, eager=True)
        frame = pl.DataFrame({"row": row, "user_id": "u" + row.cast(pl.String).str.zfill(9)})
        parts.append(frame.with_columns(tie=pl.col("user_id").hash(), events=pl.lit(1, pl.Int32)))
    pl.concat(parts).write_parquet(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seed", type=Path, required=True)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to write the large workspace; the system's temporary folder")
    options = parser.parse_args()
    small = WorkspaceFolder(options.workspace)
    seed_ids = id_lists.read_ids(options.seed).ids
    seed_rows = UserIndex(representation.live_version(small)).match({"seed": seed_ids})["seed"].rows
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        large, start = WorkspaceFolder(Path(folder) / "large"), time.perf_counter()
        origin = enlarge(small, large, options.users)
        written = time.perf_counter() - start
        seed = np.random.default_rng(2).permutation(np.flatnonzero(np.isin(origin, seed_rows)))[: options.seeds]
        seed_file = Path(folder) / "seed.csv"
        pl.DataFrame({"user_id": [f"u{row:09d}" for row in seed]}).write_csv(seed_file)
        audience = Audience("seed", seed_file, Size(count=min(MAX_SIZE, options.users // 20)))
        progress, start = TimedProgress(), time.perf_counter()
        (result,) = expand(large, ExpandRequest([audience]), ExpandSettings(), progress)
        total = time.perf_counter() - start
    ranking = progress.seconds.pop(RANKING_STEP, 0.0)
    seconds = {"writing": written, "expand": total, RANKING_STEP: ranking, "all but ranking": total - ranking}
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures: dict[str, Any] = {"users": options.users, "seeds": len(seed)}
    figures |= {name: round(value, 1) for name, value in (seconds | progress.seconds).items()}
    figures |= {"verdict": result.verdict.decision, "lift": result.lift.value, "peak GiB": round(peak_gib, 2)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

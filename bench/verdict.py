"""What a verdict with its bands costs at any number of users, beside the one pass over all of them.

    python bench/verdict.py WORKSPACE --seed seed.csv [--users 10000000] [--seeds 500] [--folder FOLDER]

WORKSPACE is a trained one. Its users are drawn again and again, each copy moved a little, until there are so many; the
seed is a part of the copies of the given seed's people. The vectors are written as the program writes them, 1.3 kB a
user, and removed at the end.
"""

import argparse
import contextlib
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lookalike.api import expand
from lookalike.data import id_lists
from lookalike.embeddings import representation, writer
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion import audience
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import ExpandSettings

MOVED = 0.02  # of every figure, as a share of the column's deviation
AT_ONCE = 1_000_000


class Timed(QuietProgress):
    """Says nothing, and notes how long each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        began = time.perf_counter()
        yield lambda done: None
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - began


def enlarged(small: WorkspaceFolder, folder: Path, users: int) -> tuple[WorkspaceFolder, np.ndarray]:
    """A workspace with so many users, and the small one's row that each is a copy of."""
    big = WorkspaceFolder(folder)
    shutil.copytree(small.runs, big.runs)
    shutil.copy(small.database, big.database)
    big.embeddings.mkdir()
    live = representation.live_version(small)
    rows = live.raw(np.arange(live.users))
    spread = {name: values.astype(np.float32).std(axis=0) * MOVED for name, values in rows.items()}
    origin = np.random.default_rng(0).integers(0, live.users, users)

    def compute(first: int, last: int) -> dict[str, np.ndarray]:
        rng, of = np.random.default_rng([1, first]), origin[first:last]
        made = {}
        for name, values in rows.items():
            noise = rng.standard_normal((64, values.shape[1]), np.float32) * spread[name]
            made[name] = values[of] + noise[rng.integers(0, 64, len(of))] * (values[of] != 0)
        return made

    listed = folder / "users.parquet"
    write_ids(listed, users)
    facts = VersionFacts(**{name: getattr(live.manifest, name) for name in VersionFacts.model_fields})
    writer.write_version(big, listed, writer.BlockWork(compute), facts, lambda done: None)
    listed.unlink()
    return big, origin


def write_ids(path: Path, users: int) -> None:
    """Rows, ids, ties and counts of events, a million at a time."""
    parts = []
    for first in range(0, users, AT_ONCE):
        number = pl.int_range(first, min(users, first + AT_ONCE), dtype=pl.Int32, eager=True)
        frame = pl.DataFrame({"row": number, "user_id": "u" + number.cast(pl.String).str.zfill(9)})
        parts.append(frame.with_columns(tie=pl.col("user_id").hash(), events=pl.lit(1, pl.Int32)))
    pl.concat(parts).write_parquet(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seed", type=Path, required=True)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument(
        "--folder", type=Path, help="where the large workspace is made; a temporary folder if not given"
    )
    options = parser.parse_args()
    small = WorkspaceFolder(options.workspace)
    fans = (
        UserIndex(representation.live_version(small)).match({"seed": id_lists.read_ids(options.seed).ids})["seed"].rows
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        began = time.perf_counter()
        big, origin = enlarged(small, Path(folder) / "big", options.users)
        wrote = time.perf_counter() - began
        seed = np.random.default_rng(2).permutation(np.flatnonzero(np.isin(origin, fans)))[: options.seeds]
        listed = Path(folder) / "seed.csv"
        pl.DataFrame({"user_id": [f"u{row:09d}" for row in seed]}).write_csv(listed)
        talk, began = Timed(), time.perf_counter()
        asked = audience.audience_for_seed(listed, audience.parse_size(min(500_000, options.users // 20)))
        (done,) = expand.expand(big, [asked], ExpandSettings(), expand.How(), talk)
        whole = time.perf_counter() - began
    ranking = talk.seconds.pop("ranking everybody", 0.0)
    found: dict[str, Any] = {"users": options.users, "seeds": len(seed), "written in": wrote, "expand": whole}
    found |= {"the pass": ranking, "all but the pass": whole - ranking, **talk.seconds}
    found = {name: round(value, 1) for name, value in found.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found | {"verdict": done["verdict"], "lift": done["lift"], "peak GiB": round(peak, 2)}))


if __name__ == "__main__":
    main()

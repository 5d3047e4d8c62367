"""The ranking beside one NumPy pass over the same rows and beside FAISS, with its peak memory.

    python bench/ranking.py --users 1000000 --keep 500000

Writes a representation as `lookalike train` does: vectors of unit length, the scorer's block, and two narrow blocks that
a centroid does not read; the files are just written, so all read from memory. Every measurement is a process of its own
on two threads: seconds are the best of a few, and peaks are above what the process held before the first. Where other
work runs on the machine, read the seconds of the processor.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

THREADS = 2
WIDTHS = {"sequence": 128, "content": 16, "aggregates": 32}
REPEATS = 5
STEP = 65_536  # rows that a reference reads at once
Numbers = dict[str, float]


def make(folder: Path, users: int) -> None:
    """A representation of so many made users, in the folder; memory follows a step, not the users."""
    import numpy as np
    import polars as pl

    from lookalike.embeddings import writer
    from lookalike.embeddings.manifest import VersionFacts
    from lookalike.workspace.paths import WorkspaceFolder

    pass

    ties = np.random.default_rng(1).integers(0, 2**63, users, dtype=np.uint64)
    frame = pl.DataFrame({"row": np.arange(users, dtype=np.int32), "tie": ties})
    frame = frame.with_columns(pl.format("u{}", "row").alias("user_id"), pl.lit(1, pl.Int64).alias("events"))
    frame.write_parquet(folder / "users.parquet")
    facts = VersionFacts(
        run="none",
        created="now",
        as_of=datetime(2024, 1, 1),
        min_events=1,
        files=(),
        last_file=0,
        blocks=WIDTHS,
        columns={"aggregates": tuple(f"c{at}" for at in range(WIDTHS["aggregates"]))},
        versions={},
    )

    def compute(first: int, last: int) -> dict[str, Any]:
        rng = np.random.default_rng([2, first])
        made = {name: rng.standard_normal((last - first, width), np.float32) for name, width in WIDTHS.items()}
        made["sequence"] /= np.linalg.norm(made["sequence"], axis=1, keepdims=True)
        return made

    writer.write_version(
        WorkspaceFolder(folder), folder / "users.parquet", writer.BlockWork(compute), facts, lambda done: None
    )


def opened(folder: Path) -> tuple[Any, Any]:
    """The representation, and a direction as a scorer knows it: the mean of some users."""
    import numpy as np

    from lookalike.embeddings import representation
    from lookalike.workspace.paths import WorkspaceFolder

    live = representation.live_version(WorkspaceFolder(folder))
    return live, live.raw(np.arange(100))["sequence"].mean(axis=0, dtype=np.float64)


def ours(folder: Path, keep: int) -> Numbers:
    """The program's ranking by a linear scorer of the vectors, as `expand` calls it."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from lookalike.expansion import selection
    from lookalike.expansion.scorers import Selected
    from lookalike.expansion.scorers.logistic import Linear

    pass
    pass

    live, weights = opened(folder)
    score, none = Selected(live.layout.columns("sequence"), Linear(weights)), np.zeros(0, np.int64)
    with threadpool_limits(1, "blas"):
        return best(lambda: selection.rank(live, score, keep, none, lambda done: None))


def ten(folder: Path, keep: int) -> Numbers:
    """Ten lists in one pass: of the same direction and of nine near it."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from lookalike.expansion.ranking import scan
    from lookalike.expansion.scorers import Selected
    from lookalike.expansion.scorers.logistic import Linear

    live, weights = opened(folder)
    rng, spread = np.random.default_rng(3), float(np.abs(weights).mean())
    near = [weights, *(weights + spread * rng.standard_normal(len(weights)) for _ in range(9))]
    columns, none = live.layout.columns("sequence"), np.zeros(0, np.int64)
    wanted = [scan.RankingRequest(Selected(columns, Linear(one)), keep, none) for one in near]
    with threadpool_limits(1, "blas"):
        return best(lambda: scan.rank(live, wanted, lambda done: None))


def product(folder: Path, keep: int) -> Numbers:
    """NumPy's `X @ w` over rows that lie in memory as singles: what no reading of halves from files can know about."""
    import numpy as np

    live, weights = opened(folder)
    rows = np.concatenate([read[0].astype(np.float32) for _, read, _ in live.stream(STEP, ("sequence",))])
    single = weights.astype(np.float32)
    return best(lambda: rows @ single)


def converted(folder: Path, keep: int) -> Numbers:
    """The same from the files: halves made singles by NumPy, then `X @ w`, on as many threads."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    live, weights = opened(folder)
    single = weights.astype(np.float32)
    parts = [read[0] for _, read, _ in live.stream(4_096, ("sequence",))]

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda part: part.astype(np.float32) @ single, parts))

    with threadpool_limits(1, "blas"):
        return best(work)


def faiss(folder: Path, keep: int) -> Numbers:
    """FAISS's flat inner-product index, one query, as many neighbours as are kept."""
    import faiss as library
    import numpy as np

    library.omp_set_num_threads(THREADS)
    live, weights = opened(folder)
    index = library.IndexFlatIP(WIDTHS["sequence"])
    for _, read, _ in live.stream(STEP, ("sequence",)):
        index.add(read[0].astype(np.float32))
    return best(lambda: index.search(weights.astype(np.float32)[np.newaxis], keep))


def best(work: Callable[[], Any]) -> Numbers:
    """Of a few runs the shortest, the first and the least of the processor's time, in seconds; and the peak in MiB."""
    before, seconds, processor = peak(), [], []
    for _ in range(REPEATS):
        start, busy = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    figures = {"seconds": min(seconds), "first": seconds[0], "processor": min(processor)}
    return figures | {"peak_mib": peak() - before}


def peak() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


WORK: dict[str, Callable[[Path, int], Numbers]] = {
    "ours": ours,
    "ten": ten,
    "product": product,
    "converted": converted,
    "faiss": faiss,
}


def measured(name: str, folder: Path, keep: int) -> Numbers:
    """What one piece of work prints in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--work", name, "--keep", str(keep)]
    threads = {"OPENBLAS_NUM_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=True, text=True)
    found: Numbers = json.loads(done.stdout)
    return found


def compared(folder: Path, keep: int) -> Iterator[str]:
    """A table: ours, and each reference with what ours is of it, by the clock and by the processor."""
    mine = measured("ours", folder, keep)
    several = measured("ten", folder, keep)
    names = {"product": "NumPy float32 `X @ w`", "converted": "the same, from the files", "faiss": "`IndexFlatIP`"}
    yield "| Work | Best, s | First, s | Processor, s | Peak MiB | Ours over it | by processor |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield f"| rank, {keep:,} kept | {figures(mine)} | | |"
    over = " | ".join(f"{mine[of] / several[of]:.2f}" for of in ("seconds", "processor"))
    yield f"| ten lists of {keep:,} in one pass | {figures(several)} | {over} |"
    for name, what in names.items():
        if name in ("product", "faiss") and not fits(folder):
            yield f"| {what} | its rows do not fit in memory | | | | | |"
            continue
        other = measured(name, folder, keep)
        times = (mine[of] / other[of] for of in ("seconds", "processor"))
        yield f"| {what} | {figures(other)} | {' | '.join(f'{one:.2f}' for one in times)} |"


def fits(folder: Path) -> bool:
    """Whether the vectors as singles fit in half of this machine's memory."""
    live, weights = opened(folder)
    return bool(live.users * len(weights) * 4 < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2)


def figures(of: Numbers) -> str:
    return f"{of['seconds']:.3f} | {of['first']:.3f} | {of['processor']:.3f} | {of['peak_mib']:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--keep", type=int, nargs="+", default=[500_000, 100_000])
    parser.add_argument("--narrow", action="store_true", help="the other blocks have one column each: for many users")
    parser.add_argument("--folder", type=Path, help="of a representation made before")
    parser.add_argument("--work", choices=WORK, help="do this alone and print its figures")
    options = parser.parse_args()
    if options.narrow:
        WIDTHS.update(content=1, aggregates=1)
    if options.work:
        print(json.dumps(WORK[options.work](options.folder, options.keep[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "embeddings" / "CURRENT").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make(folder, options.users)
        for keep in options.keep:
            for line in compared(folder, keep):
                print(line, flush=True)


if __name__ == "__main__":
    main()

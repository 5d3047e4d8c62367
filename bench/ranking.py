"""Time and peak memory of the ranking, compared with one NumPy pass over the same rows and with FAISS.

    python bench/ranking.py --users 1000000 --keep 500000

Writes a representation as `lookalike train` does: unit vectors in the scorer's block, and two narrow blocks that a
centroid does not read. The files have just been written, so all methods read from memory. Each measurement runs in a
process of its own with two threads. Seconds are the best of several runs; peaks are above what the process held before
the first run. On a machine with other work, compare processor seconds.
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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.embeddings.representation import Representation

THREADS = 2
WIDTHS = {"sequence": 128, "content": 16, "aggregates": 32}
REPEATS = 5
LISTS = 10
USERS_PER_STEP = 65_536  # that a reference reads at a time
Figures = dict[str, float]  # seconds, first, processor, peak_mib


def write_representation(folder: Path, users: int) -> None:
    """Writes a representation of so many synthetic users. Memory is bounded by one step of the writer."""
    import numpy as np
    import polars as pl

    from lookalike.embeddings import writer
    from lookalike.embeddings.manifest import VersionFacts
    from lookalike.workspace.paths import WorkspaceFolder

    ties = np.random.default_rng(1).integers(0, 2**63, users, dtype=np.uint64)
    frame = pl.DataFrame({"row": np.arange(users, dtype=np.int32), "tie": ties})
    frame = frame.with_columns(pl.format("u{}", "row").alias("user_id"), pl.lit(1, pl.Int64).alias("events"))
    frame.write_parquet(folder / "users.parquet")
    facts = VersionFacts(
        run="none",
        created="now",
        as_of=datetime(2024, 1, 1),
        everybody_as_of=datetime(2024, 1, 1),
        min_events=1,
        files=(),
        last_file=0,
        blocks=WIDTHS,
        columns={"aggregates": tuple(f"c{number}" for number in range(WIDTHS["aggregates"]))},
        refreshed=users,
        versions={},
    )

    def compute(first: int, last: int) -> dict[str, Any]:
        rng = np.random.default_rng([2, first])
        blocks = {name: rng.standard_normal((last - first, width), np.float32) for name, width in WIDTHS.items()}
        blocks["sequence"] /= np.linalg.norm(blocks["sequence"], axis=1, keepdims=True)
        return blocks

    work = writer.BlockWork(compute)
    writer.write_version(WorkspaceFolder(folder), folder / "users.parquet", work, facts, lambda users: None)


def open_representation(folder: Path) -> "tuple[Representation, NDArray[np.float64]]":
    """The representation, and the weights of a centroid: the mean vector of some users, [D]."""
    import numpy as np

    from lookalike.embeddings.representation import live_version
    from lookalike.workspace.paths import WorkspaceFolder

    live = live_version(WorkspaceFolder(folder))
    return live, live.raw(np.arange(100))["sequence"].mean(axis=0, dtype=np.float64)


# --- what is measured ------------------------------------------------------------------------------------------------


def one_list(folder: Path, keep: int) -> Figures:
    """The program's ranking by a linear scorer of the vectors, as `expand` calls it."""
    live, weights = open_representation(folder)
    return _rank(live, [weights], keep)


def ten_lists(folder: Path, keep: int) -> Figures:
    """Ten lists in one pass: by the same weights, and by nine sets of weights close to them."""
    import numpy as np

    live, weights = open_representation(folder)
    rng, spread = np.random.default_rng(3), float(np.abs(weights).mean())
    near = [weights + spread * rng.standard_normal(len(weights)) for _ in range(LISTS - 1)]
    return _rank(live, [weights, *near], keep)


def _rank(live: "Representation", weights_of_lists: "list[NDArray[np.float64]]", keep: int) -> Figures:
    import numpy as np
    from threadpoolctl import threadpool_limits

    from lookalike.embeddings.linear import Linear
    from lookalike.expansion.ranking.scan import RankingRequest, rank
    from lookalike.expansion.scorers import Selected

    columns, nobody = live.layout.columns("sequence"), np.zeros(0, np.int64)
    requests = [RankingRequest(Selected(columns, Linear(weights)), keep, nobody) for weights in weights_of_lists]
    with threadpool_limits(1, "blas"):
        return best_of_runs(lambda: rank(live, requests, lambda users: None))


def product(folder: Path, keep: int) -> Figures:
    """NumPy's `X @ w` on single-precision rows that are already in memory: a bound for any method that reads files."""
    import numpy as np

    live, weights = open_representation(folder)
    rows = np.concatenate([blocks[0].astype(np.float32) for _, blocks, _ in live.stream(USERS_PER_STEP, ("sequence",))])
    single = weights.astype(np.float32)
    return best_of_runs(lambda: rows @ single)


def product_from_files(folder: Path, keep: int) -> Figures:
    """The same from the stored files: NumPy converts half to single precision, then `X @ w`, on as many threads."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    live, weights = open_representation(folder)
    single = weights.astype(np.float32)
    parts = [blocks[0] for _, blocks, _ in live.stream(4_096, ("sequence",))]

    def multiply() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda part: part.astype(np.float32) @ single, parts))

    with threadpool_limits(1, "blas"):
        return best_of_runs(multiply)


def faiss(folder: Path, keep: int) -> Figures:
    """FAISS's flat inner-product index: one query, with as many neighbours as the list keeps."""
    import faiss as library
    import numpy as np

    library.omp_set_num_threads(THREADS)
    live, weights = open_representation(folder)
    index = library.IndexFlatIP(WIDTHS["sequence"])
    for _, blocks, _ in live.stream(USERS_PER_STEP, ("sequence",)):
        index.add(blocks[0].astype(np.float32))
    return best_of_runs(lambda: index.search(weights.astype(np.float32)[np.newaxis], keep))


METHODS: dict[str, Callable[[Path, int], Figures]] = {
    "one_list": one_list,
    "ten_lists": ten_lists,
    "product": product,
    "product_from_files": product_from_files,
    "faiss": faiss,
}
REFERENCES = {
    "product": "NumPy float32 `X @ w`",
    "product_from_files": "the same, from the files",
    "faiss": "`IndexFlatIP`",
}
IN_MEMORY = ("product", "faiss")  # references that hold all vectors in single precision


# --- measuring -------------------------------------------------------------------------------------------------------


def best_of_runs(work: Callable[[], Any]) -> Figures:
    """Seconds of the fastest and of the first run, least processor seconds of any run, and peak memory in MiB."""
    before, seconds, processor = _peak_mib(), [], []
    for _ in range(REPEATS):
        start, processor_start = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - processor_start)
    return {
        "seconds": min(seconds),
        "first": seconds[0],
        "processor": min(processor),
        "peak_mib": _peak_mib() - before,
    }


def _peak_mib() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(method: str, folder: Path, keep: int) -> Figures:
    """The figures of one method, from a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--method", method, "--keep", str(keep)]
    threads = {"OPENBLAS_NUM_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(process.stdout)
    return figures


def table(folder: Path, keep: int) -> Iterator[str]:
    """Markdown rows of the ranking and of each reference, with ranking / reference by wall clock and by processor."""
    ranking = measure("one_list", folder, keep)
    ten = measure("ten_lists", folder, keep)
    yield "| Work | Best, s | First, s | Processor, s | Peak MiB | Ranking / it | by processor |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield f"| rank, {keep:,} kept | {_cells(ranking)} | | |"
    yield f"| {LISTS} lists of {keep:,} in one pass | {_cells(ten)} | {_ratios(ranking, ten)} |"
    for method, name in REFERENCES.items():
        if method in IN_MEMORY and not _fits_in_memory(folder):
            yield f"| {name} | its rows do not fit in memory | | | | | |"
            continue
        reference = measure(method, folder, keep)
        yield f"| {name} | {_cells(reference)} | {_ratios(ranking, reference)} |"


def _fits_in_memory(folder: Path) -> bool:
    """Whether the vectors in single precision fit in half of this machine's memory."""
    live, weights = open_representation(folder)
    return bool(live.users * len(weights) * 4 < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2)


def _cells(figures: Figures) -> str:
    seconds = " | ".join(f"{figures[name]:.3f}" for name in ("seconds", "first", "processor"))
    return f"{seconds} | {figures['peak_mib']:,.0f}"


def _ratios(ranking: Figures, reference: Figures) -> str:
    return " | ".join(f"{ranking[name] / reference[name]:.2f}" for name in ("seconds", "processor"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--keep", type=int, nargs="+", default=[500_000, 100_000], help="sizes of the list")
    parser.add_argument("--narrow", action="store_true", help="one column in each other block, to save disk space")
    parser.add_argument("--folder", type=Path, help="keep the representation here, or use the one that is there")
    parser.add_argument("--method", choices=METHODS, help="measure only this in this process, and print JSON")
    options = parser.parse_args()
    if options.narrow:
        WIDTHS.update(content=1, aggregates=1)
    if options.method:
        print(json.dumps(METHODS[options.method](options.folder, options.keep[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "embeddings" / "CURRENT").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_representation(folder, options.users)
        for keep in options.keep:
            for line in table(folder, keep):
                print(line, flush=True)


if __name__ == "__main__":
    main()

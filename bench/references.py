"""What the steps are compared with: `python bench/references.py NAME …` prints one JSON object with its seconds.

Each runs in a process of its own, so that its peak memory can be read, and times its work without imports. Where our
own kernel can be timed on the same data in the same process, it is, as `ours`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

THREADS = 2
ROWS = 1_000_000


def ingest(log: Path) -> dict[str, Any]:
    """DuckDB's plain copy of the Parquet files into a database on disk, and the same with DISTINCT."""
    import duckdb

    seconds = {}
    with tempfile.TemporaryDirectory(dir=log) as folder:
        for name, what in (("seconds", "*"), ("distinct", "DISTINCT *")):
            with duckdb.connect(str(Path(folder) / f"{name}.duckdb"), config={"threads": THREADS}) as connection:
                query = f"CREATE TABLE events AS SELECT {what} FROM read_parquet('{log}/events/*.parquet')"
                seconds[name] = timed(partial(connection.execute, query))
    return seconds


def sequences(log: Path, workspace: Path) -> dict[str, Any]:
    """DuckDB's sort of three columns of the stored events to Arrow; ours: all arrays and code tables from the same store."""
    from lookalike.data import database, sequence_builder

    with tempfile.TemporaryDirectory(dir=log) as folder, database.open_file(workspace / "lookalike.duckdb") as store:
        store.connection.execute(f"SET threads = {THREADS}")

        def sort() -> None:
            for _ in store.reader("SELECT user_id, ts, item_id FROM events ORDER BY user_id, ts"):
                pass

        cut = database.Cut(database.end_of_log(store))
        return {
            "seconds": timed(sort),
            "ours": timed(lambda: sequence_builder.build_sequences(store, cut, Path(folder))),
        }


def scoring() -> dict[str, Any]:
    """NumPy's float32 `X @ w` over the rows; ours: float16 rows as stored, streamed, the first half exactly ranked."""
    return _ranking("product", keep=ROWS // 2)


def faiss() -> dict[str, Any]:
    """FAISS's flat inner-product index, one query, k = 100,000; ours: the same rows and k as in `scoring`."""
    return _ranking("faiss", keep=100_000)


def _ranking(reference: str, keep: int) -> dict[str, Any]:
    """Seconds of a reference and of the program's own ranking, from shards that it wrote itself."""
    import ranking  # beside this script

    with tempfile.TemporaryDirectory() as folder:
        ranking.make(Path(folder), ROWS)
        ours, theirs = (ranking.measured(name, Path(folder), keep) for name in ("ours", reference))
    return {"seconds": theirs["seconds"], "ours": ours["seconds"], "ours_peak_mib": ours["peak_mib"]}


def lift(log: Path, workspace: Path, name: str) -> dict[str, Any]:
    """How the written list did against the planted truth: no time, a check that the timed program did its work."""
    import polars as pl

    listed = pl.read_csv(workspace / "audiences" / name / "prospects.csv", schema_overrides={"user_id": pl.String})
    truth, seed = (pl.read_csv(log / f"{file}.csv")["user_id"] for file in ("truth", "seed"))
    candidates = pl.read_parquet(log / "users.parquet").height - len(seed)
    hits = int(listed["user_id"].is_in(truth.implode()).sum())
    return {"listed": listed.height, "hits": hits, "lift": hits / (listed.height * len(truth) / candidates)}


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


REFERENCES: dict[str, Callable[..., dict[str, Any]]] = {
    "ingest": ingest,
    "sequences": sequences,
    "scoring": scoring,
    "faiss": faiss,
    "lift": lift,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=REFERENCES)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--audience")
    options = parser.parse_args()
    given = {"log": options.log, "workspace": options.workspace, "name": options.audience}
    function = REFERENCES[options.name]
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    print(json.dumps(function(**{name: given[name] for name in wanted})))


if __name__ == "__main__":
    main()

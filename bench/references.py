"""The references that steps are compared with: `python bench/references.py NAME …` prints one JSON object.

Each reference runs in a process of its own, so that its peak memory can be measured, and its seconds exclude imports.
Where the program's own code can be timed on the same data in the same process, its seconds are printed as `ours`.
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
USERS = 1_000_000


def ingest(log: Path) -> dict[str, Any]:
    """DuckDB's plain copy of the Parquet files into a database on disk, and the same with DISTINCT."""
    import duckdb

    seconds = {}
    with tempfile.TemporaryDirectory(dir=log) as folder:
        for name, columns in (("seconds", "*"), ("distinct", "DISTINCT *")):
            with duckdb.connect(str(Path(folder) / f"{name}.duckdb"), config={"threads": THREADS}) as connection:
                query = f"CREATE TABLE events AS SELECT {columns} FROM read_parquet('{log}/events/*.parquet')"
                seconds[name] = timed(partial(connection.execute, query))
    return seconds


def sequences(log: Path, workspace: Path) -> dict[str, Any]:
    """DuckDB's sort of three columns of the stored events to Arrow; ours: all arrays and code tables from the same store."""
    from lookalike.data import database, sequence_builder

    with tempfile.TemporaryDirectory(dir=log) as folder, database.open_file(workspace / "lookalike.duckdb") as opened:
        opened.connection.execute(f"SET threads = {THREADS}")

        def sort() -> None:
            for _ in opened.reader("SELECT user_id, ts, item_id FROM events ORDER BY user_id, ts"):
                pass

        cut = database.Cut(database.end_of_log(opened))
        return {
            "seconds": timed(sort),
            "ours": timed(lambda: sequence_builder.build_sequences(opened, cut, Path(folder))),
        }


def scoring() -> dict[str, Any]:
    """NumPy's float32 `X @ w`; ours: the stored float16 rows read from files, and the first half of the users ranked exactly."""
    return _ranking("product", keep=USERS // 2)


def faiss() -> dict[str, Any]:
    """FAISS's flat inner-product index, one query, k = 100,000; ours: a list of 100,000 of the same users."""
    return _ranking("faiss", keep=100_000)


def _ranking(reference: str, keep: int) -> dict[str, Any]:
    """Seconds of a reference and of the program's ranking, from shards that the program wrote."""
    import ranking  # beside this script

    with tempfile.TemporaryDirectory() as folder:
        ranking.write_representation(Path(folder), USERS)
        ours, theirs = (ranking.measure(method, Path(folder), keep) for method in ("one_list", reference))
    return {"seconds": theirs["seconds"], "ours": ours["seconds"], "ours_peak_mib": ours["peak_mib"]}


def lift(log: Path, workspace: Path, name: str) -> dict[str, Any]:
    """Lift of the written list on the planted truth: not a time, but a check that the timed program did its work."""
    import polars as pl

    prospects = pl.read_csv(workspace / "audiences" / name / "prospects.csv", schema_overrides={"user_id": pl.String})
    truth, seed = (pl.read_csv(log / f"{file}.csv")["user_id"] for file in ("truth", "seed"))
    candidates = pl.read_parquet(log / "users.parquet").height - len(seed)
    hits = int(prospects["user_id"].is_in(truth.implode()).sum())
    expected = prospects.height * len(truth) / candidates
    return {"prospects": prospects.height, "hits": hits, "lift": hits / expected}


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
    parser.add_argument("reference", choices=REFERENCES)
    parser.add_argument("--log", type=Path, help="folder of a log that bench/synthetic.py wrote")
    parser.add_argument("--workspace", type=Path, help="workspace into which it was ingested")
    parser.add_argument("--audience", help="name of the audience that was expanded there")
    options = parser.parse_args()
    arguments = {"log": options.log, "workspace": options.workspace, "name": options.audience}
    reference = REFERENCES[options.reference]
    parameters = reference.__code__.co_varnames[: reference.__code__.co_argcount]
    print(json.dumps(reference(**{name: arguments[name] for name in parameters})))


if __name__ == "__main__":
    main()

"""Judge a prospect list by who bought after the log ends.

python sample_data/judge.py demo/audiences/vintage-doily/prospects.csv
"""

import argparse
import math
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score (1927)."""
    share, spread = hits / n, z * math.sqrt(hits / n * (1 - hits / n) / n + z * z / (4 * n * n))
    return tuple((share + z * z / (2 * n) + side * spread) / (1 + z * z / n) for side in (-1, 1))  # type: ignore[return-value]


def judge(prospects: Path, sample: Path = HERE) -> dict[str, float]:
    """Hits, hits expected of as long a random list, the lift and its 95 % interval.

    Candidates are the customers of the log without the seed and the suppressed. The interval takes the share of buyers
    among the candidates as known. Raises SystemExit when the list names somebody who is no candidate.
    """

    def ids(name: str) -> set[str]:
        return set(pl.read_csv(sample / name, schema_overrides={"user_id": pl.String})["user_id"])

    candidates = set(pl.read_parquet(sample / "users.parquet")["user_id"]) - ids("seed.csv") - ids("suppress.csv")
    truth = ids("truth.csv") & candidates
    listed = _prospects(prospects)
    strangers = set(listed) - candidates
    if strangers:
        raise SystemExit(f"error: {prospects}: {len(strangers)} of {len(listed)} are seed, suppressed or unknown")
    base, hits = len(truth) / len(candidates), len(set(listed) & truth)
    low, high = wilson(hits, len(listed))
    return {
        "listed": len(listed),
        "candidates": len(candidates),
        "buyers": len(truth),
        "hits": hits,
        "expected": len(listed) * base,
        "lift": hits / len(listed) / base,
        "low": low / base,
        "high": high / base,
    }


def _prospects(path: Path) -> list[str]:
    read = (
        pl.read_parquet(path)
        if path.suffix == ".parquet"
        else pl.read_csv(path, schema_overrides={"user_id": pl.String})
    )
    if not read.height:
        raise SystemExit(f"error: {path}: an empty list")
    return read["user_id"].to_list()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prospects", type=Path)
    found = judge(parser.parse_args().prospects)
    print(
        f"Of {found['listed']:,} prospects, {found['hits']:,} first bought the range within eleven weeks of the log.",
        f"A random list of that length finds {found['expected']:.1f}: "
        f"{found['buyers']:,} buyers among {found['candidates']:,} candidates.",
        f"Lift {found['lift']:.2f}, 95 % interval {found['low']:.2f} to {found['high']:.2f}.",
        sep="\n",
    )


if __name__ == "__main__":
    main()

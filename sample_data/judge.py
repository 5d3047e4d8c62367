"""Judge a prospect list by who bought after the log ends.

python sample_data/judge.py demo/audiences/charlotte-bags/prospects.csv
python sample_data/judge.py demo/audiences/doily-newcomers/prospects.csv sample_data/newcomers
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Judgement:
    """Hits of a list, of a random list as long (expected), and of the customers with the most events, as many."""

    listed: int
    candidates: int
    buyers: int
    hits: int
    busiest: int

    @property
    def expected(self) -> float:
        return self.listed * self.buyers / self.candidates

    @property
    def lift(self) -> float:
        return self.hits / self.expected

    @property
    def band(self) -> tuple[float, float]:
        """The lift's 95 % interval, taking the share of buyers among the candidates as known."""
        low, high = wilson(self.hits, self.listed)
        return low * self.candidates / self.buyers, high * self.candidates / self.buyers


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score (1927)."""
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - spread, middle + spread


def ids(file: Path) -> set[str]:
    return set(pl.read_csv(file, schema_overrides={"user_id": pl.String})["user_id"])


def judge(prospects: Path, lists: Path = HERE) -> Judgement:
    """How a list did. `lists` holds its seed, suppression list and truth.

    Candidates are the customers of the log without the seed and the suppressed. Raises SystemExit when the list is
    empty or names somebody who is no candidate.
    """
    out = ids(lists / "seed.csv") | ids(lists / "suppress.csv")
    candidates = set(pl.read_parquet(HERE / "users.parquet")["user_id"]) - out
    truth = ids(lists / "truth.csv") & candidates
    listed = set(pl.read_parquet(prospects)["user_id"]) if prospects.suffix == ".parquet" else ids(prospects)
    if not listed <= candidates or not listed:
        strangers = len(listed - candidates)
        raise SystemExit(f"error: {prospects}: of {len(listed)} listed, {strangers} are seed, suppressed or unknown")
    events = pl.read_parquet(HERE / "events.parquet", columns=["user_id"]).filter(pl.col("user_id").is_in(candidates))
    busiest = events.group_by("user_id").len().sort("len", "user_id", descending=True)["user_id"].head(len(listed))
    return Judgement(len(listed), len(candidates), len(truth), len(listed & truth), len(set(busiest) & truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prospects", type=Path)
    parser.add_argument(
        "lists", type=Path, nargs="?", default=HERE, help="folder of its seed, suppression list and truth"
    )
    options = parser.parse_args()
    found = judge(options.prospects, options.lists)
    low, high = found.band
    print(
        f"Of {found.listed:,} prospects, {found.hits:,} bought from the range in the eleven weeks after the log ends.",
        f"A random list as long finds {found.expected:.1f} of the {found.buyers:,} buyers among "
        f"{found.candidates:,} candidates; the customers with the most events, {found.busiest:,}.",
        f"Lift {found.lift:.2f}, 95 % interval {low:.2f} to {high:.2f}.",
        sep="\n",
    )


if __name__ == "__main__":
    main()

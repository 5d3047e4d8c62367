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
    """Hits of a list, compared with a random list and with the most active customers, both of the same length."""

    prospects: int
    candidates: int
    buyers: int  # among the candidates
    hits: int
    activity_hits: int  # of the customers with the most events

    @property
    def expected(self) -> float:
        """Hits of a random list, on average."""
        return self.prospects * self.buyers / self.candidates

    @property
    def lift(self) -> float:
        return self.hits / self.expected

    @property
    def band(self) -> tuple[float, float]:
        """The lift's 95 % interval, with the share of buyers among the candidates taken as exact."""
        low, high = wilson(self.hits, self.prospects)
        return low * self.candidates / self.buyers, high * self.candidates / self.buyers


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (1927); 95 % by default."""
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half_width = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half_width, centre + half_width


def read_ids(file: Path) -> set[str]:
    return set(pl.read_csv(file, schema_overrides={"user_id": pl.String})["user_id"])


def judge(prospects: Path, lists: Path = HERE) -> Judgement:
    """How well a list did. `lists` is the folder of its seed, suppression list and truth.

    Candidates are the customers of the log who are neither seeds nor suppressed. Raises SystemExit when the list is
    empty or contains anybody else.
    """
    excluded = read_ids(lists / "seed.csv") | read_ids(lists / "suppress.csv")
    candidates = set(pl.read_parquet(HERE / "users.parquet")["user_id"]) - excluded
    truth = read_ids(lists / "truth.csv") & candidates
    listed = set(pl.read_parquet(prospects)["user_id"]) if prospects.suffix == ".parquet" else read_ids(prospects)
    if not listed <= candidates or not listed:
        others = len(listed - candidates)
        raise SystemExit(f"error: {prospects}: of {len(listed)} listed, {others} are seed, suppressed or unknown")
    events = pl.read_parquet(HERE / "events.parquet", columns=["user_id"]).filter(pl.col("user_id").is_in(candidates))
    most_active = events.group_by("user_id").len().sort("len", "user_id", descending=True)["user_id"].head(len(listed))
    return Judgement(
        prospects=len(listed),
        candidates=len(candidates),
        buyers=len(truth),
        hits=len(listed & truth),
        activity_hits=len(set(most_active) & truth),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prospects", type=Path, help="the list: CSV or Parquet")
    parser.add_argument(
        "lists", type=Path, nargs="?", default=HERE, help="folder of its seed, suppression list and truth"
    )
    options = parser.parse_args()
    judgement = judge(options.prospects, options.lists)
    low, high = judgement.band
    print(
        f"{judgement.hits:,} of {judgement.prospects:,} prospects bought from the range in the eleven weeks after the log "
        "ends.",
        f"There are {judgement.buyers:,} buyers among {judgement.candidates:,} candidates: a random list of the same length "
        f"would contain {judgement.expected:.1f} of them, and the most active customers include {judgement.activity_hits:,}.",
        f"Lift {judgement.lift:.2f}, 95 % interval {low:.2f} to {high:.2f}.",
        sep="\n",
    )


if __name__ == "__main__":
    main()

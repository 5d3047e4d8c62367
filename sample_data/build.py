"""Build the sample from the benchmark's Online Retail log.

    python sample_data/build.py ../shared/bench/tasks/online_retail

Reads `events.parquet`, `items.parquet` and `users.parquet` of that folder and writes the six files described in the
README beside this script. The same input gives the same files, byte for byte, with the same Polars.
"""

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

HERE = Path(__file__).resolve().parent
CUT = datetime(2011, 6, 15, tzinfo=UTC)  # leaves six months of log before it and eleven weeks after
SEED_SHARE = 0.55
FAMILIES = (
    "BUNTING",
    "CAKE CASES",
    "CAKE STAND",
    "CHARLOTTE BAG",
    "CHRISTMAS",
    "DOILY",
    "DOLLY GIRL",
    "GARDEN",
    "HOT WATER BOTTLE",
    "JAM MAKING",
    "JUMBO BAG",
    "LUNCH BAG",
    "METAL SIGN",
    "PICNIC",
    "REGENCY",
    "RETROSPOT",
    "SPACEBOY",
    "SUKI",
    "T-LIGHT",
    "TEA TOWEL",
    "TISSUE",
)


class Family(NamedTuple):
    """Who bought from a product family: before the cut, and, of the known customers, for the first time after it."""

    word: str
    had: list[str]
    first: pl.DataFrame  # user_id, ts of the first purchase; in time order


def family_of(word: str, events: pl.DataFrame, items: pl.DataFrame) -> Family:
    """The buyers of every item whose description holds `word`."""
    members = items.filter(pl.col("description").str.contains(word, literal=True)).select("item_id")
    bought = events.filter(pl.col("user_id").is_not_null(), pl.col("event_type") == "purchase").join(
        members, on="item_id", how="semi"
    )
    known = events.filter(pl.col("ts") < CUT, pl.col("user_id").is_not_null()).select("user_id").unique()
    had = bought.filter(pl.col("ts") < CUT).select("user_id").unique()
    first = bought.join(had, on="user_id", how="anti").join(known, on="user_id", how="semi")
    return Family(
        word, had["user_id"].sort().to_list(), first.group_by("user_id").agg(pl.col("ts").min()).sort("ts", "user_id")
    )


def split(first: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seed and truth: the seed's share of the people, in the order of a hash of their id."""
    order = {user: hashlib.sha256(f"lookalike sample {user}".encode()).hexdigest() for user in first["user_id"]}
    chosen = sorted(order, key=order.__getitem__)[: int(len(order) * SEED_SHARE)]
    in_seed = pl.col("user_id").is_in(chosen)
    return first.filter(in_seed), first.filter(~in_seed)


def build(source: Path, target: Path) -> list[tuple[str, int, int]]:
    """Writes the sample to `target` and gives (word, buyers before, first-time buyers after) of every family."""
    events = pl.read_parquet(source / "events.parquet")
    items = pl.read_parquet(source / "items.parquet")
    families = [family_of(word, events, items) for word in FAMILIES]
    family = max(families, key=lambda one: one.first.height)
    seed, truth = split(family.first)
    log = events.filter(pl.col("ts") < CUT).sort("ts", maintain_order=True)
    users = pl.read_parquet(source / "users.parquet").join(log, on="user_id", how="semi").sort("user_id")
    sold = items.join(log, on="item_id", how="semi").select("item_id", "description").sort("item_id")
    prices = log.filter(pl.col("price") > 0).group_by("item_id").agg(pl.col("price").median().alias("median_price"))
    target.mkdir(parents=True, exist_ok=True)
    for name, frame in (("events", log), ("items", sold.join(prices, on="item_id", how="left").sort("item_id"))):
        frame.write_parquet(target / f"{name}.parquet", compression="zstd", compression_level=19)
    users.write_parquet(target / "users.parquet", compression="zstd", compression_level=19)
    for name, people in (("seed", seed), ("truth", truth)):
        people.write_csv(target / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    pl.DataFrame({"user_id": family.had}).write_csv(target / "suppress.csv")
    return [(one.word, len(one.had), one.first.height) for one in families]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", type=Path, default=HERE)
    options = parser.parse_args()
    print(f"{'family':<18}{'had it before':>14}{'first bought after':>20}")
    for word, had, first in sorted(build(options.source, options.target), key=lambda row: -row[2]):
        print(f"{word:<18}{had:>14,}{first:>20,}")


if __name__ == "__main__":
    main()

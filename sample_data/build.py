"""Build the sample from the benchmark's Online Retail log.

    python sample_data/build.py ../shared/bench/tasks/online_retail

Reads `events.parquet`, `items.parquet` and `users.parquet` of that folder and writes the files described in the README
beside this script. The same input gives the same files, byte for byte, with the same Polars.
"""

import argparse
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent
CUT = datetime(2011, 6, 15, tzinfo=UTC)  # leaves six months of log before it and eleven weeks after
SEED_SHARE = 0.55
RANGE = "CHARLOTTE BAG"  # words of the descriptions
NEW_RANGE = "DOILY"
OPEN_CASES = timedelta(days=14)


def buyers(word: str, events: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Who bought an item whose description holds `word`, before and after the cut, and when first there.

    Those after it are customers with an event before it: nobody else can be ranked.
    """
    members = items.filter(pl.col("description").str.contains(word, literal=True)).select("item_id")
    bought = events.filter(pl.col("event_type") == "purchase").join(members, on="item_id", how="semi")
    known = events.filter(pl.col("ts") < CUT).select("user_id").unique()
    before, after = bought.filter(pl.col("ts") < CUT), bought.filter(pl.col("ts") >= CUT)
    first = [frame.group_by("user_id").agg(pl.col("ts").min()).sort("ts", "user_id") for frame in (before, after)]
    return first[0], first[1].join(known, on="user_id", how="semi", maintain_order="left")


def open_cases(events: pl.DataFrame) -> pl.DataFrame:
    """Customers who cancelled something in the last two weeks of the log: the client's service is talking to them."""
    late = events.filter(pl.col("ts") < CUT, pl.col("ts") >= CUT - OPEN_CASES, pl.col("event_type") == "cancel")
    return late.select("user_id").unique().sort("user_id")


def split(people: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seed and truth: the seed's share of the people, in the order of a hash of their id."""
    order = {user: hashlib.sha256(f"lookalike sample {user}".encode()).hexdigest() for user in people["user_id"]}
    chosen = sorted(order, key=order.__getitem__)[: int(len(order) * SEED_SHARE)]
    in_seed = pl.col("user_id").is_in(chosen)
    return people.filter(in_seed), people.filter(~in_seed)


def write_tables(log: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame, target: Path) -> None:
    """The log and the rows of the items and customers in it."""
    sold = items.join(log, on="item_id", how="semi").select("item_id", "description")
    prices = log.filter(pl.col("price") > 0).group_by("item_id").agg(pl.col("price").median().alias("median_price"))
    tables = {
        "events": log,
        "items": sold.join(prices, on="item_id", how="left").sort("item_id"),
        "users": users.join(log, on="user_id", how="semi").sort("user_id"),
    }
    for name, frame in tables.items():
        frame.write_parquet(target / f"{name}.parquet", compression="zstd", compression_level=19)


def write_lists(people: pl.DataFrame, suppressed: pl.DataFrame, folder: Path) -> None:
    """Seed, truth and suppression list of one audience."""
    folder.mkdir(parents=True, exist_ok=True)
    seed, truth = split(people.join(suppressed, on="user_id", how="anti", maintain_order="left"))
    seed.write_csv(folder / "seed.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    truth.write_csv(folder / "truth.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    suppressed.select("user_id").sort("user_id").write_csv(folder / "suppress.csv")


def build(source: Path, target: Path) -> None:
    """Writes the whole sample to `target`."""
    events = pl.read_parquet(source / "events.parquet")
    items = pl.read_parquet(source / "items.parquet")
    named = events.filter(pl.col("user_id").is_not_null())
    _, again = buyers(RANGE, named, items)
    had, now = buyers(NEW_RANGE, named, items)
    write_lists(again, open_cases(named), target)
    write_lists(now, had, target / "newcomers")
    log = events.filter(pl.col("ts") < CUT).sort("ts", maintain_order=True)
    write_tables(log, items, pl.read_parquet(source / "users.parquet"), target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", type=Path, default=HERE)
    options = parser.parse_args()
    build(options.source, options.target)


if __name__ == "__main__":
    main()

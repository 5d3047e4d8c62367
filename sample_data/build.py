"""Build the sample from the benchmark's Online Retail log.

    python sample_data/build.py ../shared/bench/tasks/online_retail

Reads `events.parquet`, `items.parquet` and `users.parquet` from that folder and writes the files that the README beside
this script describes. The same input and the same version of Polars give the same files, byte for byte.
"""

import argparse
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent
CUT = datetime(2011, 6, 15, tzinfo=UTC)  # leaves six months of log before it and eleven weeks after
SEED_SHARE = 0.55
RANGE = "CHARLOTTE BAG"  # as in the items' descriptions
NEW_RANGE = "DOILY"
OPEN_CASE_PERIOD = timedelta(days=14)


def buyers(words: str, events: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The buyers of items whose description contains `words`, before and after the cut, with their first purchase there.

    Buyers after the cut are only customers with an event before it: nobody else can be ranked.
    """
    members = items.filter(pl.col("description").str.contains(words, literal=True)).select("item_id")
    purchases = events.filter(pl.col("event_type") == "purchase").join(members, on="item_id", how="semi")
    known = events.filter(pl.col("ts") < CUT).select("user_id").unique()
    before, after = purchases.filter(pl.col("ts") < CUT), purchases.filter(pl.col("ts") >= CUT)
    first = [frame.group_by("user_id").agg(pl.col("ts").min()).sort("ts", "user_id") for frame in (before, after)]
    return first[0], first[1].join(known, on="user_id", how="semi", maintain_order="left")


def open_cases(events: pl.DataFrame) -> pl.DataFrame:
    """Customers who cancelled something in the last two weeks of the log: customer service is in touch with them."""
    recent = pl.col("ts").is_between(CUT - OPEN_CASE_PERIOD, CUT, closed="left")
    return events.filter(recent, pl.col("event_type") == "cancel").select("user_id").unique().sort("user_id")


def split(audience: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seed and truth: those of the audience whose ids have the smallest hashes, and the others."""
    hashes = {user: hashlib.sha256(f"lookalike sample {user}".encode()).hexdigest() for user in audience["user_id"]}
    chosen = sorted(hashes, key=hashes.__getitem__)[: int(len(hashes) * SEED_SHARE)]
    in_seed = pl.col("user_id").is_in(chosen)
    return audience.filter(in_seed), audience.filter(~in_seed)


def write_tables(log: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame, target: Path) -> None:
    """Writes the log, and the items and customers that occur in it."""
    sold = items.join(log, on="item_id", how="semi").select("item_id", "description")
    prices = log.filter(pl.col("price") > 0).group_by("item_id").agg(pl.col("price").median().alias("median_price"))
    tables = {
        "events": log,
        "items": sold.join(prices, on="item_id", how="left").sort("item_id"),
        "users": users.join(log, on="user_id", how="semi").sort("user_id"),
    }
    for name, frame in tables.items():
        frame.write_parquet(target / f"{name}.parquet", compression="zstd", compression_level=19)


def write_lists(audience: pl.DataFrame, suppressed: pl.DataFrame, folder: Path) -> None:
    """Writes seed, truth and suppression list of one audience."""
    folder.mkdir(parents=True, exist_ok=True)
    seed, truth = split(audience.join(suppressed, on="user_id", how="anti", maintain_order="left"))
    seed.write_csv(folder / "seed.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    truth.write_csv(folder / "truth.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    suppressed.select("user_id").sort("user_id").write_csv(folder / "suppress.csv")


def build(source: Path, target: Path) -> None:
    """Writes the whole sample to `target`."""
    events = pl.read_parquet(source / "events.parquet")
    items = pl.read_parquet(source / "items.parquet")
    with_user = events.filter(pl.col("user_id").is_not_null())
    _, range_buyers = buyers(RANGE, with_user, items)
    earlier_buyers, new_buyers = buyers(NEW_RANGE, with_user, items)
    write_lists(range_buyers, open_cases(with_user), target)
    write_lists(new_buyers, earlier_buyers, target / "newcomers")
    log = events.filter(pl.col("ts") < CUT).sort("ts", maintain_order=True)
    write_tables(log, items, pl.read_parquet(source / "users.parquet"), target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the benchmark's online_retail set")
    parser.add_argument("--target", type=Path, default=HERE)
    options = parser.parse_args()
    build(options.source, options.target)


if __name__ == "__main__":
    main()

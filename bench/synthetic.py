"""Make a log of any size: `python bench/synthetic.py --events 10000000 --out .bench/log-10000000`.

Users have two interests among the item clusters and an activity that differs by orders of magnitude; they join over
time, come in sessions, look more than they buy, and take popular items of a cluster most. One cluster is the planted
interest: a seed of the users who have it, mixed with some who do not, and the others of them as the truth.

    OUT/events/part-NNNN.parquet   in time order, each a stretch of time
    OUT/day.parquet                 the day after: a few events of each of 1 % of the users
    OUT/items.parquet OUT/users.parquet OUT/seed.csv OUT/truth.csv OUT/facts.json

Memory follows the users (about 60 bytes each) and one part, not the events. The same arguments give the same log.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

START = 1_735_689_600  # 2025-01-01 UTC
DAY = 86_400
CLUSTERS = 60
PLANTED = 7  # the cluster whose lovers make the seed
SEED_NOISE = 0.15  # share of the seed that has no such interest
EVENTS_PER_SESSION = 5
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 10, 10, 10, 10, 11, 13, 15, 16, 14, 9, 5], float)
KINDS = np.array(["view", "add_to_cart", "purchase"])
COUNTRIES = np.array(["DE", "FR", "GB", "IT", "NL", "US"])
DEVICES = np.array(["desktop", "mobile", "tablet"])
PRODUCTS = np.array(["bag", "bottle", "chair", "cup", "hat", "jacket", "lamp", "mat", "rope", "shoe", "tent", "towel"])


@dataclass(frozen=True)
class Shape:
    """How large the log is. Users and items follow from the events where they are not given."""

    events: int
    users: int
    items: int
    days: int = 180
    random_seed: int = 0

    @property
    def part(self) -> int:
        """Events in one file: twenty files or more, none above two million."""
        return int(np.clip(self.events // 20, 1_000, 2_000_000))

    @classmethod
    def of(cls, events: int, users: int | None = None, items: int | None = None, random_seed: int = 0) -> "Shape":
        items = (items or int(np.clip(events // 250, 2_000, 100_000))) // CLUSTERS * CLUSTERS
        return cls(events, users or max(1_000, events // 20), items, random_seed=random_seed)


@dataclass(frozen=True)
class People:
    """By user row, in the order in which they joined."""

    first: NDArray[np.int16]  # cluster they like most
    second: NDArray[np.int16]
    reach: NDArray[np.float64]  # cumulated activity, to draw users by
    country: NDArray[np.int8]
    device: NDArray[np.int8]


def people(shape: Shape, rng: np.random.Generator) -> People:
    """Users whose interests are as unequal as the clusters' popularity and whose activity is log-normal."""
    popularity = 1 / np.arange(3, CLUSTERS + 3)
    first, second = (rng.choice(CLUSTERS, shape.users, p=popularity / popularity.sum()) for _ in range(2))
    return People(
        first.astype(np.int16),
        second.astype(np.int16),
        np.cumsum(rng.lognormal(0, 1.3, shape.users)),
        rng.choice(len(COUNTRIES), shape.users, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05]).astype(np.int8),
        rng.choice(len(DEVICES), shape.users, p=[0.35, 0.6, 0.05]).astype(np.int8),
    )


def part(number: int, shape: Shape, crowd: People) -> pl.DataFrame:
    """The events of one stretch of time, sorted by it."""
    rng = np.random.default_rng([shape.random_seed, number])
    size = min(shape.part, shape.events - number * shape.part)
    begin, span = START + shape.days * DAY * number * shape.part / shape.events, shape.days * DAY * size / shape.events
    session, start = _sessions(size, begin, span, rng)
    joined = max(1, int(shape.users * (0.3 + 0.7 * (begin + span - START) / (shape.days * DAY))))
    visitor = np.searchsorted(crowd.reach[:joined], rng.random(len(start)) * crowd.reach[joined - 1])
    user = visitor[session].clip(max=joined - 1)
    ts = (start[session] + rng.exponential(90, size)).astype(np.int64)
    item = _items(user, shape, crowd, rng)
    kind = np.digitize(rng.random(size), [0.82, 0.94])
    price = _prices(item)
    return (
        pl.DataFrame(
            {
                "user_id": pl.Series(user),
                "ts": pl.Series(ts * 1_000_000).cast(pl.Datetime("us", "UTC")),
                "event_type": pl.Series(KINDS[kind]),
                "item_id": pl.Series(item),
                "value": pl.Series(np.where(kind == 2, price, np.nan)).fill_nan(None),
                "session_id": pl.Series(session + number * shape.part),
                "country": pl.Series(COUNTRIES[crowd.country[user]]),
                "device": pl.Series(DEVICES[crowd.device[user]]),
            }
        )
        .sort("ts", maintain_order=True)
        .with_columns(
            pl.format("u{}", "user_id").alias("user_id"),
            pl.format("i{}", "item_id").alias("item_id"),
            pl.format("s{}", "session_id").alias("session_id"),
        )
    )


def _sessions(
    size: int, begin: float, span: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The session of each event, and when each session starts; most start in the evening."""
    lengths = rng.geometric(1 / EVENTS_PER_SESSION, size)
    count = int(np.searchsorted(np.cumsum(lengths), size)) + 1
    session = np.repeat(np.arange(count), lengths[:count])[:size]
    hour = rng.choice(24, count, p=HOURS / HOURS.sum()) * 3_600 + rng.random(count) * 3_600
    at = begin + rng.random(count) * span
    # a part may be shorter than a day: then its stretch counts, not the hour
    return session, np.where(span < 2 * DAY, at, (at // DAY * DAY + hour).clip(begin, begin + span))


def _items(user: NDArray[np.int64], shape: Shape, crowd: People, rng: np.random.Generator) -> NDArray[np.int64]:
    """Six in ten events are about the first interest, a quarter about the second, the others about anything."""
    which = rng.random(len(user))
    cluster = np.where(which < 0.6, crowd.first[user], crowd.second[user])
    cluster = np.where(which < 0.85, cluster, rng.integers(CLUSTERS, size=len(user)))
    per_cluster = shape.items // CLUSTERS
    # the inverse of a Zipf law with exponent 1: ranks whose logarithm is even
    rank = np.exp(rng.random(len(user)) * np.log(per_cluster)).astype(np.int64) - 1
    item: NDArray[np.int64] = rank * CLUSTERS + cluster
    return item


def _prices(item: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.round(3 + (item * 2_654_435_761 % 9_700) / 100, 2)


def tables(shape: Shape, crowd: People) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Items with title, category, brand and price; users with country and how they signed up."""
    item, user = np.arange(shape.items), np.arange(shape.users)
    cluster = item % CLUSTERS
    items = pl.DataFrame({"item": item, "cluster": cluster, "brand": item * 31 % 200, "price": _prices(item)}).select(
        pl.format("i{}", "item").alias("item_id"),
        pl.format("{} {}", pl.Series(PRODUCTS[cluster % len(PRODUCTS)]), "item").alias("title"),
        pl.format("category {}", "cluster").alias("category"),
        pl.format("brand {}", "brand").alias("brand"),
        "price",
    )
    users = pl.DataFrame({"user": user}).select(
        pl.format("u{}", "user").alias("user_id"),
        pl.Series("country", COUNTRIES[crowd.country]),
        pl.Series("plan", np.where(user * 7 % 10 < 2, "member", "free")),
    )
    return items, users


def planted(shape: Shape, crowd: People, seen: NDArray[np.bool_]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A fifth of the seen users with the planted interest, and some strangers; and the others who have it."""
    rng = np.random.default_rng([shape.random_seed, 1 << 30])
    lovers = rng.permutation(np.flatnonzero((crowd.first == PLANTED) & seen))
    strangers = rng.permutation(np.flatnonzero((crowd.first != PLANTED) & seen))
    size = min(20_000, len(lovers) // 5)
    seed = np.concatenate([lovers[:size], strangers[: round(size * SEED_NOISE / (1 - SEED_NOISE))]])
    named = (
        pl.DataFrame({"user": np.sort(rows)}).select(pl.format("u{}", "user").alias("user_id"))
        for rows in (seed, lovers[size:])
    )
    return next(named), next(named)


def day_after(last: pl.DataFrame, end: int, users: int) -> pl.DataFrame:
    """Up to three events of each of some users of the last part, on the day that begins with `end`."""
    chosen = last["user_id"].unique(maintain_order=True).head(users)
    some = last.filter(pl.col("user_id").is_in(chosen.implode())).group_by("user_id", maintain_order=True).head(3)
    moment = pl.lit(end * 1_000_000) + (pl.col("ts").dt.epoch("us") % (DAY * 1_000_000))
    return some.select(
        moment.cast(pl.Datetime("us", "UTC")).alias("ts"),
        pl.format("d{}", "session_id").alias("session_id"),
        pl.exclude("ts", "session_id"),
    )


def write(shape: Shape, folder: Path) -> None:
    """Writes the log; `facts.json` comes last and says that it is whole."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    crowd = people(shape, np.random.default_rng([shape.random_seed, 1 << 31]))
    seen = np.zeros(shape.users, bool)
    for number in range(-(-shape.events // shape.part)):
        frame = part(number, shape, crowd)
        seen[frame["user_id"].str.slice(1).cast(pl.Int64).unique().to_numpy()] = True
        frame.write_parquet(folder / "events" / f"part-{number:04d}.parquet", compression="zstd")
    day_after(frame, START + shape.days * DAY, int(seen.sum()) // 100).write_parquet(folder / "day.parquet")
    items, users = tables(shape, crowd)
    items.write_parquet(folder / "items.parquet")
    users.filter(pl.Series(seen)).write_parquet(folder / "users.parquet")
    seed, truth = planted(shape, crowd, seen)
    seed.write_csv(folder / "seed.csv")
    truth.write_csv(folder / "truth.csv")
    facts = asdict(shape) | {"users_seen": int(seen.sum()), "seed": seed.height, "truth": truth.height}
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, help="of whom about two thirds do something; a twentieth of the events")
    parser.add_argument(
        "--items", type=int, help="of which the rarest may go unseen; one for 250 events, up to 100,000"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--random-seed", type=int, default=0)
    options = parser.parse_args()
    write(Shape.of(options.events, options.users, options.items, options.random_seed), options.out)


if __name__ == "__main__":
    main()

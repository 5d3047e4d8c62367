"""Generate a log of any size: `python bench/synthetic.py --events 10000000 --out .bench/log-10000000`.

Each user is interested in two clusters of items. Activity differs between users by orders of magnitude. Users join over
time, come in sessions, view more than they buy, and prefer the popular items of a cluster. One cluster is the planted
interest: the seed is a sample of the users who have it, mixed with some who do not; the truth is the other users who
have it.

    OUT/events/part-NNNN.parquet    a period of time each, in order
    OUT/day.parquet                 the day after: up to three events of each of 1 % of the users
    OUT/items.parquet OUT/users.parquet OUT/seed.csv OUT/truth.csv OUT/facts.json

Memory is bounded by the users (about 60 bytes each) and one part, not by the events. The same arguments give the same log.
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
PLANTED = 7  # the cluster that the users of the seed are interested in
SEED_NOISE = 0.15  # share of the seed that has no such interest
MAX_SEEDS = 20_000  # with the planted interest
EVENTS_PER_SESSION = 5
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 10, 10, 10, 10, 11, 13, 15, 16, 14, 9, 5], float)
KINDS = np.array(["view", "add_to_cart", "purchase"])
COUNTRIES = np.array(["DE", "FR", "GB", "IT", "NL", "US"])
DEVICES = np.array(["desktop", "mobile", "tablet"])
PRODUCTS = np.array(["bag", "bottle", "chair", "cup", "hat", "jacket", "lamp", "mat", "rope", "shoe", "tent", "towel"])


@dataclass(frozen=True)
class Shape:
    """How large the log is."""

    events: int
    users: int
    items: int
    days: int = 180
    random_seed: int = 0

    @property
    def events_per_part(self) -> int:
        """Events of one file: at least twenty files, of at most two million events."""
        return int(np.clip(self.events // 20, 1_000, 2_000_000))

    @classmethod
    def of(cls, events: int, users: int | None = None, items: int | None = None, random_seed: int = 0) -> "Shape":
        """The shape with so many events; the numbers of users and items follow from it if they are not given."""
        items = (items or int(np.clip(events // 250, 2_000, 100_000))) // CLUSTERS * CLUSTERS
        return cls(events, users or max(1_000, events // 20), items, random_seed=random_seed)


@dataclass(frozen=True)
class Users:
    """By user row, in the order in which they joined."""

    first_interest: NDArray[np.int16]  # cluster
    second_interest: NDArray[np.int16]
    cumulative_activity: NDArray[np.float64]  # to draw users by
    country: NDArray[np.int8]
    device: NDArray[np.int8]


def draw_users(shape: Shape, rng: np.random.Generator) -> Users:
    """Users whose interests follow the popularity of the clusters (a power law) and whose activity is log-normal."""
    popularity = 1 / np.arange(3, CLUSTERS + 3)
    first, second = (rng.choice(CLUSTERS, shape.users, p=popularity / popularity.sum()) for _ in range(2))
    return Users(
        first.astype(np.int16),
        second.astype(np.int16),
        np.cumsum(rng.lognormal(0, 1.3, shape.users)),
        rng.choice(len(COUNTRIES), shape.users, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05]).astype(np.int8),
        rng.choice(len(DEVICES), shape.users, p=[0.35, 0.6, 0.05]).astype(np.int8),
    )


def draw_events(number: int, shape: Shape, users: Users) -> pl.DataFrame:
    """The events of one part, sorted by time."""
    rng = np.random.default_rng([shape.random_seed, number])
    earlier = number * shape.events_per_part
    size = min(shape.events_per_part, shape.events - earlier)
    begin, span = START + shape.days * DAY * earlier / shape.events, shape.days * DAY * size / shape.events
    session, start = _draw_sessions(size, begin, span, rng)
    joined = max(1, int(shape.users * (0.3 + 0.7 * (begin + span - START) / (shape.days * DAY))))
    activity = users.cumulative_activity[:joined]
    visitor = np.searchsorted(activity, rng.random(len(start)) * activity[-1])
    user = visitor[session].clip(max=joined - 1)
    ts = (start[session] + rng.exponential(90, size)).astype(np.int64)
    item = _draw_items(user, shape, users, rng)
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
                "session_id": pl.Series(session + earlier),
                "country": pl.Series(COUNTRIES[users.country[user]]),
                "device": pl.Series(DEVICES[users.device[user]]),
            }
        )
        .sort("ts", maintain_order=True)
        .with_columns(
            pl.format("u{}", "user_id").alias("user_id"),
            pl.format("i{}", "item_id").alias("item_id"),
            pl.format("s{}", "session_id").alias("session_id"),
        )
    )


def _draw_sessions(
    size: int, begin: float, span: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The session of each event, and when each session starts; most start in the evening."""
    lengths = rng.geometric(1 / EVENTS_PER_SESSION, size)
    count = int(np.searchsorted(np.cumsum(lengths), size)) + 1
    session = np.repeat(np.arange(count), lengths[:count])[:size]
    hour = rng.choice(24, count, p=HOURS / HOURS.sum()) * 3_600 + rng.random(count) * 3_600
    moment = begin + rng.random(count) * span
    # a part may be shorter than a day: its sessions are then spread evenly over it
    return session, np.where(span < 2 * DAY, moment, (moment // DAY * DAY + hour).clip(begin, begin + span))


def _draw_items(user: NDArray[np.int64], shape: Shape, users: Users, rng: np.random.Generator) -> NDArray[np.int64]:
    """The item of each event: 60 % are of the user's first interest, 25 % of the second, the others of any cluster."""
    choice = rng.random(len(user))
    cluster = np.where(choice < 0.6, users.first_interest[user], users.second_interest[user])
    cluster = np.where(choice < 0.85, cluster, rng.integers(CLUSTERS, size=len(user)))
    per_cluster = shape.items // CLUSTERS
    # the inverse of a Zipf law with exponent 1: the logarithm of the rank is uniform
    rank = np.exp(rng.random(len(user)) * np.log(per_cluster)).astype(np.int64) - 1
    item: NDArray[np.int64] = rank * CLUSTERS + cluster
    return item


def _prices(item: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.round(3 + (item * 2_654_435_761 % 9_700) / 100, 2)


def item_and_user_tables(shape: Shape, users: Users) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Items with title, category, brand and price; users with country and plan."""
    item, user = np.arange(shape.items), np.arange(shape.users)
    cluster = item % CLUSTERS
    items = pl.DataFrame({"item": item, "cluster": cluster, "brand": item * 31 % 200, "price": _prices(item)}).select(
        pl.format("i{}", "item").alias("item_id"),
        pl.format("{} {}", pl.Series(PRODUCTS[cluster % len(PRODUCTS)]), "item").alias("title"),
        pl.format("category {}", "cluster").alias("category"),
        pl.format("brand {}", "brand").alias("brand"),
        "price",
    )
    profiles = pl.DataFrame({"user": user}).select(
        pl.format("u{}", "user").alias("user_id"),
        pl.Series("country", COUNTRIES[users.country]),
        pl.Series("plan", np.where(user * 7 % 10 < 2, "member", "free")),
    )
    return items, profiles


def seed_and_truth(shape: Shape, users: Users, has_events: NDArray[np.bool_]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seed: a fifth of the users with the planted interest, and some without it. Truth: the others with it."""
    rng = np.random.default_rng([shape.random_seed, 1 << 30])
    interested = rng.permutation(np.flatnonzero((users.first_interest == PLANTED) & has_events))
    others = rng.permutation(np.flatnonzero((users.first_interest != PLANTED) & has_events))
    size = min(MAX_SEEDS, len(interested) // 5)
    seed = np.concatenate([interested[:size], others[: round(size * SEED_NOISE / (1 - SEED_NOISE))]])
    return _ids(seed), _ids(interested[size:])


def _ids(rows: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame({"user": np.sort(rows)}).select(pl.format("u{}", "user").alias("user_id"))


def next_day(last_part: pl.DataFrame, start: int, users: int) -> pl.DataFrame:
    """Up to three events of each of so many users of the last part, moved to the day that begins at `start`."""
    chosen = last_part["user_id"].unique(maintain_order=True).head(users)
    events = last_part.filter(pl.col("user_id").is_in(chosen.implode()))
    events = events.group_by("user_id", maintain_order=True).head(3)
    moment = pl.lit(start * 1_000_000) + (pl.col("ts").dt.epoch("us") % (DAY * 1_000_000))
    return events.select(
        moment.cast(pl.Datetime("us", "UTC")).alias("ts"),
        pl.format("d{}", "session_id").alias("session_id"),
        pl.exclude("ts", "session_id"),
    )


def write(shape: Shape, folder: Path) -> None:
    """Writes the log. `facts.json` comes last: where it is present, the log is complete."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    users = draw_users(shape, np.random.default_rng([shape.random_seed, 1 << 31]))
    has_events = np.zeros(shape.users, bool)
    for number in range(-(-shape.events // shape.events_per_part)):
        part = draw_events(number, shape, users)
        has_events[part["user_id"].str.slice(1).cast(pl.Int64).unique().to_numpy()] = True
        part.write_parquet(folder / "events" / f"part-{number:04d}.parquet", compression="zstd")
    count = int(has_events.sum())
    next_day(part, START + shape.days * DAY, count // 100).write_parquet(folder / "day.parquet")
    items, profiles = item_and_user_tables(shape, users)
    items.write_parquet(folder / "items.parquet")
    profiles.filter(pl.Series(has_events)).write_parquet(folder / "users.parquet")
    seed, truth = seed_and_truth(shape, users, has_events)
    seed.write_csv(folder / "seed.csv")
    truth.write_csv(folder / "truth.csv")
    facts = asdict(shape) | {"users_with_events": count, "seed": seed.height, "truth": truth.height}
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--users", type=int, help="about two thirds have events; a twentieth of the events if not given"
    )
    parser.add_argument(
        "--items", type=int, help="the rarest may have no event; one for 250 events, at most 100,000, if not given"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--random-seed", type=int, default=0)
    options = parser.parse_args()
    write(Shape.of(options.events, options.users, options.items, options.random_seed), options.out)


if __name__ == "__main__":
    main()

"""Recall@20 on a made log of news, whose items are read for hours: the encoder beside popularity of the last hours.

    python bench/news.py --folder DIR

Articles are published all day, more of them by day than by night, and lose half of their pull every five hours. People have
topics of their own. The log ends at ten in the morning, and the next two articles of each person are to be found.
"""

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

import lookalike

DAY, STEP = 86_400, 1_800  # seconds
HALF_LIFE_HOURS = 5.0
START = datetime(2023, 11, 14, tzinfo=UTC)
PEOPLE, DAYS, ARTICLES_PER_DAY, TOPICS = 6_000, 10, 150, 15
TOP = 20


def news_log(random_seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events (`user_id`, `ts`, `event_type`, `item_id`) and articles (`item_id`, `category`)."""
    rng = np.random.default_rng(random_seed)
    articles = DAYS * ARTICLES_PER_DAY
    by_hour = np.repeat([0.5, 2.0, 1.5, 1.0], [6, 4, 10, 4])
    hour = rng.choice(24, articles, p=by_hour / by_hour.sum())
    published = np.sort(rng.integers(0, DAYS, articles) * DAY + hour * 3_600 + rng.integers(0, 3_600, articles))
    topic = rng.choice(TOPICS, articles, p=rng.dirichlet(np.full(TOPICS, 2.0)))
    pull = rng.lognormal(0, 1.3, articles)
    likes = 0.25 + 0.5 * TOPICS * rng.dirichlet(np.full(TOPICS, 0.3), PEOPLE)
    reads_per_step = rng.lognormal(0, 1, PEOPLE)
    reads_per_step *= 3 / 34 / reads_per_step.mean()

    def reads(second: int) -> pl.DataFrame:
        is_night = not 6 <= second // 3_600 % 24 < 23
        readers = np.repeat(np.arange(PEOPLE), rng.poisson(reads_per_step * (0.15 if is_night else 1.0)))
        age = (second - published) / 3_600
        fresh = np.flatnonzero((age >= 0) & (age < 72))
        if not len(fresh):
            return pl.DataFrame(schema={"user": pl.Int64, "second": pl.Int64, "item": pl.Int64})
        chosen = _draw(pull[fresh] * 0.5 ** (age[fresh] / HALF_LIFE_HOURS) * likes[readers][:, topic[fresh]], rng)
        seconds = second + rng.integers(0, STEP, len(readers))
        return pl.DataFrame({"user": readers, "second": seconds, "item": fresh[chosen]})

    log = pl.concat([reads(second) for second in range(0, DAYS * DAY, STEP)]).sort("second")
    events = log.unique(["user", "item"], keep="first", maintain_order=True).select(
        user_id=pl.format("u{}", "user"),
        ts=pl.lit(START) + pl.duration(seconds="second"),
        event_type=pl.lit("click"),
        item_id=pl.format("a{}", "item"),
    )
    items = pl.DataFrame({"item_id": [f"a{n}" for n in range(articles)], "category": [f"topic {n}" for n in topic]})
    return events, items


def _draw(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One column of each row, by weight."""
    cumulative = weights.cumsum(1)
    return (cumulative > rng.random((len(weights), 1)) * cumulative[:, -1:]).argmax(1)


def recall(scores: NDArray[np.floating], columns: list[str], past: list[list[str]], future: list[list[str]]) -> float:
    """Mean over people of found / hidden articles; scores [n, V], those met before left out."""
    place = {item: column for column, item in enumerate(columns)}
    values = []
    for row, met, hidden in zip(scores, past, future, strict=True):
        row = row.copy()
        row[[place[item] for item in met if item in place]] = -np.inf
        top = {columns[column] for column in np.argpartition(-row, TOP)[:TOP]}
        values.append(len(top & set(hidden)) / len(hidden))
    return float(np.mean(values))


def main(folder: Path, random_seed: int) -> None:
    events, items = news_log(random_seed)
    cut = events["ts"].max() - timedelta(hours=14)  # type: ignore[operator]  # a moment
    known, later = events.filter(pl.col("ts") < cut), events.filter(pl.col("ts") >= cut)
    known.write_parquet(folder / "events.parquet")
    items.write_parquet(folder / "items.parquet")
    with lookalike.open(folder / "workspace") as workspace:
        workspace.ingest(folder / "events.parquet", items=folder / "items.parquet")
        run = workspace.train().run
    vectors, users, item_vectors, columns = _vectors(folder / "workspace", run)
    hidden = (
        later.group_by("user_id", maintain_order=True).head(2).group_by("user_id", maintain_order=True).agg("item_id")
    )
    people = (
        hidden.rename({"item_id": "hidden"})
        .join(known.group_by("user_id").agg("item_id"), on="user_id")
        .join(users, on="user_id")
    )
    past, future = people["item_id"].to_list(), people["hidden"].to_list()
    figures = {"encoder": recall(vectors[people["row"].to_numpy()] @ item_vectors.T, columns, past, future)}
    for hours in (1, 3, 6, 24):
        of_late = known.filter(pl.col("ts") >= cut - timedelta(hours=hours))["item_id"].value_counts()
        counts = pl.DataFrame({"item_id": columns}).join(of_late, on="item_id", how="left", maintain_order="left")
        scores = np.tile(counts["count"].fill_null(0).to_numpy().astype(float), (len(past), 1))
        figures[f"popularity of the last {hours} h"] = recall(scores, columns, past, future)
    print(f"recall@{TOP} of {len(past):,} people")
    for name, figure in figures.items():
        print(f"{name:28} {figure:.4f}")


def _vectors(workspace: Path, run: str) -> tuple[NDArray[np.float32], pl.DataFrame, NDArray[np.float32], list[str]]:
    """The users' vectors and who they are (`user_id`, `row`), the items' vectors and what they are."""
    version = workspace / "embeddings" / (workspace / "embeddings" / "CURRENT").read_text().strip()
    vectors = np.concatenate([np.load(file) for file in sorted(version.glob("sequence-*.npy"))]).astype(np.float32)
    users = pl.read_parquet(version / "users.parquet").select("user_id", pl.col("row").cast(pl.Int64))
    items = pl.read_parquet(workspace / "runs" / run / "items.parquet").sort("row")["item_id"].to_list()
    return vectors, users, np.load(workspace / "runs" / run / "items.npy").astype(np.float32), items


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--random-seed", type=int, default=1)
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        main(options.folder, options.random_seed)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary), options.random_seed)

"""A log whose cause is known, put into a store or a trained workspace."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.api import ingest, train
from lookalike.data.database import Cut, Database, end_of_log
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.sequence_builder import build_sequences
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import TrainSettings

START = datetime(2024, 3, 1)


def insert_events(store: Database, events: pl.DataFrame) -> None:
    """Adds rows with any of the event columns; the rest is empty, `event_type` is "view" where it is not given."""
    columns = {"event_type": pl.lit("view"), "file_id": pl.lit(1)}
    table = events.with_columns(**{name: value for name, value in columns.items() if name not in events.columns})
    store.connection.register("incoming", table.to_arrow())
    store.connection.execute(f"INSERT INTO events ({', '.join(table.columns)}) SELECT * FROM incoming")
    store.connection.unregister("incoming")


def built(
    store: Database, folder: Path, as_of: datetime | None = None, min_events: int = 1
) -> tuple[Sequences, Vocabulary]:
    """The store's events as arrays; by default all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    return build_sequences(store, Cut(as_of or end_of_log(store), min_events), folder)


@dataclass(frozen=True)
class Population:
    """A log whose cause is known: every user has one interest, and every item serves one."""

    events: pl.DataFrame  # user_id, ts, event_type, item_id, value
    items: pl.DataFrame  # item_id, category
    interest: NDArray[np.int64]  # of each user, in the order of `user_ids`
    user_ids: list[str]
    activity: NDArray[np.int64]  # events of each user

    def with_interest(self, interest: int) -> list[str]:
        return [user for user, of in zip(self.user_ids, self.interest, strict=True) if of == interest]


def planted(users: int, seed: int = 0, interests: int = 5, items: int = 100, strength: float = 0.7) -> Population:
    """Users who take the share `strength` of their events from their interest's items and the rest from all items.

    The number of events is heavy-tailed and says nothing about the interest.
    """
    rng = np.random.default_rng(seed)
    interest = rng.integers(0, interests, users)
    activity = 1 + rng.geometric(0.15, users)
    owner = np.repeat(np.arange(users), activity)
    total = len(owner)
    own = rng.random(total) < strength
    liked = rng.integers(0, items // interests, total) * interests + interest[owner]
    item = np.where(own, liked, rng.integers(0, items, total))
    day = rng.uniform(0, 80, total)
    user_ids = [f"u{row:05d}" for row in range(users)]
    events = pl.DataFrame(
        {
            "user_id": np.array(user_ids)[owner],
            "ts": [START + timedelta(seconds=int(d * 86_400)) for d in day],
            "event_type": np.where(rng.random(total) < 0.2, "purchase", "view"),
            "item_id": np.char.add("i", np.char.zfill(item.astype(str), 4)),
            "value": np.round(rng.lognormal(2, 1, total), 2),
        }
    )
    catalogue = pl.DataFrame(
        {
            "item_id": [f"i{row:04d}" for row in range(items)],
            "category": [f"c{row % interests}" for row in range(items)],
        }
    )
    return Population(events, catalogue, interest, user_ids, activity)


SMALL = TrainSettings(
    encoder="mean", dim=16, length=16, epochs=2, batch_events=1024, negatives=100, content_dim=8, group_columns=16
)


def trained(root: Path, log: Population, settings: TrainSettings = SMALL) -> WorkspaceFolder:
    """A workspace with the log ingested from CSV and an encoder trained on it."""
    files = root / "files"
    files.mkdir(parents=True)
    log.events.write_csv(files / "events.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    log.items.write_csv(files / "items.csv")
    workspace = WorkspaceFolder(root / "space")
    ingest.ingest(workspace, [files / "events.csv"], IngestOptions(items=files / "items.csv"), QuietProgress())
    train.train(workspace, train.TrainRequest(settings, device="cpu"), QuietProgress())
    return workspace

"""People as they were at a moment of their own: before somebody became a customer, not after.

A seed of buyers embedded today is told apart by its purchases and all that followed. Embedded from the events strictly
before each purchase it shows what buyers are like beforehand, which is what the candidates are. The background is
embedded at moments drawn from the seed's. Where those are events of the seed (a first purchase), a user of the background
is embedded just before an event too: the first purchase of a buyer, of anybody else the event nearest to the moment drawn.
Else the seed would be told apart by having been here a minute before, which says nothing of who they are.
"""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lookalike.data import database, sequence_builder, sequence_queries
from lookalike.data.arrays import Rows, Seconds
from lookalike.data.database import Cut, Database
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder import embedder
from lookalike.encoder.runs import Run
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.examples import Examples, draw_background, draw_sample, seed_weights
from lookalike.expansion.seed import SeedPeople
from lookalike.expansion.seed_checks import MIN_MEASURABLE_SEEDS
from lookalike.workspace.settings import ExpandSettings

MIN_EVENT_SHARE = 0.5  # share of the seeds whose moment is one of their events, from which on moments are events


MIN_OTHERS = 100


def first_events_of_type(opened: Database, users: pl.DataFrame, event_type: str) -> pl.DataFrame:
    """`user_id` and `moment` (seconds since 1970) of each user's first event of a type. Raises SettingsError for none."""
    types = database.event_types(opened)
    if event_type not in types:
        raise SettingsError(f"no event type is called {event_type[:60]!r}", f"--before {'|'.join(types[:8])}")
    return users.join(database.first_event_times(opened, event_type), on="user_id", how="inner")


def to_seconds(moment: datetime) -> int:
    """Since 1970, of a UTC time without a zone."""
    return int(moment.replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class PointInTime:
    """What it takes to embed people as they were: the log, a trained run, the stored version, a folder, and the last moment."""

    opened: Database
    run: Run
    representation: Representation
    scratch: Path
    cut: Cut

    def until(self, moment: datetime) -> "PointInTime":
        """The same, ignorant of everything from a moment on."""
        return replace(self, cut=replace(self.cut, as_of=moment))

    def vectors(self, users: pl.DataFrame, seeds: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The blocks of users (`user_id`, `moment`) as they were, [n, W], and who had done anything by then.

        The first `seeds` of them are seeds. Where their moments are events, everybody is taken at one of their own.
        """
        asked = users.with_columns(at=pl.Series(np.arange(len(users))))
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        arrays, vocabulary = sequence_builder.build_for_users(self.opened, self.cut, folder, self.run.vocabulary, asked)
        made = embedder.load_embedder(self.run, vocabulary, torch.device("cpu"))
        found = pl.read_parquet(folder / "users.parquet").join(asked, on="user_id", how="inner").sort("row")
        at, moment = found["at"].to_numpy(), found["moment"].to_numpy()
        if seeds:
            nearest = _nearest_event(arrays, moment)
            if np.mean(nearest[at < seeds] == moment[at < seeds]) > MIN_EVENT_SHARE:
                moment = np.where(at < seeds, moment, nearest)
        then = sequence_queries.events_before_each(arrays, moment)
        # in the precision that is stored, so that a moment past all events changes nothing
        vectors = np.zeros((len(users), sum(made.widths.values())), np.float32)
        day = moment // SECONDS_PER_DAY
        for one in np.unique(day):  # one turn a day of the log, not a user
            group = np.flatnonzero(day == one)
            end = min(arrays.as_of, int(moment[group].max()))
            part = replace(then.take(group), as_of=end)
            blocks = made.blocks(part)
            vectors[at[group]] = np.hstack([blocks[name].astype(np.float16) for name in BLOCKS])
        had = np.zeros(len(users), bool)
        had[at] = np.diff(then.offsets) > 0
        return vectors, had


def examples_at_moments(
    past: PointInTime, people: SeedPeople, known: Examples, settings: ExpandSettings, crowd_of: Rows | None = None
) -> tuple[Examples, int]:
    """What `expansion.examples` gave, with everybody as they were; and how many seeds had done nothing before.

    `crowd_of` are the rows that the background is taken from, a sample of everybody eligible if not given. Raises
    ExpansionError when hardly any seed is left.
    """
    representation = past.representation
    assert people.moment is not None
    taught = draw_sample(people.seed, settings.background, settings.random_seed)
    moment = people.moment[np.searchsorted(people.seed, taught)]
    if crowd_of is None:
        crowd_of = draw_background(representation.users, people.suppressed, settings.background, settings.random_seed)
    others = np.setdiff1d(crowd_of, people.seed)
    against = draw_sample(people.against, settings.background, settings.random_seed)
    rng = np.random.default_rng([settings.random_seed, 23])
    rows = np.concatenate([taught, others, against])
    moments = np.concatenate([moment, rng.choice(moment, len(others) + len(against))])
    asked = pl.DataFrame({"user_id": UserIndex(representation).ids(rows), "moment": moments})
    if people.before is not None:  # seeds have theirs already
        first = asked.select("user_id").join(
            database.first_event_times(past.opened, people.before), on="user_id", how="left", maintain_order="left"
        )["moment"]
        own = (
            pl.Series(np.arange(len(rows)) >= len(taught)) & first.is_not_null() & (first < to_seconds(past.cut.as_of))
        )
        asked = asked.with_columns(moment=pl.when(own).then(first).otherwise(pl.col("moment")))
    vectors, had = past.vectors(asked, len(taught))
    ends = np.cumsum([len(taught), len(others)])
    (seeds, crowd, away), (seed, background, rest) = np.split(had, ends), np.split(vectors, ends)
    if seeds.sum() < MIN_MEASURABLE_SEEDS or crowd.sum() < MIN_OTHERS:
        who = f"{int(seeds.sum())} seeds and {int(crowd.sum()):,} others"
        raise ExpansionError(
            f"only {who} had done anything before their moment",
            f"{MIN_MEASURABLE_SEEDS} seeds and {MIN_OTHERS} others are the least: later moments, or none",
        )
    value = people.value if people.value is not None else np.ones(len(people.seed))
    then = replace(
        known,
        seed=seed[seeds],
        weight=seed_weights(value[np.searchsorted(people.seed, taught)][seeds]),
        against=rest[away],
        background=background[crowd],
        seed_of=np.full(int(crowd.sum()), -1),
        group=None,
        rows=taught[seeds],
    )
    return then, int((~seeds).sum())


def _nearest_event(users: Sequences, moment: Seconds) -> Seconds:
    """The time of each user's event nearest to a moment, [N]; of nobody without events is one asked for."""
    time = np.asarray(users["time"]).astype(np.int64)
    first, last = users.offsets[:-1], users.offsets[1:] - 1
    stride = int(max(time.max(initial=0), moment.max(initial=0))) + 1  # one number orders all events by user and time
    key = users.owner * stride + time
    after = np.clip(np.searchsorted(key, np.arange(users.users) * stride + moment), first, last)
    before = np.maximum(after - 1, first)
    nearest: Seconds = np.where(moment - time[before] < np.abs(time[after] - moment), time[before], time[after])
    return nearest

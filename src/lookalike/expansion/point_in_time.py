"""Users as they were at a moment of their own: before somebody became a customer, not after.

Buyers embedded from all their events are told apart by their purchases and all that followed. Embedded from the events
strictly before each purchase they show what buyers are like beforehand, which is what the candidates are. The background
is embedded at moments drawn from the seeds'. If those are events of the seeds (a first purchase), background users are
embedded just before an event too: a buyer before the first purchase, anybody else before the event nearest to the moment
drawn. Otherwise the seed would be told apart by having been active a minute earlier, which says nothing about who they
are.
"""

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from lookalike.data import database, sequence_builder, sequence_queries
from lookalike.data.arrays import Flags, Rows, Seconds
from lookalike.data.database import Cut
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.layout import BLOCKS
from lookalike.encoder.embedder import Embedder, load_embedder
from lookalike.encoder.threads import one_torch_thread
from lookalike.errors import ExpansionError
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples, seed_weights
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.seed import Seed, to_seconds
from lookalike.expansion.seed_checks import MIN_MEASURABLE_SEEDS
from lookalike.workspace.parallel import thread_pool
from lookalike.workspace.random_streams import Stream, generator

MIN_EVENT_SHARE = 0.5  # of the seeds whose moment is one of their events, above which all moments are events
MIN_OTHERS = 100


@dataclass(frozen=True)
class PastVectors:
    """The stored columns of some users as they were, [n, W], and who had any event by then, [n]."""

    vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    had_events: Flags


@dataclass(frozen=True)
class PointInTime:
    """Embeds users as they were, from the events before a cut, by the run that made the stored vectors."""

    context: ExpansionContext
    cut: Cut

    @classmethod
    def of(cls, context: ExpansionContext) -> "PointInTime":
        return cls(context, context.cut)

    def until(self, moment: datetime) -> "PointInTime":
        """The same without any event from a moment on."""
        return replace(self, cut=replace(self.cut, as_of=moment))

    def vectors(self, ids: pl.Series, moments: Seconds, seeds: int = 0) -> PastVectors:
        """Users by id as they were before their moments, both [n]; a user may come more than once.

        The first `seeds` of them are seeds. If their moments are events, everybody is embedded just before an event.
        """
        users = pl.DataFrame({"user_id": ids, "moment": moments, "place": np.arange(len(ids))})
        folder = Path(tempfile.mkdtemp(dir=self.context.scratch))
        sequences, vocabulary = sequence_builder.build_for_users(
            self.context.database, self.cut, folder, self.context.run.vocabulary, users
        )
        there = (
            pl.read_parquet(folder / "users.parquet", glob=False)
            .join(users, on="user_id", how="inner")
            .sort("row", "place")
        )
        if len(there) > sequences.users:  # somebody is both in the background and a negative, each at another moment
            sequences = sequences.take(there["row"].to_numpy())
        place, moment = there["place"].to_numpy(), there["moment"].to_numpy()
        if seeds:
            moment = _at_events(sequences, moment, place < seeds)
        past = sequence_queries.events_before_each(sequences, moment)
        embedder = load_embedder(self.context.run, vocabulary)
        vectors = np.zeros((len(ids), sum(embedder.widths.values())), np.float32)
        vectors[place] = _embedded_by_day(embedder, past, moment)
        had_events = np.zeros(len(ids), bool)
        had_events[place] = np.diff(past.offsets) > 0
        return PastVectors(vectors, had_events)


def _at_events(sequences: Sequences, moment: Seconds, is_seed: Flags) -> Seconds:
    """The moments [n], moved to each other user's nearest event if the seeds' moments are mostly events."""
    nearest = _nearest_events(sequences, moment)
    if np.mean(nearest[is_seed] == moment[is_seed]) > MIN_EVENT_SHARE:
        return np.where(is_seed, moment, nearest)
    return moment


def _nearest_events(sequences: Sequences, moment: Seconds) -> Seconds:
    """The time of each user's event nearest to a moment, [N]. Every user has events."""
    time = np.asarray(sequences["time"]).astype(np.int64)
    first, last = sequences.offsets[:-1], sequences.offsets[1:] - 1
    stride = int(max(time.max(initial=0), moment.max(initial=0))) + 1  # one number orders all events by user and time
    key = sequences.owner * stride + time
    after = np.clip(np.searchsorted(key, np.arange(sequences.users) * stride + moment), first, last)
    before = np.maximum(after - 1, first)
    nearest: Seconds = np.where(moment - time[before] < np.abs(time[after] - moment), time[before], time[after])
    return nearest


def _embedded_by_day(
    embedder: Embedder, past: Sequences, moment: Seconds
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The columns of every user [n, W], embedded as of their day: one batch for a day of the log.

    They are rounded to the stored precision, so that a moment after all events gives the stored vector.
    """
    vectors = np.zeros((past.users, sum(embedder.widths.values())), np.float32)
    day = moment // SECONDS_PER_DAY

    def embed_day(number: int) -> None:
        users = np.flatnonzero(day == number)
        as_of = min(past.as_of, int(moment[users].max()))
        blocks = embedder.blocks(replace(past.take(users), as_of=as_of))
        vectors[users] = np.hstack([blocks[name].astype(np.float16) for name in BLOCKS])

    with one_torch_thread():
        list(thread_pool().map(embed_day, np.unique(day)))  # raises what a day raised
    return vectors


def examples_at_moments(
    past: PointInTime, seed: Seed, examples: Examples, background: Rows | None = None
) -> tuple[Examples, int]:
    """The examples with everybody as they were, and how many seeds had no event before their moment.

    `background` are the rows to take the background from, by default a sample of all eligible users. Raises
    ExpansionError when hardly any seed is left.
    """
    assert seed.moment is not None
    settings, users = past.context.settings, past.context.representation.users
    sampled = draw_sample(seed.rows, settings.background, settings.random_seed)
    if background is None:
        background = draw_background(users, seed.suppressed, settings.background, settings.random_seed)
    others = np.setdiff1d(background, seed.rows)
    negatives = draw_sample(seed.negatives, settings.background, settings.random_seed)
    rows = np.concatenate([sampled, others, negatives])
    ids = past.context.index.ids(rows)
    then = past.vectors(ids, _example_moments(past, seed, sampled, ids), len(sampled))
    ends = np.cumsum([len(sampled), len(others)])
    seed_vectors, other_vectors, negative_vectors = np.split(then.vectors, ends)
    had_seed, had_other, had_negative = np.split(then.had_events, ends)
    if had_seed.sum() < MIN_MEASURABLE_SEEDS or had_other.sum() < MIN_OTHERS:
        raise ExpansionError(
            f"only {int(had_seed.sum())} seeds and {int(had_other.sum()):,} other users had any event before their moment",
            f"at least {MIN_MEASURABLE_SEEDS} seeds and {MIN_OTHERS} others are needed: give later moments, or none",
        )
    kept = sampled[had_seed]
    at_moments = replace(
        examples,
        seed=seed_vectors[had_seed],
        weight=seed_weights(seed, kept),
        negatives=negative_vectors[had_negative],
        background=other_vectors[had_other],
        background_rows=others[had_other],
        seed_index=np.full(int(had_other.sum()), -1),
        sub_audience=None,
        rows=kept,
    )
    return at_moments, int((~had_seed).sum())


def _example_moments(past: PointInTime, seed: Seed, sampled: Rows, ids: pl.Series) -> Seconds:
    """The moment of each user, the sampled seeds first: their own; of others one drawn from the seeds', or that of their
    own first event of the type."""
    assert seed.moment is not None
    own = seed.moment[np.searchsorted(seed.rows, sampled)]
    rng = generator(past.context.settings.random_seed, Stream.BACKGROUND_MOMENTS)
    moments = np.concatenate([own, rng.choice(own, len(ids) - len(sampled))])
    if seed.moment_event is None:
        return moments
    first = database.first_event_times(past.context.database, seed.moment_event)
    event = ids.to_frame("user_id").join(first, on="user_id", how="left", maintain_order="left")["moment"]
    is_other = pl.Series(np.arange(len(ids)) >= len(sampled))
    moves = (is_other & event.is_not_null() & (event < to_seconds(past.cut.as_of))).to_numpy()
    return np.where(moves, event.fill_null(0).to_numpy(), moments)

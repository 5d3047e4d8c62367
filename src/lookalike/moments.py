"""People as they were at a moment of their own: before somebody became a customer, not after.

A seed of buyers embedded today is told apart by its purchases and all that followed. Embedded from the events strictly
before each purchase it shows what buyers are like beforehand, which is what the candidates are. The background is
embedded at moments drawn from the seed's, so that no season and no recency sets the two apart.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lookalike import embedder, embeddings, expansion, sequences, store
from lookalike.diagnosis import MIN_SEED
from lookalike.embeddings import BLOCKS, Representation
from lookalike.errors import ExpansionError, SettingsError
from lookalike.evaluation import Examples
from lookalike.expansion import People, Rows
from lookalike.runs import Run
from lookalike.sequences import SECONDS_PER_DAY
from lookalike.settings import ExpandSettings
from lookalike.store import Cut, Store

Seconds = NDArray[np.int64]


def of_event(opened: Store, users: pl.DataFrame, event_type: str) -> pl.DataFrame:
    """`user_id` and `moment` (seconds since 1970) of each user's first event of a type. Raises SettingsError for none."""
    types = store.event_types(opened)
    if event_type not in types:
        raise SettingsError(f"no event type is called {event_type[:60]!r}", f"--before {'|'.join(types[:8])}")
    return users.join(store.first_of_type(opened, event_type), on="user_id", how="inner")


def examples(
    opened: Store,
    run: Run,
    place: tuple[Representation, Path, Cut],
    people: People,
    known: Examples,
    settings: ExpandSettings,
) -> tuple[Examples, int]:
    """What `expansion.examples` gave, with everybody as they were; and how many seeds had done nothing before.

    Raises ExpansionError when hardly any seed is left.

    `place` is the stored version, a folder for scratch, and the cut the version was made at.
    """
    representation, scratch, cut = place
    assert people.moment is not None
    taught = expansion.draw(people.seed, settings.background, settings.random_seed)
    moment = people.moment[np.searchsorted(people.seed, taught)]
    drawn = expansion.draw_background(
        representation.users, people.suppressed, settings.background, settings.random_seed
    )
    others = np.setdiff1d(drawn, people.seed)
    rng = np.random.default_rng([settings.random_seed, 23])
    rows, moments = np.concatenate([taught, others]), np.concatenate([moment, rng.choice(moment, len(others))])
    vectors, had = _vectors(opened, run, (representation, scratch, cut), rows, moments)
    seeds, crowd = had[: len(taught)], had[len(taught) :]
    if seeds.sum() < MIN_SEED:
        raise ExpansionError(
            f"only {int(seeds.sum())} seeds had done anything before their moment", "a later moment, or leave it out"
        )
    value = people.value if people.value is not None else np.ones(len(people.seed))
    then = replace(
        known,
        seed=vectors[: len(taught)][seeds],
        weight=expansion.weights(value[np.searchsorted(people.seed, taught)][seeds]),
        background=vectors[len(taught) :][crowd],
        seed_of=np.full(int(crowd.sum()), -1),
    )
    return then, int((~seeds).sum())


def _vectors(
    opened: Store, run: Run, place: tuple[Representation, Path, Cut], rows: Rows, moments: Seconds
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The blocks of some users as they were, [n, W], and who had done anything by then."""
    representation, scratch, cut = place
    asked = pl.DataFrame(
        {"user_id": embeddings.user_ids(representation, rows), "moment": moments, "at": np.arange(len(rows))}
    )
    arrays, vocabulary = sequences.build(opened, cut, scratch, run.vocabulary, asked)
    made = embedder.of_run(run, vocabulary, torch.device("cpu"))
    found = pl.read_parquet(scratch / "users.parquet").join(asked, on="user_id", how="inner").sort("row")
    then = arrays.before_each(found["moment"].to_numpy())
    # in the precision that is stored, so that a moment past all events changes nothing
    vectors = np.zeros((len(rows), sum(made.widths.values())), np.float32)
    at, day = found["at"].to_numpy(), found["moment"].to_numpy() // SECONDS_PER_DAY
    for one in np.unique(day):  # one turn a day of the log, not a user
        group = np.flatnonzero(day == one)
        end = min(arrays.as_of, int(found["moment"].to_numpy()[group].max()))
        part = replace(then.take(group), as_of=end)
        blocks = made.blocks(part)
        vectors[at[group]] = np.hstack([blocks[name].astype(np.float16) for name in BLOCKS])
    had = np.zeros(len(rows), bool)
    had[at] = np.diff(then.offsets) > 0
    return vectors, had

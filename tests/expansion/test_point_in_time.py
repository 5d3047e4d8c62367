"""Users as they were: events from their moment on are not read, and others are embedded just before an event too."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expansion_context import opened_context
from lookalike.data.arrays import Flags, Rows, Seconds
from lookalike.data.sequences import SECONDS_PER_DAY
from lookalike.embeddings.representation import Representation, live_version
from lookalike.errors import ExpansionError
from lookalike.expansion import point_in_time
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.point_in_time import PastVectors, PointInTime, examples_at_moments
from lookalike.expansion.sampling import draw_background
from lookalike.expansion.seed import Seed, to_seconds
from lookalike.workspace.paths import WorkspaceFolder
from small_log import FANS, events, user_ids
from synthetic_sequences import sequences_of

pytest_plugins = ("space_fixtures",)

BEFORE_THE_LOG = to_seconds(datetime(2023, 1, 1))
HALF_WAY = to_seconds(datetime(2024, 2, 20))
NOBODY = np.zeros(0, np.int64)


def past_vectors(space: Path, rows: Rows, moments: Seconds, seeds: int | None = None) -> PastVectors:
    """The vectors of users at their moments; all of them are seeds unless told otherwise."""
    with opened_context(space) as context:
        count = len(rows) if seeds is None else seeds
        return PointInTime.of(context).vectors(context.index.ids(rows), moments, count)


def live(space: Path) -> Representation:
    return live_version(WorkspaceFolder(space))


def event_times(user: str) -> list[int]:
    return [to_seconds(ts) for ts in events().filter(pl.col("user_id") == user).sort("ts")["ts"]]


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_after_all_events_a_vector_equals_the_stored_one(trained_space: Path) -> None:
    representation = live(trained_space)
    rows = np.array([7, 3, 200, 150])
    past = past_vectors(trained_space, rows, np.full(4, to_seconds(representation.manifest.as_of) + SECONDS_PER_DAY))
    assert past.had_events.all()
    stored = np.stack([representation.gather(np.array([row]))[0] for row in rows])
    assert np.allclose(past.vectors, stored, atol=2e-3)


def test_events_at_the_moment_and_after_it_are_not_read(trained_space: Path) -> None:
    row, layout = np.array([5]), live(trained_space).layout
    with opened_context(trained_space) as context:
        times = event_times(context.index.ids(row)[0])
    for moment, count in ((times[2], 2), (times[2] + 1, 3)):
        past = past_vectors(trained_space, row, np.array([moment]))
        assert np.expm1(past.vectors[0, layout.column("log_events")]) == pytest.approx(count, abs=0.01)


def test_before_the_log_nobody_has_events(trained_space: Path) -> None:
    past = past_vectors(trained_space, np.arange(4), np.full(4, BEFORE_THE_LOG))
    assert not past.had_events.any()


def test_a_user_at_two_moments_has_the_vectors_of_both(trained_space: Path) -> None:
    rows = np.array([9, 5, 9, 12])
    moments = HALF_WAY + SECONDS_PER_DAY * np.array([0, 3, 20, 7])
    past = past_vectors(trained_space, rows, moments)
    for position in range(4):
        alone = past_vectors(trained_space, rows[[position]], moments[[position]])
        assert np.array_equal(past.vectors[position], alone.vectors[0])
        assert past.had_events[position] == alone.had_events[0]
    assert not np.array_equal(past.vectors[0], past.vectors[2])


def test_until_a_moment_no_later_event_is_read(trained_space: Path) -> None:
    rows, end = np.array([5, 80]), to_seconds(datetime(2024, 6, 1))
    with opened_context(trained_space) as context:
        ids = context.index.ids(rows)
        limited = PointInTime.of(context).until(datetime.fromtimestamp(HALF_WAY, UTC).replace(tzinfo=None))
        late = limited.vectors(ids, np.full(2, end))
        early = PointInTime.of(context).vectors(ids, np.full(2, HALF_WAY))
    assert limited.cut.as_of == datetime(2024, 2, 20)
    column = live(trained_space).layout.column("log_events")
    assert np.array_equal(late.vectors[:, column], early.vectors[:, column])


# --- moments that are events -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "nearest"), [(0, 100), (100, 100), (140, 100), (150, 200), (160, 200), (320, 300), (900, 300)]
)
def test_the_nearest_event_is_the_later_one_of_two_as_near(moment: int, nearest: int) -> None:
    sequences = sequences_of([[100, 200, 300], [50], [100, 200, 300]])
    events_of_users = point_in_time._nearest_events(sequences, np.array([moment, moment, moment]))
    assert events_of_users.tolist() == [nearest, 50, nearest]


@pytest.mark.parametrize(("seed_moments", "moved"), [([100, 210], False), ([100, 300], True)])
def test_others_move_to_an_event_if_most_moments_of_seeds_are_events(seed_moments: list[int], moved: bool) -> None:
    sequences = sequences_of([[100, 200], [300], [40, 90]])
    moments = np.array([*seed_moments, 60])
    is_seed = np.array([True, True, False])
    result = point_in_time._at_events(sequences, moments, is_seed)
    assert result.tolist() == [*seed_moments, 40 if moved else 60]


# --- examples --------------------------------------------------------------------------------------------------------


def seed_at(context: ExpansionContext, moment: int, negatives: Rows = NOBODY) -> Seed:
    """40 fans, all at one moment."""
    fans = pl.DataFrame({"user_id": user_ids()[:40]})
    rows = context.index.match({"seed": fans})["seed"].rows
    return Seed(rows, NOBODY, moment=np.full(len(rows), moment), negatives=np.setdiff1d(negatives, rows))


def examples_at(context: ExpansionContext, seed: Seed, background: Rows | None = None) -> tuple[Examples, int]:
    return examples_at_moments(PointInTime.of(context), seed, build_examples(context, seed), background)


def test_examples_are_the_vectors_of_the_moment(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        seed = seed_at(context, HALF_WAY)
        examples, without_history = examples_at(context, seed)
        column = context.representation.layout.column("log_events")
        then = PointInTime.of(context).vectors(
            context.index.ids(examples.rows), np.full(examples.seeds, HALF_WAY), examples.seeds
        )
    assert (examples.seeds + without_history, len(examples.weight)) == (40, examples.seeds)
    assert np.array_equal(examples.rows, seed.rows[np.isin(seed.rows, examples.rows)])
    assert np.allclose(examples.seed, then.vectors, atol=2e-3)
    assert (examples.seed_index == -1).all(), "no seed is in the background"
    half, now = np.median(examples.background[:, column]), live(trained_space).gather(np.arange(300))[:, column]
    assert half < np.median(now)


def test_the_background_may_be_given(trained_space: Path) -> None:
    background = np.arange(0, 300, 2)
    with opened_context(trained_space) as context:
        seed = seed_at(context, HALF_WAY)
        examples, _ = examples_at(context, seed, background)
    assert len(examples.background) <= len(np.setdiff1d(background, seed.rows))


def test_a_user_may_be_in_the_background_and_a_negative_example(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        plain, _ = examples_at(context, seed_at(context, HALF_WAY))
        with_negatives = seed_at(context, HALF_WAY, negatives=np.arange(100, 140))
        background = draw_background(300, NOBODY, context.settings.background, 0)
        assert np.isin(with_negatives.negatives, background).all(), "each of them is in both"
        examples, _ = examples_at(context, with_negatives)
    assert 0 < len(examples.negatives) <= len(with_negatives.negatives)
    assert np.array_equal(examples.rows, plain.rows)
    assert len(examples.background) > 200


def test_too_few_seeds_or_others_with_events_are_an_error(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        seed = seed_at(context, BEFORE_THE_LOG)
        with pytest.raises(ExpansionError, match=r"only 0 seeds and 0 other users had any event") as refused:
            examples_at(context, seed)
        assert "at least 5 seeds and 100 others" in refused.value.hint
        few = np.setdiff1d(np.arange(60), seed.rows)
        with pytest.raises(ExpansionError, match=f"only 40 seeds and {len(few)} other users"):
            examples_at(context, seed_at(context, to_seconds(datetime(2024, 4, 1))), few)


def test_others_are_read_up_to_their_own_first_event_of_the_type(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        first = dict(
            events().filter(pl.col("event_type") == "purchase").group_by("user_id").agg(pl.col("ts").min()).iter_rows()
        )
        ids = context.index.ids(np.arange(context.representation.users))
        fans = {*user_ids()[:FANS]}
        is_seed = np.array([user in fans and user in first for user in ids])
        own: Seconds = np.array([to_seconds(first[user]) for user in ids.filter(pl.Series(is_seed))])
        seed = Seed(np.flatnonzero(is_seed), NOBODY, moment=own, moment_event="purchase")
        others = np.flatnonzero(~is_seed)
        asked = context.index.ids(np.concatenate([seed.rows, others]))
        moments = point_in_time._example_moments(PointInTime.of(context), seed, seed.rows, asked)
    assert np.array_equal(moments[: len(own)], own)
    buyer: Flags = np.array([user in first for user in ids[others.tolist()]])
    of_others = moments[len(own) :]
    assert of_others[buyer].tolist() == [to_seconds(first[ids[int(row)]]) for row in others[buyer]]
    assert set(of_others[~buyer].tolist()) <= set(own.tolist())

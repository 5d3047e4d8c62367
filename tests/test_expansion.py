"""From a seed to a list: the exact order over blocks, shards and threads, and who may be drawn for what."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lookalike.data.arrays import Floats
from lookalike.embeddings import writer
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation, live_version
from lookalike.errors import ExpansionError, SettingsError, StateError
from lookalike.expansion import examples, result, selection
from lookalike.expansion.audience import Audience, Size, parse_size
from lookalike.expansion.ranking import block_pass, half_sums
from lookalike.expansion.scorers import NAMES
from lookalike.expansion.scorers.logistic import Linear
from lookalike.expansion.seed import SeedPeople
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import ExpandSettings
from stored_vectors import spoil, values_of, write

NOBODY = np.zeros(0, np.int64)
USERS = 1_000


def reference(
    representation: Representation, weights: Floats, ties: NDArray[np.uint64], size: int, left_out: NDArray[np.int64]
) -> list[int]:
    """Everybody scored with exact sums of the stored figures, then one plain sort."""
    stored = np.concatenate([np.hstack(blocks) for _, blocks, _ in representation.stream(10**9)]).astype(np.float64)
    out = set(left_out.tolist())
    scores = {row: float(np.sum(stored[row] * weights)) for row in range(len(stored)) if row not in out}
    return sorted(scores, key=lambda row: (-scores[row], int(ties[row]), row))[:size]


def stored(folder: Path, seed: int, spread: int, ties: int) -> tuple[Representation, NDArray[np.uint64]]:
    """Small whole numbers, so that sums are exact and, with a small spread, mostly equal."""
    rng = np.random.default_rng(seed)
    values = {
        block: rng.integers(-spread, spread + 1, (USERS, width)).astype(np.float32)
        for block, width in (("sequence", 3), ("content", 2), ("aggregates", 4))
    }
    tied = rng.integers(0, ties, USERS, dtype=np.uint64)
    space = WorkspaceFolder(folder)
    write(space, values, tied)
    return live_version(space), tied


WEIGHTS = np.array([3.0, -2, 1, 5, 0, 1, -1, 2, -4])


@pytest.mark.parametrize(("spread", "ties"), [(1, 2**63), (1, 3), (0, 5), (500, 2**63)])
@pytest.mark.parametrize("tile", [1, 37, 256, 4_096])
def test_the_list_is_that_of_one_plain_sort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: int, ties: int, tile: int
) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 300)
    monkeypatch.setattr(block_pass, "USERS_PER_STEP", tile)
    monkeypatch.setattr(half_sums, "USERS_PER_STEP", max(1, tile // 3))
    live, tied = stored(tmp_path, tile, spread, ties)
    left_out = np.sort(np.random.default_rng(1).permutation(USERS)[:150])
    for size in (1, 10, 400, USERS - 150):
        for threads in (1, 5):
            monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
            found = selection.rank(live, Linear(WEIGHTS), size, left_out, lambda done: None)
            assert found.rows.tolist() == reference(live, WEIGHTS, tied, size, left_out)


def test_everybody_can_be_ranked(tmp_path: Path) -> None:
    live, tied = stored(tmp_path, 3, 1, 2**63)
    found = selection.rank(live, Linear(WEIGHTS), USERS, NOBODY, lambda done: None)
    assert found.rows.tolist() == reference(live, WEIGHTS, tied, USERS, NOBODY)
    assert sorted(found.rows.tolist()) == list(range(USERS))


def test_users_who_are_the_same_stand_in_the_order_of_their_hashes_wherever_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of fractions round by how they are grouped; equal users must come out equal to the last bit."""
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 700)
    rng = np.random.default_rng(0)
    kinds = values_of(1, users=7)
    kind = rng.integers(0, 7, USERS)
    tied = rng.integers(0, 2**64, USERS, dtype=np.uint64)
    space = WorkspaceFolder(tmp_path)
    write(space, {block: values[kind] for block, values in kinds.items()}, tied)
    live = live_version(space)
    weights = rng.normal(0, 1, live.layout.width)
    with threadpool_limits(1, "blas"):
        lists = []
        for tile in (64, 512, 4_096):
            monkeypatch.setattr(block_pass, "USERS_PER_STEP", tile)
            lists.append(selection.rank(live, Linear(weights), USERS, NOBODY, lambda done: None).rows)
    order = np.lexsort((tied, -(np.hstack([kinds[b] for b in BLOCKS]).astype(np.float16) @ weights)[kind]))
    for found in lists:
        assert np.array_equal(found, order)


def test_a_shorter_list_is_the_head_of_a_longer_one(tmp_path: Path) -> None:
    live, _ = stored(tmp_path, 4, 1, 2**63)
    long = selection.rank(live, Linear(WEIGHTS), 900, NOBODY, lambda done: None).rows
    for size in (1, 5, 899):
        assert np.array_equal(selection.rank(live, Linear(WEIGHTS), size, NOBODY, lambda done: None).rows, long[:size])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 511, 999])
def test_a_figure_that_is_no_number_anywhere_is_a_state_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float, row: int
) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 300)
    space = WorkspaceFolder(tmp_path)
    write(space, values_of(0, users=USERS))
    live = live_version(space)
    spoil(live, row, live.layout.spans["content"][0], bad)
    with pytest.raises(StateError, match="NaN or infinite"):
        selection.rank(live, Linear(WEIGHTS), 5, NOBODY, lambda done: None)


def test_the_list_ends_all_the_same_when_the_progress_breaks(tmp_path: Path) -> None:
    live, _ = stored(tmp_path, 4, 1, 9)

    def interrupted(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        selection.rank(live, Linear(WEIGHTS), 5, NOBODY, interrupted)


# --- who is drawn ----------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 5), st.data())
def test_a_background_is_of_distinct_eligible_users_and_as_many_as_there_are(
    users: int, most: int, seed: int, data: st.DataObject
) -> None:
    suppressed = np.array(sorted(data.draw(st.sets(st.integers(0, users - 1), max_size=users - 1))), np.int64)
    drawn = examples.draw_background(users, suppressed, most, seed)
    assert (np.diff(drawn) > 0).all()
    assert not set(drawn.tolist()) & set(suppressed.tolist())
    assert set(drawn.tolist()) <= set(range(users))
    assert len(drawn) == min(most, users - len(suppressed))
    assert np.array_equal(drawn, examples.draw_background(users, suppressed, most, seed))


@pytest.mark.parametrize("users", [190, 210, 5_000])
def test_every_eligible_user_is_as_likely_in_the_background(users: int) -> None:
    """Above and below the size at which everybody is written down."""
    suppressed = np.arange(0, users, 7)
    counts = np.zeros(users)
    for seed in range(400):
        counts[examples.draw_background(users, suppressed, 100, seed)] += 1
    eligible = np.setdiff1d(np.arange(users), suppressed)
    expected = 400 * 100 / len(eligible)
    quarters = [part.mean() for part in np.array_split(counts[eligible], 4)]
    assert quarters == pytest.approx([expected] * 4, rel=0.06)
    assert counts[suppressed].sum() == 0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Representation:
    return stored(tmp_path_factory.mktemp("live"), 9, 50, 2**63)[0]


def test_examples_name_the_seeds_in_the_background_and_leave_out_the_suppressed(live: Representation) -> None:
    seed, suppressed = np.arange(0, 200, 2), np.arange(150, 420, 3)
    known = examples.build_examples(live, SeedPeople(seed, suppressed), ExpandSettings(background=500))
    assert known.candidates == USERS - len(np.union1d(seed, suppressed))
    assert np.array_equal(known.seed, live.gather(seed))
    there = known.seed_of >= 0
    assert np.array_equal(known.background[there], known.seed[known.seed_of[there]])
    eligible = {tuple(row) for row in live.gather(np.setdiff1d(np.arange(USERS), suppressed)).tolist()}
    assert {tuple(row) for row in known.background.tolist()} <= eligible
    seeds = {tuple(row) for row in known.seed.tolist()}
    assert not {tuple(row) for row in known.background[~there].tolist()} & seeds


def test_a_seed_larger_than_the_background_is_sampled_and_nobody_of_it_is_a_stranger(live: Representation) -> None:
    seed = np.arange(0, 600)
    known = examples.build_examples(live, SeedPeople(seed, NOBODY), ExpandSettings(background=100))
    assert known.seeds == 100
    assert known.candidates == USERS - 600
    everyone = live.gather(np.arange(USERS))
    row_of = {tuple(row): at for at, row in enumerate(everyone.tolist())}
    strangers = [row_of[tuple(row)] for row in known.background[known.seed_of < 0].tolist()]
    assert min(strangers) >= 600
    assert {row_of[tuple(row)] for row in known.seed.tolist()} <= set(seed.tolist())


def test_the_sample_a_list_is_described_by_is_of_the_list() -> None:
    rows = np.array([9, 3, 77, 5])
    assert examples.draw_sample(rows, 10, 0).tolist() == [3, 5, 9, 77]
    assert set(examples.draw_sample(rows, 2, 0).tolist()) < set(rows.tolist())


# --- sizes, tiers, scorers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "candidates", "size"),
    [("7", 7, 7), ("5%", 1_000, 50), ("0.01%", 50, 1), ("auto", 9, None), ("100%", 9, 9)],
)
def test_a_size_is_a_count_among_the_candidates(asked: str, candidates: int, size: int | None) -> None:
    assert selection.resolve_size(parse_size(asked), candidates) == size


def test_more_than_there_are_is_refused_and_the_most_is_named() -> None:
    with pytest.raises(ExpansionError, match="only 7 candidates"):
        selection.resolve_size(Size(count=8), 7)


@given(st.integers(1, 500), st.integers(1, 20))
def test_tiers_part_the_ranks_evenly_from_the_first(count: int, tiers: int) -> None:
    found = selection.tiers(count, tiers)
    assert (np.diff(found) >= 0).all()
    sizes = np.bincount(found)[1:]
    assert len(sizes) == min(tiers, count)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.sum() == count


def test_no_list_has_no_tier() -> None:
    assert len(selection.tiers(0, 5)) == 0


def test_the_centroid_is_measured_beside_whatever_is_asked_for(live: Representation) -> None:
    known = examples.build_examples(live, SeedPeople(np.arange(60), NOBODY), ExpandSettings(background=300))
    assert selection.scorers_for("auto", known) == tuple(
        n for n in NAMES if n not in ("transfer", "boosted", "logodds")
    )
    for name in known.space.names:
        assert set(selection.scorers_for(name, known)) == {"centroid", name}
    with pytest.raises(SettingsError, match="no scorer"):
        selection.scorers_for("oracle", known)
    with pytest.raises(SettingsError, match="transfer needs what a training learns"):
        selection.scorers_for("transfer", known)


@pytest.mark.parametrize("asked", [40, None])
def test_a_decision_follows_its_settings_alone(live: Representation, asked: int | None) -> None:
    settings = ExpandSettings(repeats=1, folds=3, background=300)
    seed = np.arange(0, 120, 2)
    made = [
        selection.select_scorer_and_size(
            examples.build_examples(live, SeedPeople(seed, NOBODY), settings),
            "auto",
            asked,
            settings,
            lambda done: None,
        )
        for _ in range(2)
    ]
    assert made[0].scorer == made[1].scorer
    assert made[0].size == made[1].size == (asked or made[0].size)
    assert made[0].share == pytest.approx(made[0].size / (USERS - 60), rel=0.01)
    assert made[0].verdict == made[1].verdict


def test_no_lift_is_above_the_highest_that_is_said_to_be_possible(tmp_path: Path) -> None:
    """A seed anybody could tell apart, and more of it than the list is long."""
    values = values_of(0, users=USERS)
    seed = np.arange(300)
    values["aggregates"][:, 1] = np.isin(np.arange(USERS), seed) * 8.0
    values["sequence"][:, 0] = np.isin(np.arange(USERS), seed) * 8.0
    space = WorkspaceFolder(tmp_path)
    write(space, values)
    live = live_version(space)
    settings = ExpandSettings(repeats=2, background=1_000)
    known = examples.build_examples(live, SeedPeople(seed, NOBODY), settings)
    for size in (35, 70, 350):
        choice = selection.select_scorer_and_size(known, "logistic", size, settings, lambda done: None)
        audience = Audience("a", Path("seed.csv"), Size(count=size))
        held = result.evaluation_record(audience, settings, live, known, choice)["held_out"]
        assert held["lift"] <= held["max_lift"] + 1e-9
        assert held["lift"] > 0.8 * held["max_lift"]


def test_the_record_of_a_list_tells_of_every_tier() -> None:
    frame = pl.DataFrame(
        {"rank": [1, 2, 3, 4, 5], "user_id": list("abcde"), "score": [5.0, 4, 3, 2, 1], "tier": selection.tiers(5, 2)}
    )
    found = result.list_record(frame)
    assert found["prospects"] == 5
    assert [(t["from_rank"], t["to_rank"], t["users"]) for t in found["tiers"]] == [(1, 3, 3), (4, 5, 2)]
    assert [(t["highest_score"], t["lowest_score"]) for t in found["tiers"]] == [(5, 3), (2, 1)]

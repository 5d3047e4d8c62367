"""Who an audience is made of: lists are read, matched with the known users, and given values and moments."""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from expansion_context import opened_context
from lookalike.data.id_lists import IdFrame, write_prospects
from lookalike.errors import DataError, ExpansionError, SettingsError, StateError
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.messages import FewNegatives, LowMatchRate, NearMatches, NewerFiles, WithoutVectors
from lookalike.expansion.seed import Seed, SeedInput, to_seconds
from lookalike.expansion.seed_reader import read_seed
from lookalike.workspace.paths import WorkspaceFolder
from recording_progress import RecordingProgress
from small_log import FANS, USERS, Inputs, events, id_file, user_ids

pytest_plugins = ("space_fixtures",)

FANS_IDS = user_ids()[:40]
NOBODY = np.zeros(0, np.int64)


def frame(ids: list[str], name: str = "the seed", **columns: list[object]) -> IdFrame:
    return IdFrame(pl.DataFrame({"user_id": ids, **columns}), name)


def read(space: Path, audience: Audience, force: bool = False) -> SeedInput:
    with opened_context(space) as context:
        return read_seed(context, audience, force)


def audience_of(seed: IdFrame | Path, **fields: object) -> Audience:
    return Audience("a", seed, Size(count=20), **fields)


def rows_of(space: Path, ids: list[str]) -> list[int]:
    with opened_context(space) as context:
        return context.index.match({"ids": pl.DataFrame({"user_id": ids})})["ids"].rows.tolist()


# --- matching --------------------------------------------------------------------------------------------------------


def test_a_seed_is_matched_with_the_known_users(trained_space: Path) -> None:
    ids = [*FANS_IDS, *FANS_IDS[:3], "nobody", f" {user_ids()[50].upper()} "]
    seed_input = read(trained_space, audience_of(frame(ids)))
    assert seed_input.seed.rows.tolist() == rows_of(trained_space, FANS_IDS)
    match = seed_input.match
    assert (match.given, match.distinct, match.duplicates) == (45, 42, 3)
    assert (match.matched, match.unmatched, match.near_matches, match.without_vector) == (40, 2, 1, 0)
    assert match.match_rate == pytest.approx(40 / 42)
    assert seed_input.warnings == (NearMatches(ids=1, ways={"capitals": 1}),)
    assert (seed_input.seed.value, seed_input.seed.moment, seed_input.part) == (None, None, None)


def test_warnings_are_reported_too(trained_space: Path) -> None:
    progress = RecordingProgress()
    with opened_context(trained_space, progress=progress) as context:
        audience = audience_of(frame([*FANS_IDS, *(f"x{n}" for n in range(20))]), negative=(frame(["x1"]),))
        seed_input = read_seed(context, audience)
    assert seed_input.warnings == (LowMatchRate(unmatched=20, distinct=60, matched=40), FewNegatives(matched=0))
    assert tuple(progress.messages) == seed_input.warnings


def test_ids_of_the_log_that_have_no_vector_yet_are_counted(trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    with duckdb.connect(str(WorkspaceFolder(tmp_path / "space").database)) as connection:
        for n in range(3):
            connection.execute(
                "INSERT INTO events (user_id, ts, event_type, file_id) VALUES (?, '2024-05-01', 'view', 1)", [f"new{n}"]
            )
    seed_input = read(tmp_path / "space", audience_of(frame([*FANS_IDS, "new0", "new1", "nobody"])))
    assert (seed_input.match.unmatched, seed_input.match.without_vector) == (3, 2)
    assert seed_input.warnings == (WithoutVectors(ids=2),)


def test_files_that_the_vectors_have_not_read_are_warned_of(trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    with duckdb.connect(str(WorkspaceFolder(tmp_path / "space").database)) as connection:
        connection.execute(
            "INSERT INTO files SELECT file_id + 100, name, sha256, kind, rows, added, rejected, duplicates, first_ts, "
            "last_ts, mapping, ingested_at FROM files"
        )
    seed_input = read(tmp_path / "space", audience_of(frame(FANS_IDS)))
    assert seed_input.warnings == (NewerFiles(files=2),)


def test_a_seed_that_is_too_small_is_refused(trained_space: Path) -> None:
    few = audience_of(frame(FANS_IDS[:10]))
    with pytest.raises(ExpansionError, match="the seed: 10 of 10 ids match"):
        read(trained_space, few)
    assert len(read(trained_space, few, force=True).seed.rows) == 10
    with pytest.raises(ExpansionError, match="every user is a seed"):
        read(trained_space, audience_of(frame(user_ids())))


# --- the other lists -------------------------------------------------------------------------------------------------


def test_suppressed_seeds_are_counted_and_all_of_them_are_excluded(trained_space: Path) -> None:
    suppressed = user_ids()[35:50]
    lists = (frame(suppressed[:10]), frame(suppressed[5:]))
    seed_input = read(trained_space, audience_of(frame(FANS_IDS), suppress=lists))
    assert (seed_input.suppression.given, seed_input.suppression.matched) == (15, 15)
    assert seed_input.match.suppressed == 5
    assert seed_input.seed.suppressed.tolist() == rows_of(trained_space, suppressed)
    assert seed_input.seed.excluded.tolist() == rows_of(trained_space, [*{*FANS_IDS, *suppressed}])


def test_a_suppression_list_that_matches_nobody_is_refused(trained_space: Path) -> None:
    strangers = frame([f"x{n}" for n in range(10)], "the suppression list")
    with pytest.raises(DataError, match="the suppression list: 10 of 10 ids to suppress are nobody's in the log"):
        read(trained_space, audience_of(frame(FANS_IDS), suppress=(strangers,)))


def test_negative_examples_who_are_seeds_are_seeds(trained_space: Path) -> None:
    negatives = frame([*FANS_IDS[:5], *user_ids()[100:110], "nobody"])
    seed_input = read(trained_space, audience_of(frame(FANS_IDS), negative=(negatives,)))
    assert seed_input.seed.negatives.tolist() == rows_of(trained_space, user_ids()[100:110])
    assert seed_input.warnings == ()


def test_users_of_another_list_are_excluded(trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    listed = user_ids()[50:60]
    folder = tmp_path / "space" / "audiences" / "first"
    folder.mkdir(parents=True)
    write_prospects(pl.DataFrame({"user_id": listed}), folder / "prospects.csv")
    seed = read(tmp_path / "space", audience_of(frame(FANS_IDS), disjoint_from=("first",))).seed
    assert seed.listed_elsewhere.tolist() == rows_of(trained_space, listed)
    assert seed.excluded.tolist() == rows_of(trained_space, [*FANS_IDS, *listed])
    with pytest.raises(StateError, match="there is no list"):
        read(tmp_path / "space", audience_of(frame(FANS_IDS), disjoint_from=("gone",)))


def test_the_lists_that_were_read_are_recorded_with_their_hashes(
    trained_space: Path, inputs: Inputs, tmp_path: Path
) -> None:
    negative = id_file(tmp_path / "negative.csv", user_ids()[100:110])
    audience = audience_of(inputs.seed, suppress=(inputs.suppressed,), negative=(negative,))
    recorded = [(file.name, file.sha256) for file in read(trained_space, audience).inputs]
    files = (inputs.seed, inputs.suppressed, negative)
    assert recorded == [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


def test_columns_to_drop_are_checked(trained_space: Path) -> None:
    seed = read(trained_space, audience_of(frame(FANS_IDS), drop_features=("log_events",))).seed
    assert seed.dropped_columns == ("log_events",)
    with pytest.raises(SettingsError, match="no feature is called 'log_event'"):
        read(trained_space, audience_of(frame(FANS_IDS), drop_features=("log_event",)))


# --- values and moments ----------------------------------------------------------------------------------------------


def test_values_of_a_repeated_id_are_added_up(trained_space: Path) -> None:
    valued = frame([*FANS_IDS, FANS_IDS[0]], value=[float(n + 1) for n in range(41)])
    seed = read(trained_space, audience_of(valued)).seed
    expected = {user: n + 1.0 for n, user in enumerate(FANS_IDS)} | {FANS_IDS[0]: 42.0}
    assert seed.value is not None
    with opened_context(trained_space) as context:
        assert dict(zip(context.index.ids(seed.rows), seed.value, strict=True)) == expected


def moments_by_id(space: Path, audience: Audience) -> dict[str, int]:
    seed = read(space, audience).seed
    assert seed.moment is not None
    with opened_context(space) as context:
        return dict(zip(context.index.ids(seed.rows), seed.moment.tolist(), strict=True))


def cut_of(space: Path) -> int:
    with opened_context(space) as context:
        return to_seconds(context.cut.as_of) + 1


def test_of_a_repeated_id_the_earliest_moment_counts_and_none_is_after_the_cut(trained_space: Path) -> None:
    times = ["2024-03-01T12:00:00"] * 39 + ["2031-01-01", "2024-02-01"]
    moments = moments_by_id(trained_space, audience_of(frame([*FANS_IDS, FANS_IDS[0]], ts=times)))
    assert moments[FANS_IDS[0]] == to_seconds(datetime(2024, 2, 1))
    assert moments[FANS_IDS[1]] == to_seconds(datetime(2024, 3, 1, 12))
    assert moments[FANS_IDS[39]] == cut_of(trained_space)


def test_before_an_event_type_each_moment_is_the_first_event_of_it_or_the_cut(trained_space: Path) -> None:
    audience = audience_of(frame(user_ids()[:FANS]), before="purchase")
    moments = moments_by_id(trained_space, audience)
    purchases = events().filter(pl.col("event_type") == "purchase").group_by("user_id").agg(pl.col("ts").min())
    first = {user: to_seconds(ts.replace(microsecond=0)) for user, ts in purchases.iter_rows()}
    assert moments == {user: first.get(user, cut_of(trained_space)) for user in user_ids()[:FANS]}
    assert read(trained_space, audience).seed.moment_event == "purchase"
    with pytest.raises(SettingsError, match="no event type is called 'buy'") as refused:
        read(trained_space, audience_of(frame(FANS_IDS), before="buy"))
    assert refused.value.hint == "--before purchase|view"
    with pytest.raises(SettingsError, match="no event type is called 'purchse'") as refused:
        read(trained_space, audience_of(frame(FANS_IDS), before="purchse"))
    assert refused.value.hint == "did you mean purchase? --before purchase|view"


def test_seconds_are_those_of_utc() -> None:
    assert to_seconds(datetime(1970, 1, 2)) == 86_400
    assert datetime.fromtimestamp(to_seconds(datetime(2024, 7, 1, 12)), UTC) == datetime(2024, 7, 1, 12, tzinfo=UTC)


def test_a_part_of_a_seed_keeps_the_values_and_moments_of_its_users() -> None:
    seed = Seed(np.array([2, 5, 9]), NOBODY, value=np.array([1.0, 2.0, 3.0]), moment=np.array([10, 20, 30]))
    part = seed.subset(np.array([True, False, True]))
    assert part.rows.tolist() == [2, 9]
    assert part.value is not None
    assert part.moment is not None
    assert (part.value.tolist(), part.moment.tolist()) == ([1, 3], [10, 30])
    assert Seed(np.arange(3), NOBODY).subset(np.arange(3) > 1).value is None


def test_excluded_users_are_ascending_and_distinct() -> None:
    seed = Seed(np.array([5, 7]), np.array([1, 7]), listed_elsewhere=np.array([0, 5, USERS]))
    assert seed.excluded.tolist() == [0, 1, 5, 7, USERS]

"""A seed with moments is read up to them and not beyond, and so is the crowd it is told from."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data import database
from lookalike.data.database import Cut
from lookalike.embeddings import representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder import runs
from lookalike.expansion.point_in_time import PointInTime
from lookalike.workspace.paths import WorkspaceFolder
from small_log import Command, Inputs, events

pytest_plugins = ("space_fixtures",)
LONG_AGO, NEVER = datetime(2024, 1, 20), datetime(2023, 1, 1)


def seconds(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1)).total_seconds())


def vectors(space: Path, scratch: Path, rows: np.ndarray, when: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    workspace = WorkspaceFolder(space)
    live = representation.live_version(workspace)
    cut = Cut(live.manifest.as_of, live.manifest.min_events)
    scratch.mkdir()
    with database.open_file(workspace.database, read_only=True) as opened:
        run = runs.load_run(workspace, live.manifest.run)
        users = pl.DataFrame({"user_id": UserIndex(live).ids(rows), "moment": when})
        return PointInTime(opened, run, live, scratch, cut).vectors(users, len(rows))


def test_past_all_events_somebody_is_as_stored(trained_space: Path, tmp_path: Path) -> None:
    live = representation.live_version(WorkspaceFolder(trained_space))
    rows = np.array([7, 3, 200, 150])
    end = seconds(live.manifest.as_of)
    found, had = vectors(trained_space, tmp_path / "a", rows, np.full(4, end + 86_400))
    assert had.all()
    expected = np.stack([live.gather(np.array([row]))[0] for row in rows])
    assert np.allclose(found, expected, atol=2e-3)


def test_what_came_at_the_moment_or_after_it_is_not_read(trained_space: Path, tmp_path: Path) -> None:
    live = representation.live_version(WorkspaceFolder(trained_space))
    log = events().sort("user_id", "ts")
    who = UserIndex(live).ids(np.array([5]))[0]
    times = [seconds(moment) for moment in log.filter(pl.col("user_id") == who)["ts"]]
    rows = np.full(3, 5)
    # strictly before the third event: the same just after the second and just before the third
    parts = [vectors(trained_space, tmp_path / str(at), rows[:1], np.array([at])) for at in (times[2], times[2] + 1)]
    column = live.layout.column("log_events")
    assert np.expm1(parts[0][0][0, column]) == pytest.approx(2, abs=0.01)
    assert np.expm1(parts[1][0][0, column]) == pytest.approx(3, abs=0.01)


def test_nobody_has_done_anything_before_the_log(trained_space: Path, tmp_path: Path) -> None:
    _, had = vectors(trained_space, tmp_path / "a", np.arange(4), np.full(4, seconds(NEVER)))
    assert not had.any()


def told(ran: Command, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(
        (ran.workspace / "audiences" / name / "evaluation.json").read_text()
    )
    return found


def test_a_seed_with_moments_is_expanded_as_it_was(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed = pl.read_csv(inputs.seed)["user_id"]
    frame = pl.DataFrame({"user_id": seed, "ts": ["2024-03-01T12:00:00"] * len(seed)})
    frame.write_csv(tmp_path / "then.csv")
    ran = ready("expand", "--seed", tmp_path / "then.csv", "--size", "20", "--force")
    assert ran.code == 0, ran.err
    found = told(ready, "then")
    assert found["seed"]["as_they_were"] is True
    days = found["diagnosis"]["median_events"]
    assert ready("expand", "--seed", inputs.seed, "--size", "20").code == 0
    assert days < told(ready, "fans")["diagnosis"]["median_events"]  # type: ignore[operator]
    listed = set(pl.read_csv(ready.workspace / "audiences" / "then" / "prospects.csv")["user_id"])
    assert not listed & set(seed)


def test_before_an_event_type_is_before_the_first_of_it(ready: Command, inputs: Inputs) -> None:
    words = ("expand", "--seed", inputs.seed, "--size", "20", "--before", "purchase", "--force")
    assert ready(*words).code == 0
    found = told(ready, "fans")
    assert found["seed"]["as_they_were"] is True
    assert not any("purchase" in str(leak) for leak in found["diagnosis"]["leaks"])  # type: ignore[attr-defined]
    message, hint = ready.refused(2, *words[:6], "buy")
    assert "buy" in message
    assert "purchase" in hint


def test_seeds_with_nothing_before_their_moment_are_told_and_too_many_stop_the_run(
    ready: Command, inputs: Inputs, tmp_path: Path
) -> None:
    seed = pl.read_csv(inputs.seed)["user_id"].to_list()
    late = ["2023-01-01"] * 3 + ["2024-03-20"] * (len(seed) - 3)
    pl.DataFrame({"user_id": seed, "ts": late}).write_csv(tmp_path / "late.csv")
    ran = ready("expand", "--seed", tmp_path / "late.csv", "--size", "20", "--force")
    assert "warning: 3 seeds had done nothing before their moment" in ran.err
    assert told(ready, "late")["seed"]["used"] == len(seed) - 3
    pl.DataFrame({"user_id": seed, "ts": ["2023-01-01"] * len(seed)}).write_csv(tmp_path / "never.csv")
    message, _ = ready.refused(5, "expand", "--seed", tmp_path / "never.csv", "--size", "20")
    assert "only 0 seeds and " in message


def test_a_moment_that_is_no_time_is_refused(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed = pl.read_csv(inputs.seed)["user_id"].to_list()
    pl.DataFrame({"user_id": seed, "ts": ["2024-03-01", "soon", *["2024-03-01"] * (len(seed) - 2)]}).write_csv(
        tmp_path / "odd.csv"
    )
    message, _ = ready.refused(3, "expand", "--seed", tmp_path / "odd.csv", "--size", "20")
    assert "line 3: ts 'soon' is not a time" in message


def test_buyers_drawn_at_random_are_no_audience_before_they_bought(
    ready: Command, inputs: Inputs, tmp_path: Path
) -> None:
    """What sets a moment of buying apart from any other moment must not pass for likeness."""
    buyers = events().filter(pl.col("event_type") == "purchase")["user_id"].unique().sort()
    lifts = []
    for run in range(3):
        buyers.sample(80, seed=run).to_frame("user_id").write_csv(tmp_path / f"b{run}.csv")
        words = ("expand", "--seed", tmp_path / f"b{run}.csv", "--size", "10%", "--before", "purchase", "--force")
        lifts.append(ready("--json", *words).json["lift"])
    assert np.mean(lifts) < 1.6

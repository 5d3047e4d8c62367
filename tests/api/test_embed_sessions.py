"""Vectors of anonymous sessions: they find their own user, and never become one."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from lookalike.api.embed import EmbedRequest, embed
from lookalike.api.embed_sessions import SessionsRequest, embed_sessions
from lookalike.data import database
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from new_events import LATER, SOME_USERS, write_events
from planted_log import Population
from small_log import Command, snapshot


@pytest.fixture
def workspace(tiny_run: Tiny, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the tiny workspace."""
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


@pytest.fixture
def regulars(tiny_run: Tiny) -> list[str]:
    """Sixty users with enough events to show their interest."""
    log = tiny_run.population
    return [user for user, events in zip(log.user_ids, log.activity, strict=True) if events >= 8][:60]


def write_sessions(log: Population, users: list[str], folder: Path) -> Path:
    """A session of eight views for each user, of items of the user's interest."""
    rng = np.random.default_rng(3)
    rows = []
    for user in users:
        interest = int(log.interest[log.user_ids.index(user)])
        for minute, pick in enumerate(rng.integers(0, 20, 8)):
            rows.append(
                {
                    "session_id": f"session of {user}",
                    "ts": LATER + timedelta(minutes=minute),
                    "event_type": "view",
                    "item_id": f"i{pick * 5 + interest:04d}",
                }
            )
    folder.mkdir(exist_ok=True)
    pl.DataFrame(rows).write_csv(folder / "tonight.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    return folder / "tonight.csv"


def test_a_session_finds_its_own_user_far_better_than_chance(
    workspace: WorkspaceFolder, tiny_run: Tiny, regulars: list[str], tmp_path: Path
) -> None:
    """One of five interests is all there is to find: the best possible median is about 0.1, chance is 0.5."""
    file = write_sessions(tiny_run.population, regulars, tmp_path / "sessions")
    result = embed_sessions(workspace, SessionsRequest([file], device="cpu"), QuietProgress())
    assert result.sessions == len(regulars) == 60
    frame = pl.read_parquet(result.path)
    assert set(frame["session_id"]) == {f"session of {user}" for user in regulars}
    live = representation.live_version(workspace)
    users = live.gather(np.arange(live.users))[:, live.layout.columns("sequence")]
    ids = pl.read_parquet(UserIndex(live).checked_file()).sort("row")["user_id"].to_list()
    percentiles = []
    for session, vector in frame.select("session_id", "sequence").iter_rows():
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        scores = users @ np.array(vector, np.float32)
        percentiles.append(np.mean(scores > scores[ids.index(session.removeprefix("session of "))]))
    assert np.median(percentiles) < 0.2


def test_sessions_never_join_the_users(
    workspace: WorkspaceFolder, tiny_run: Tiny, regulars: list[str], tmp_path: Path
) -> None:
    with database.open_in(workspace) as opened:
        log = database.log_summary(opened)
    before = snapshot(workspace.root)
    file = write_sessions(tiny_run.population, regulars, tmp_path / "sessions")
    result = embed_sessions(workspace, SessionsRequest([file], device="cpu"), QuietProgress())
    assert result.path.parent == workspace.embeddings
    assert result.path.name.startswith("sessions-tonight-")
    after = snapshot(workspace.root)
    assert after.keys() - before.keys() == {f"embeddings/{result.path.name}"}
    assert {name for name in before if before[name] != after[name]} == set()
    with database.open_in(workspace) as opened:
        assert database.log_summary(opened) == log
    assert embed(workspace, EmbedRequest(device="cpu"), QuietProgress()).refreshed == 0


def test_sessions_of_one_signed_in_user_stay_apart_and_without_the_id(
    workspace: WorkspaceFolder, tmp_path: Path
) -> None:
    rows = [
        {"visitor": "u00003", "visit": f"s{n}", "ts": LATER, "event_type": "view", "item_id": f"i000{n}"}
        for n in (1, 2)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "s.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    options = IngestOptions(mapping={"session_id": "visit"})
    request = SessionsRequest([tmp_path / "s.csv"], None, options, "cpu")
    frame = pl.read_parquet(embed_sessions(workspace, request, QuietProgress()).path)
    assert frame["session_id"].to_list() == ["s1", "s2"]
    assert frame.columns == ["session_id", "events", "sequence"]


def test_the_command_embeds_sessions(
    workspace: WorkspaceFolder,
    tiny_run: Tiny,
    regulars: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write_sessions(tiny_run.population, regulars, tmp_path / "sessions")
    command = Command(capsys, workspace.root)
    printed = command("--json", "embed", "--sessions", file).json
    assert (printed["run"], printed["sessions"]) == ("r000001", 60)
    first = pl.read_parquet(printed["path"])
    assert command("embed", "--sessions", file).code == 0
    assert pl.read_parquet(printed["path"]).equals(first)
    without_sessions = write_events(tmp_path / "none.csv", SOME_USERS)
    message, hint = command.refused(3, "embed", "--sessions", without_sessions)
    assert "could be the session" in message
    assert "--map session_id=" in hint
    command.refused(2, "embed", "--map", "user_id=x")


def test_flags_that_do_not_fit_sessions_are_refused(
    workspace: WorkspaceFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(capsys, workspace.root)
    file = tmp_path / "visits.csv"
    file.write_text("session_id,ts,item_id\ns,2024-03-01,i0001\n")
    for flags in (("--as-of", "2024-03-01"), ("--full",)):
        command.refused(2, "embed", "--sessions", file, *flags)
    message, hint = command.refused(3, "embed", "--sessions", file, "--map", "session_id=nix")
    assert "nix" in message
    assert "item_id" in hint

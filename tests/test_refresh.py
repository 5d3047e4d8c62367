"""The refresh: who is embedded anew, whose bytes stay, and sessions that find their own user and never become one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from lookalike.api import embed as embed_module
from lookalike.api import embed_sessions, status
from lookalike.api import ingest as ingest_module
from lookalike.api.embed import STALE, EmbedRequest
from lookalike.api.embed_sessions import SessionsRequest
from lookalike.data import database
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import representation, writer
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from planted_log import START, Population
from small_log import Command, snapshot

LATER = START + timedelta(days=85)


@dataclass
class Listener:
    """Keeps what was said."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def step(self, what: str, total: float | None = None) -> Iterator[Callable[..., None]]:
        yield lambda done=0, note="": None


@pytest.fixture
def space(tiny_run: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspaceFolder:
    """The tiny workspace, to be changed; written in several shards and steps from here on."""
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 250)
    monkeypatch.setattr(writer, "USERS_PER_STEP", 90)
    return WorkspaceFolder(tmp_path / "space")


def write_events(
    path: Path, users: list[str], when: datetime = LATER, items: tuple[str, ...] = ("i0003", "i0013")
) -> Path:
    """Two events each, a minute apart."""
    rows = [
        {"user_id": user, "ts": when + timedelta(minutes=n), "event_type": "view", "item_id": item, "value": 1.5}
        for user in users
        for n, item in enumerate(items)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
    return path


def ingest(space: WorkspaceFolder, *paths: Path, **options: Any) -> None:
    ingest_module.ingest(space, list(paths), IngestOptions(**options), QuietProgress())


def embed(space: WorkspaceFolder, **asked: Any) -> tuple[dict[str, Any], list[str]]:
    talk = Listener()
    return embed_module.embed(space, EmbedRequest(device="cpu", **asked), talk), talk.notes


def stored(of: Representation) -> dict[str, dict[str, bytes]]:
    """Each user's bytes in each block."""
    blocks = of.raw(np.arange(of.users))
    ids = pl.read_parquet(of.folder / "users.parquet").sort("row")["user_id"]
    return {user: {block: blocks[block][row].tobytes() for block in BLOCKS} for row, user in enumerate(ids)}


def live(space: WorkspaceFolder) -> Representation:
    return representation.live_version(space)


FEW = ["u00003", "u00250", "u00251", "u00599"]


def test_only_those_with_new_events_are_embedded_and_all_others_keep_their_bytes(
    space: WorkspaceFolder, tmp_path: Path
) -> None:
    before = stored(live(space))
    ingest(space, write_events(tmp_path / "new.csv", FEW))
    done, notes = embed(space)
    assert (done["users"], done["refreshed"]) == (600, len(FEW))
    assert any("596 users without new events keep their vectors" in note for note in notes)
    made = live(space)
    assert made.folder.name == done["version"] == "v000002"
    assert made.manifest.shards == (250, 250, 100)
    after = stored(made)
    assert after.keys() == before.keys()
    assert {user for user in before if before[user]["aggregates"] != after[user]["aggregates"]} == set(FEW)
    for block in BLOCKS:
        changed = {user for user in before if before[user][block] != after[user][block]}
        assert changed <= set(FEW)
        assert changed, block


def test_ties_and_ids_go_with_their_users(space: WorkspaceFolder, tmp_path: Path) -> None:
    def ties(of: Representation) -> dict[str, int]:
        values = np.concatenate([tie for _, _, tie in of.stream(90)])
        return dict(
            zip(pl.read_parquet(of.folder / "users.parquet").sort("row")["user_id"], values.tolist(), strict=True)
        )

    before = ties(live(space))
    ingest(space, write_events(tmp_path / "new.csv", ["a new one", *FEW]))
    embed(space)
    after = ties(live(space))
    assert after.keys() - before.keys() == {"a new one"}
    assert all(after[user] == tie for user, tie in before.items())


def test_a_refreshed_user_has_the_vector_that_everybody_anew_would_give(space: WorkspaceFolder, tmp_path: Path) -> None:
    new = ["a first", "u00300 and a half", "zz last"]
    ingest(space, write_events(tmp_path / "new.csv", FEW + new, items=("i0003", "i0008", "unheard of")))
    done, _ = embed(space)
    assert (done["users"], done["refreshed"]) == (603, 7)
    some = live(space)
    again, _ = embed(space, full=True)
    assert again["refreshed"] == 603
    whole = live(space)
    ids = pl.read_parquet(whole.folder / "users.parquet").sort("row")["user_id"]
    assert ids.to_list() == pl.read_parquet(some.folder / "users.parquet").sort("row")["user_id"].to_list()
    rows = np.flatnonzero(ids.is_in(FEW + new).to_numpy())
    assert len(rows) == 7
    assert np.allclose(some.gather(rows), whole.gather(rows), atol=4e-3)
    others = np.setdiff1d(np.arange(603), rows)
    assert not np.allclose(some.gather(others), whole.gather(others), atol=4e-3)  # the others grew older


def test_new_users_appear_in_their_place(space: WorkspaceFolder, tmp_path: Path) -> None:
    before = stored(live(space))
    ingest(space, write_events(tmp_path / "new.csv", ["a first", "u00300 and a half", "zz last"]))
    done, _ = embed(space)
    assert (done["users"], done["refreshed"]) == (603, 3)
    after = stored(live(space))
    assert after.keys() - before.keys() == {"a first", "u00300 and a half", "zz last"}
    assert all(after[user] == of for user, of in before.items())
    assert list(after) == sorted(after)


def test_nothing_is_written_when_nothing_changed(space: WorkspaceFolder, tmp_path: Path) -> None:
    embed(space, full=True)
    before = snapshot(space.embeddings)
    done, notes = embed(space)
    assert (done["version"], done["refreshed"], done["users"]) == ("v000002", 0, 600)
    assert any("no user has events that were not seen" in note for note in notes)
    assert snapshot(space.embeddings) == before
    ingest(space, write_events(tmp_path / "new.csv", FEW))
    assert embed(space)[0]["refreshed"] == len(FEW)
    assert embed(space)[0]["refreshed"] == 0


def test_events_of_the_past_that_arrive_late_count_as_new(space: WorkspaceFolder, tmp_path: Path) -> None:
    ingest(space, write_events(tmp_path / "late.csv", FEW[:2], START + timedelta(days=3)))
    before = stored(live(space))
    assert embed(space)[0]["refreshed"] == 2
    after = stored(live(space))
    assert {user for user in before if before[user] != after[user]} == set(FEW[:2])


def test_events_past_the_earlier_cut_are_taken_in_when_the_cut_moves(space: WorkspaceFolder, tiny_run: Tiny) -> None:
    middle = START + timedelta(days=70)
    log = tiny_run.population.events
    first, _ = embed(space, as_of=middle)
    assert first["users"] == first["refreshed"] == log.filter(pl.col("ts") < middle)["user_id"].n_unique()
    second, notes = embed(space)
    moved = set(log.filter(pl.col("ts") >= middle)["user_id"])
    assert (second["users"], second["refreshed"]) == (600, len(moved))
    assert len(moved) < 600
    assert any("keep their vectors" in note for note in notes)


def test_a_file_that_brings_nothing_new_changes_nobody_and_is_not_called_news(
    space: WorkspaceFolder, tmp_path: Path
) -> None:
    again = write_events(tmp_path / "new.csv", FEW)
    ingest(space, again)
    embed(space)
    before, before_it = stored(live(space)), status.status(space)["next"]
    more = tmp_path / "the same rows.csv"
    more.write_bytes(again.read_bytes() + again.read_bytes().split(b"\n")[1] + b"\n")
    ingest(space, more)
    assert embed(space)[0]["refreshed"] == 0
    assert stored(live(space)) == before
    assert status.status(space)["next"] == before_it


def test_full_and_a_changed_items_table_and_another_run_do_everybody(space: WorkspaceFolder, tmp_path: Path) -> None:
    done, notes = embed(space, full=True)
    assert done["refreshed"] == 600
    assert any("as asked" in note for note in notes)
    items = tmp_path / "more items.csv"
    items.write_text("item_id,category\nunheard of,c1\n")
    ingest(space, write_events(tmp_path / "new.csv", FEW), items=items)
    done, notes = embed(space)
    assert done["refreshed"] == 600
    assert any("described anew" in note for note in notes)
    assert embed(space)[0]["refreshed"] == 0
    shutil.copytree(space.runs / "r000001", space.runs / "r000002")
    done, notes = embed(space, run="r000002")
    assert (done["run"], done["refreshed"]) == ("r000002", 600)
    assert any("by r000002" in note for note in notes)


def test_a_cut_before_the_stored_one_does_everybody(space: WorkspaceFolder) -> None:
    done, notes = embed(space, as_of=START + timedelta(days=40))
    assert done["refreshed"] == done["users"] < 600
    assert any("everybody is embedded anew" in note for note in notes)


def test_refreshing_twice_is_refreshing_once_with_both_files(space: WorkspaceFolder, tmp_path: Path) -> None:
    other = WorkspaceFolder(tmp_path / "at once")
    shutil.copytree(space.root, other.root)
    files = write_events(tmp_path / "1.csv", FEW[:2]), write_events(tmp_path / "2.csv", FEW[2:], LATER)
    for file in files:
        ingest(space, file)
        embed(space)
    ingest(other, *files)
    embed(other)
    found = [of.gather(np.arange(600)) for of in (live(space), live(other))]
    assert np.allclose(*found, atol=4e-3)


def test_the_command_tells_the_counts(
    space: WorkspaceFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(space, write_events(tmp_path / "new.csv", FEW))
    ran = Command(capsys, space.root)("--json", "embed")
    assert ran.code == 0, ran.err
    assert ran.json == {"run": "r000001", "version": "v000002", "users": 600, "refreshed": 4}


# --- sessions --------------------------------------------------------------------------------------------------------


def sessions_of(log: Population, users: list[str], folder: Path) -> Path:
    """A session of eight views for each of some users, by the interest they have in the log."""
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


@pytest.fixture
def regulars(tiny_run: Tiny) -> list[str]:
    """Sixty users with enough events to have shown their interest."""
    log = tiny_run.population
    return [user for user, events in zip(log.user_ids, log.activity, strict=True) if events >= 8][:60]


def test_a_session_finds_its_own_user_far_better_than_chance(
    space: WorkspaceFolder, tiny_run: Tiny, regulars: list[str], tmp_path: Path
) -> None:
    """By interest alone one of five is as good as another: the best median is about 0.1, chance is 0.5."""
    file = sessions_of(tiny_run.population, regulars, tmp_path / "sessions")
    done = embed_sessions.embed_sessions(space, SessionsRequest([file], device="cpu"), QuietProgress())
    assert done["sessions"] == len(regulars) == 60
    frame = pl.read_parquet(done["path"])
    assert set(frame["session_id"]) == {f"session of {user}" for user in regulars}
    of = live(space)
    users = of.gather(np.arange(of.users))[:, of.layout.columns("sequence")]
    ids = pl.read_parquet(of.folder / "users.parquet").sort("row")["user_id"].to_list()
    percentiles = []
    for session, vector in frame.select("session_id", "sequence").iter_rows():
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        scores = users @ np.array(vector, np.float32)
        percentiles.append(np.mean(scores > scores[ids.index(session.removeprefix("session of "))]))
    assert np.median(percentiles) < 0.2


def test_sessions_never_join_the_users(
    space: WorkspaceFolder, tiny_run: Tiny, regulars: list[str], tmp_path: Path
) -> None:
    with database.open_in(space) as opened:
        log = database.log_summary(opened)
    before = snapshot(space.root)
    file = sessions_of(tiny_run.population, regulars, tmp_path / "sessions")
    done = embed_sessions.embed_sessions(space, SessionsRequest([file], device="cpu"), QuietProgress())
    path = Path(done["path"])
    assert path.parent == space.embeddings
    assert path.name.startswith("sessions-tonight-")
    after = snapshot(space.root)
    assert after.keys() - before.keys() == {f"embeddings/{path.name}"}
    assert {name for name in before if before[name] != after[name]} == set()
    with database.open_in(space) as opened:
        assert database.log_summary(opened) == log
    assert embed(space)[0]["refreshed"] == 0


def test_a_session_with_a_user_beside_it_is_still_a_session(space: WorkspaceFolder, tmp_path: Path) -> None:
    """Two sessions of one signed-in user stay two, and the user's id is nowhere in the result."""
    rows = [
        {"visitor": "u00003", "visit": f"s{n}", "ts": LATER, "event_type": "view", "item_id": f"i000{n}"}
        for n in (1, 2)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "s.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    options = IngestOptions(mapping={"session_id": "visit"})
    done = embed_sessions.embed_sessions(
        space, SessionsRequest([tmp_path / "s.csv"], None, options, "cpu"), QuietProgress()
    )
    frame = pl.read_parquet(done["path"])
    assert frame["session_id"].to_list() == ["s1", "s2"]
    assert frame.columns == ["session_id", "events", "sequence"]


def test_sessions_through_the_command(
    space: WorkspaceFolder, tiny_run: Tiny, regulars: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sessions_of(tiny_run.population, regulars, tmp_path / "sessions")
    command = Command(capsys, space.root)
    found = command("--json", "embed", "--sessions", file).json
    assert (found["run"], found["sessions"]) == ("r000001", 60)
    first = pl.read_parquet(found["path"])
    assert command("embed", "--sessions", file).code == 0
    assert pl.read_parquet(found["path"]).equals(first)
    no_session = write_events(tmp_path / "none.csv", FEW)
    message, hint = command.refused(3, "embed", "--sessions", no_session)
    assert "could be the session" in message
    assert "--map session_id=" in hint
    command.refused(2, "embed", "--map", "user_id=x")


def test_what_a_run_of_sessions_cannot_do_is_refused(
    space: WorkspaceFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(capsys, space.root)
    file = tmp_path / "visits.csv"
    file.write_text("session_id,ts,item_id\ns,2024-03-01,i0001\n")
    for words in (("--as-of", "2024-03-01"), ("--full",)):
        command.refused(2, "embed", "--sessions", file, *words)
    message, hint = command.refused(3, "embed", "--sessions", file, "--map", "session_id=nix")
    assert "nix" in message
    assert "item_id" in hint


def test_vectors_that_lag_more_than_a_month_are_made_anew(space: WorkspaceFolder, tmp_path: Path) -> None:
    held = representation.live_version(space)
    end = held.manifest.as_of
    late = pl.DataFrame({"user_id": ["u00000"], "ts": [end + STALE + timedelta(days=1)], "item_id": ["i0001"]})
    late.write_csv(tmp_path / "late.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    ingest_module.ingest(space, [tmp_path / "late.csv"], IngestOptions(), QuietProgress())
    found = embed_module.embed(space, EmbedRequest(device="cpu"), QuietProgress())
    assert found["refreshed"] == found["users"]


def test_many_small_refreshes_do_not_let_the_others_lag_for_ever(space: WorkspaceFolder, tmp_path: Path) -> None:
    end = representation.live_version(space).manifest.as_of
    found = []
    for days in (20, 40):  # neither step is a month by itself
        news = pl.DataFrame({"user_id": ["u00000"], "ts": [end + timedelta(days=days)], "item_id": ["i0001"]})
        news.write_csv(tmp_path / f"{days}.csv", datetime_format="%Y-%m-%d %H:%M:%S")
        ingest_module.ingest(space, [tmp_path / f"{days}.csv"], IngestOptions(), QuietProgress())
        found.append(embed_module.embed(space, EmbedRequest(device="cpu"), QuietProgress()))
    assert found[0]["refreshed"] == 1
    assert found[1]["refreshed"] == found[1]["users"]


def test_a_cut_past_the_log_is_its_end_and_one_before_it_leaves_the_version(space: WorkspaceFolder) -> None:
    held = representation.live_version(space).manifest.as_of
    embed_module.embed(space, EmbedRequest(as_of=datetime(2040, 1, 1), full=True, device="cpu"), QuietProgress())
    assert representation.live_version(space).manifest.as_of == held
    live = representation.live_version(space).folder
    with pytest.raises(StateError):
        embed_module.embed(space, EmbedRequest(as_of=datetime(2001, 1, 1), device="cpu"), QuietProgress())
    assert representation.live_version(space).folder == live

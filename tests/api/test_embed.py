"""The embed verb: which users are embedded again, and whose bytes stay."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from lookalike.api import status
from lookalike.api.embed import EmbedRequest
from lookalike.api.embed import embed as embed_verb
from lookalike.embeddings import representation, writer
from lookalike.embeddings.representation import BLOCKS, Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder.refresh import MAX_AGE
from lookalike.encoder.results import EmbedResult, RunChanged, VectorsKept, VectorsTooOld
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Message
from new_events import LATER, SOME_USERS, ingest, write_events
from planted_log import START
from recording_progress import RecordingProgress
from small_log import Command, snapshot


@pytest.fixture
def workspace(tiny_run: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspaceFolder:
    """A copy of the tiny workspace; from here on versions are written in several shards and steps."""
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 250)
    monkeypatch.setattr(writer, "USERS_PER_STEP", 90)
    return WorkspaceFolder(tmp_path / "space")


def embed_with_messages(workspace: WorkspaceFolder, **options: Any) -> tuple[EmbedResult, list[Message]]:
    progress = RecordingProgress()
    return embed_verb(workspace, EmbedRequest(device="cpu", **options), progress), progress.messages


def embed(workspace: WorkspaceFolder, **options: Any) -> EmbedResult:
    return embed_with_messages(workspace, **options)[0]


def bytes_of_users(version: Representation) -> dict[str, dict[str, bytes]]:
    """Each user's bytes in each block."""
    blocks = version.raw(np.arange(version.users))
    ids = pl.read_parquet(UserIndex(version).checked_file()).sort("row")["user_id"]
    return {user: {block: blocks[block][row].tobytes() for block in BLOCKS} for row, user in enumerate(ids)}


def live(workspace: WorkspaceFolder) -> Representation:
    return representation.live_version(workspace)


# --- which users -----------------------------------------------------------------------------------------------------


def test_only_users_with_new_events_are_embedded_and_the_others_keep_their_bytes(
    workspace: WorkspaceFolder, tmp_path: Path
) -> None:
    before = bytes_of_users(live(workspace))
    ingest(workspace, write_events(tmp_path / "new.csv", SOME_USERS))
    result, messages = embed_with_messages(workspace)
    assert (result.users, result.refreshed) == (600, len(SOME_USERS))
    (kept,) = [message for message in messages if isinstance(message, VectorsKept)]
    assert kept.users == 596
    version = live(workspace)
    assert version.folder.name == result.version == "v000002"
    assert version.manifest.shards == (250, 250, 100)
    after = bytes_of_users(version)
    assert after.keys() == before.keys()
    assert {user for user in before if before[user]["aggregates"] != after[user]["aggregates"]} == set(SOME_USERS)
    for block in BLOCKS:
        changed = {user for user in before if before[user][block] != after[user][block]}
        assert changed <= set(SOME_USERS)
        assert changed, block


def test_new_users_are_put_in_order(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    before = bytes_of_users(live(workspace))
    new = {"a first", "u00300 and a half", "zz last"}
    ingest(workspace, write_events(tmp_path / "new.csv", sorted(new)))
    result = embed(workspace)
    assert (result.users, result.refreshed) == (603, 3)
    after = bytes_of_users(live(workspace))
    assert after.keys() - before.keys() == new
    assert all(after[user] == blocks for user, blocks in before.items())
    assert list(after) == sorted(after)


def test_nothing_is_written_when_nothing_changed(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    embed(workspace, full=True)
    before = snapshot(workspace.embeddings)
    result, messages = embed_with_messages(workspace)
    assert (result.version, result.refreshed, result.users) == ("v000002", 0, 600)
    assert [message.code for message in messages] == ["nothing_to_refresh"]
    assert snapshot(workspace.embeddings) == before
    ingest(workspace, write_events(tmp_path / "new.csv", SOME_USERS))
    assert embed(workspace).refreshed == len(SOME_USERS)
    assert embed(workspace).refreshed == 0


def test_past_events_that_arrive_late_count_as_new(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    ingest(workspace, write_events(tmp_path / "late.csv", SOME_USERS[:2], START + timedelta(days=3)))
    before = bytes_of_users(live(workspace))
    assert embed(workspace).refreshed == 2
    after = bytes_of_users(live(workspace))
    assert {user for user in before if before[user] != after[user]} == set(SOME_USERS[:2])


def test_events_after_an_earlier_cut_are_read_when_the_cut_moves(workspace: WorkspaceFolder, tiny_run: Tiny) -> None:
    middle = START + timedelta(days=70)
    log = tiny_run.population.events
    first = embed(workspace, as_of=middle)
    assert first.users == first.refreshed == log.filter(pl.col("ts") < middle)["user_id"].n_unique()
    second, messages = embed_with_messages(workspace)
    changed = set(log.filter(pl.col("ts") >= middle)["user_id"])
    assert (second.users, second.refreshed) == (600, len(changed))
    assert len(changed) < 600
    assert [message.code for message in messages] == ["vectors_kept"]


def test_a_file_without_new_events_changes_nobody_and_needs_no_embedding(
    workspace: WorkspaceFolder, tmp_path: Path
) -> None:
    file = write_events(tmp_path / "new.csv", SOME_USERS)
    ingest(workspace, file)
    embed(workspace)
    before, next_step = bytes_of_users(live(workspace)), status.next_step(workspace)
    repeated = tmp_path / "the same rows.csv"
    repeated.write_bytes(file.read_bytes() + file.read_bytes().split(b"\n")[1] + b"\n")
    ingest(workspace, repeated)
    assert embed(workspace).refreshed == 0
    assert bytes_of_users(live(workspace)) == before
    assert status.next_step(workspace) == next_step


# --- every user ------------------------------------------------------------------------------------------------------


def test_full_a_changed_table_of_items_and_another_run_embed_every_user(
    workspace: WorkspaceFolder, tmp_path: Path
) -> None:
    result, messages = embed_with_messages(workspace, full=True)
    assert result.refreshed == 600
    assert [message.code for message in messages] == ["full_refresh_requested"]
    items = tmp_path / "more items.csv"
    items.write_text("item_id,category\nunheard of,c1\n")
    ingest(workspace, write_events(tmp_path / "new.csv", SOME_USERS), items=items)
    result, messages = embed_with_messages(workspace)
    assert result.refreshed == 600
    assert [message.code for message in messages] == ["tables_changed"]
    assert embed(workspace).refreshed == 0
    shutil.copytree(workspace.runs / "r000001", workspace.runs / "r000002")
    result, messages = embed_with_messages(workspace, run="r000002")
    assert (result.run, result.refreshed) == ("r000002", 600)
    assert messages == [RunChanged(stored_run="r000001", run="r000002")]


def test_a_cut_before_the_stored_vectors_embeds_every_user(workspace: WorkspaceFolder) -> None:
    result, messages = embed_with_messages(workspace, as_of=START + timedelta(days=40))
    assert result.refreshed == result.users < 600
    assert [message.code for message in messages] == ["cut_before_stored"]


def write_one_event(path: Path, when: datetime) -> Path:
    return write_events(path, ["u00000"], when, ("i0001",))


def test_every_user_is_embedded_when_vectors_are_too_old(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    end = live(workspace).manifest.as_of
    ingest(workspace, write_one_event(tmp_path / "late.csv", end + MAX_AGE + timedelta(days=1)))
    result, messages = embed_with_messages(workspace)
    assert result.refreshed == result.users
    assert messages == [VectorsTooOld(oldest=end, max_days=30)]


def test_many_small_refreshes_cannot_keep_old_vectors_for_ever(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    end = live(workspace).manifest.as_of
    results = []
    for days in (20, 40):  # neither step is a month by itself
        ingest(workspace, write_one_event(tmp_path / f"{days}.csv", end + timedelta(days=days)))
        results.append(embed(workspace))
    assert results[0].refreshed == 1
    assert results[1].refreshed == results[1].users


# --- the vectors -----------------------------------------------------------------------------------------------------


def test_users_keep_the_hashes_that_break_ties(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    def ties(version: Representation) -> dict[str, int]:
        values = np.concatenate([tie for _, _, tie in version.stream(90)])
        return dict(
            zip(pl.read_parquet(UserIndex(version).checked_file()).sort("row")["user_id"], values.tolist(), strict=True)
        )

    before = ties(live(workspace))
    ingest(workspace, write_events(tmp_path / "new.csv", ["a new user", *SOME_USERS]))
    embed(workspace)
    after = ties(live(workspace))
    assert after.keys() - before.keys() == {"a new user"}
    assert all(after[user] == tie for user, tie in before.items())


def test_a_refreshed_user_has_the_vector_of_a_full_embedding(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    new = ["a first", "u00300 and a half", "zz last"]
    items = ("i0003", "i0008", "unheard of")
    ingest(workspace, write_events(tmp_path / "new.csv", SOME_USERS + new, items=items))
    result = embed(workspace)
    assert (result.users, result.refreshed) == (603, 7)
    partial = live(workspace)
    assert embed(workspace, full=True).refreshed == 603
    whole = live(workspace)
    ids = pl.read_parquet(UserIndex(whole).checked_file()).sort("row")["user_id"]
    assert ids.to_list() == pl.read_parquet(UserIndex(partial).checked_file()).sort("row")["user_id"].to_list()
    rows = np.flatnonzero(ids.is_in(SOME_USERS + new).to_numpy())
    assert len(rows) == 7
    assert np.allclose(partial.gather(rows), whole.gather(rows), atol=4e-3)
    kept = np.setdiff1d(np.arange(603), rows)
    assert not np.allclose(partial.gather(kept), whole.gather(kept), atol=4e-3)  # their recency has grown


def test_two_refreshes_are_one_refresh_with_both_files(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    at_once = WorkspaceFolder(tmp_path / "at once")
    shutil.copytree(workspace.root, at_once.root)
    files = write_events(tmp_path / "1.csv", SOME_USERS[:2]), write_events(tmp_path / "2.csv", SOME_USERS[2:], LATER)
    for file in files:
        ingest(workspace, file)
        embed(workspace)
    ingest(at_once, *files)
    embed(at_once)
    first, second = (version.gather(np.arange(600)) for version in (live(workspace), live(at_once)))
    assert np.allclose(first, second, atol=4e-3)


def test_a_cut_after_the_log_is_its_end_and_one_before_it_is_an_error(workspace: WorkspaceFolder) -> None:
    as_of = live(workspace).manifest.as_of
    embed(workspace, as_of=datetime(2040, 1, 1), full=True)
    assert live(workspace).manifest.as_of == as_of
    folder = live(workspace).folder
    with pytest.raises(StateError):
        embed(workspace, as_of=datetime(2001, 1, 1))
    assert live(workspace).folder == folder


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_the_counts(
    workspace: WorkspaceFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(workspace, write_events(tmp_path / "new.csv", SOME_USERS))
    ran = Command(capsys, workspace.root)("--json", "embed")
    assert ran.code == 0, ran.err
    assert ran.json == {"run": "r000001", "version": "v000002", "users": 600, "without_events": 0, "refreshed": 4}

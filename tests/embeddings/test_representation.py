"""Stored vectors are read back as they were written, and damage is found."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Tiny
from lookalike.embeddings import representation, writer
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import StateError
from lookalike.workspace.files import read_json
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import USERS, WIDTHS, spoil, values_of, whole, write

TIES = (np.arange(USERS) * 7919 % 101).tolist()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 16)


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    """With a version of `values_of()`."""
    folder = WorkspaceFolder(tmp_path / "space")
    write(folder, values_of())
    return folder


@pytest.fixture
def live(workspace: WorkspaceFolder) -> Representation:
    return representation.live_version(workspace)


def test_the_live_version_describes_itself(live: Representation) -> None:
    assert (live.version, live.users, live.only) == ("v000001", USERS, None)
    assert live.manifest.shards == (16, 16, 16, 5)
    assert live.layout.widths == WIDTHS
    assert live.layout.aggregates == ("log_events", "c0", "c1", "c2")


# --- reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 4, 16, 100])
def test_streamed_users_are_those_written(live: Representation, rows: int) -> None:
    vectors, ties, expected_first = [], [], 0
    for first, blocks, step_ties in live.stream(rows):
        assert first == expected_first
        assert len(step_ties) <= rows
        vectors.append(np.hstack(blocks))
        ties.append(step_ties)
        expected_first += len(step_ties)
    assert np.array_equal(np.concatenate(vectors), whole(values_of()))
    assert np.concatenate(ties).tolist() == TIES


@pytest.mark.parametrize("number", range(4))
def test_only_one_shard_is_streamed_if_one_is_named(live: Representation, number: int) -> None:
    steps = list(replace(live, only=number).stream(7, ("content",)))
    first = number * 16
    assert [start for start, _, _ in steps] == list(range(first, min(first + 16, USERS), 7))
    expected = values_of()["content"][first : first + 16].astype(np.float16)
    assert np.array_equal(np.concatenate([block for _, (block,), _ in steps]), expected)


@pytest.mark.parametrize("rows", [[], [0], [15, 16, 17, 52], list(range(USERS)), [31, 48]], ids=len)
def test_rows_are_read_across_shards(live: Representation, rows: list[int]) -> None:
    positions = np.array(rows, np.int64)
    assert np.array_equal(live.gather(positions), whole(values_of())[rows].astype(np.float32))
    raw = live.raw(positions, ("aggregates", "sequence"))
    assert list(raw) == ["aggregates", "sequence"]
    for block, stored in raw.items():
        assert np.array_equal(stored, values_of()[block][rows].astype(np.float16))
    assert live.ties(positions).tolist() == [TIES[row] for row in rows]


def test_the_largest_values_are_those_of_the_shard(live: Representation) -> None:
    for row in (0, 15, 16, 52):
        first = row // 16 * 16
        assert live.largest(row, BLOCKS) == {
            block: float(np.abs(values_of()[block][first : first + 16].astype(np.float16)).max()) for block in BLOCKS
        }


def test_a_pickled_version_has_its_folder_and_no_open_file(live: Representation) -> None:
    live.gather(np.arange(3))
    assert live.__reduce__()[1] == (live.folder.resolve(), live.manifest, None)
    copy = pickle.loads(pickle.dumps(replace(live, only=2)))
    assert (copy.folder, copy.manifest, copy.only) == (live.folder.resolve(), live.manifest, 2)


def test_vectors_of_a_real_training_are_complete(tiny_run: Tiny, tmp_path: Path) -> None:
    """All users of the log ordered by id, unit vectors where there are items, and the counts of the log."""
    copy = WorkspaceFolder(tmp_path / "copy")
    shutil.copytree(tiny_run.workspace.embeddings, copy.embeddings)
    live = representation.live_version(copy)
    rows = np.arange(live.users)
    assert UserIndex(live).ids(rows).to_list() == sorted(tiny_run.population.user_ids)
    vectors = live.gather(rows)
    for block in ("sequence", "content"):
        assert np.allclose(np.linalg.norm(vectors[:, live.layout.columns(block)], axis=1), 1, atol=2e-3)
    events = np.expm1(vectors[:, live.layout.column("log_events")])
    assert np.allclose(events, tiny_run.population.activity, rtol=5e-3)


# --- damage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_a_state_error(live: Representation, value: float) -> None:
    spoil(live, 20, live.layout.spans["content"][0] + 1, value)
    with pytest.raises(StateError, match="contains NaN or infinite values"):
        live.gather(np.arange(USERS))


def test_a_damaged_shard_is_found_however_it_is_read(live: Representation, workspace: WorkspaceFolder) -> None:
    (live.folder / "sequence-00001.npy").write_bytes(b"")
    reads: list[Callable[[Representation], Any]] = [
        lambda version: version.gather(np.arange(USERS)),
        lambda version: version.raw(np.arange(USERS)),
        lambda version: version.ties(np.arange(USERS)),
        lambda version: list(version.stream(8)),
    ]
    for read in reads:
        with pytest.raises(StateError, match="sequence-00001"):
            read(representation.live_version(workspace))


def wider_block(manifest: dict[str, Any]) -> None:
    manifest["blocks"]["content"] += 1


def more_users(manifest: dict[str, Any]) -> None:
    manifest["shards"][0] += 1


def missing_block(manifest: dict[str, Any]) -> None:
    del manifest["blocks"]["content"]


def no_names(manifest: dict[str, Any]) -> None:
    manifest["columns"] = {}


@pytest.mark.parametrize("change", [wider_block, more_users, missing_block, no_names], ids=lambda f: f.__name__)
def test_a_manifest_that_does_not_fit_the_files_is_a_state_error(
    workspace: WorkspaceFolder, change: Callable[[dict[str, Any]], None]
) -> None:
    path = workspace.embeddings / "v000001" / "manifest.json"
    manifest = read_json(path)
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(StateError):
        representation.live_version(workspace).gather(np.arange(3))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"blocks": {}}', '{"blocks": {"sequence": 3}, "shards": []}'],
    ids=["empty", "cut_off", "list", "no_blocks", "one_block"],
)
def test_a_file_that_is_no_manifest_is_a_state_error(workspace: WorkspaceFolder, content: str) -> None:
    (workspace.embeddings / "v000001" / "manifest.json").write_text(content)
    with pytest.raises(StateError) as raised:
        representation.live_version(workspace)
    assert raised.value.hint == "lookalike train"
    assert not representation.has_live_version(workspace)


@pytest.mark.parametrize(("stored", "named"), [("r000001", "r000001"), ("r000009", "r000002"), (None, "r000002")])
def test_vectors_of_an_earlier_program_are_written_again_with_their_run(
    workspace: WorkspaceFolder, stored: str | None, named: str
) -> None:
    for run in ("r000001", "r000002"):
        (workspace.runs / run).mkdir(parents=True)
        (workspace.runs / run / "manifest.json").touch()
    manifest = json.dumps({"schema_version": 1, "run": stored}) if stored else "{"
    (workspace.embeddings / "v000001" / "manifest.json").write_text(manifest)
    with pytest.raises(StateError) as raised:
        representation.live_version(workspace)
    assert raised.value.hint == f"lookalike embed --run {named} writes the vectors again"


@pytest.mark.parametrize(
    "pointer", ["", "v000099\n", "../../elsewhere\n", "\n"], ids=["empty", "missing", "outside", "blank"]
)
def test_a_pointer_to_nowhere_is_a_state_error(workspace: WorkspaceFolder, pointer: str) -> None:
    (workspace.embeddings / "CURRENT").write_text(pointer)
    with pytest.raises(StateError):
        representation.live_version(workspace)


def test_a_workspace_without_a_training_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no encoder was trained"):
        representation.live_version(WorkspaceFolder(tmp_path))

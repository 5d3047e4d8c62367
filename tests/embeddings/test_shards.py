"""The files of a version are found, checked and kept open within limits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lookalike.embeddings import representation, shards, writer
from lookalike.embeddings.shards import ShardReader
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import USERS, values_of, write


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShardReader:
    """Four shards of 16, 16, 16 and 5 users."""
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 16)
    workspace = WorkspaceFolder(tmp_path / "space")
    write(workspace, values_of())
    live = representation.live_version(workspace)
    return ShardReader(live.folder, live.manifest)


def test_rows_are_found_in_their_shards(reader: ShardReader) -> None:
    assert reader.starts.tolist() == [0, 16, 32, 48, 53]
    assert [reader.number_of(row) for row in (0, 15, 16, 47, 48, 52)] == [0, 0, 1, 2, 3, 3]
    rows = np.array([0, 15, 31, 52])
    parts = [(rows[part].tolist(), positions.tolist()) for part, positions, _ in reader.parts(rows)]
    assert parts == [([0, 15], [0, 15]), ([31], [15]), ([52], [4])]
    assert list(reader.parts(np.zeros(0, np.int64))) == []


def test_only_some_shards_stay_open(reader: ShardReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_OPEN_SHARDS", 2)
    for number in (0, 1, 2, 0):
        assert len(reader.shard(number)["tie"]) == 16
        assert len(reader._open_shards) <= 2
    assert list(reader._open_shards) == [2, 0]


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def cut_into_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:20])


def leave_a_bracket_open(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:20] + b"\x00((((" + content[25:])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove(file: Path) -> None:
    file.unlink()


def fewer_rows(file: Path) -> None:
    np.save(file, np.load(file)[:-1])


def another_type(file: Path) -> None:
    np.save(file, np.load(file).astype(np.float32))


def pickled(file: Path) -> None:
    np.save(file, np.array([{"run": "me"}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [shorten, cut_into_the_header, leave_a_bracket_open, empty, remove, fewer_rows, another_type, pickled],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("name", ["sequence-00000", "aggregates-00003", "tie-00002"])
def test_a_damaged_file_is_a_state_error(reader: ShardReader, damage: Callable[[Path], None], name: str) -> None:
    damage(reader.folder / f"{name}.npy")
    with pytest.raises(StateError, match=name):
        list(reader.parts(np.arange(USERS)))


def test_a_file_of_another_version_is_recognised_by_its_content(reader: ShardReader) -> None:
    workspace = WorkspaceFolder(reader.folder.parent.parent)
    write(workspace, values_of(1))
    other = representation.live_version(workspace).folder
    name = "content-00000.npy"
    assert (other / name).stat().st_size == (reader.folder / name).stat().st_size
    shutil.copy(other / name, reader.folder / name)
    with pytest.raises(StateError, match=f"{name}: is not the file that was written with this version"):
        reader.shard(0)

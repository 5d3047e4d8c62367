"""A version is written completely or not at all, and by any number of writers to the same bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.embeddings import representation, writer
from lookalike.embeddings.checksum import checksum
from lookalike.embeddings.writer import BlockWork, max_abs
from lookalike.errors import StateError
from lookalike.workspace.executor import Columns, Task
from lookalike.workspace.files import TEMPORARY_PREFIX, sha256
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import USERS, Values, slices_of, values_of, whole, write


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 16)
    monkeypatch.setattr(writer, "USERS_PER_STEP", 5)


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    return WorkspaceFolder(tmp_path / "space")


def assert_live(workspace: WorkspaceFolder, version: str, values: Values) -> None:
    live = representation.live_version(workspace)
    assert live.version == version
    assert np.array_equal(live.gather(np.arange(USERS)), whole(values).astype(np.float32))


# --- what is written -----------------------------------------------------------------------------------------------------


def test_blocks_are_stored_as_plain_npy_files_of_halves(workspace: WorkspaceFolder) -> None:
    values = values_of()
    folder = workspace.embeddings / write(workspace, values)
    for number in range(4):
        part = slice(16 * number, 16 * number + 16)
        for block, rows in values.items():
            assert np.array_equal(np.load(folder / f"{block}-{number:05d}.npy"), rows[part].astype(np.float16))
        assert np.load(folder / f"tie-{number:05d}.npy").tolist() == (np.arange(USERS) * 7919 % 101).tolist()[part]


def test_the_manifest_describes_every_file(workspace: WorkspaceFolder) -> None:
    values = values_of()
    write(workspace, values)
    live = representation.live_version(workspace)
    files = {path.name: path for path in live.folder.iterdir() if path.name != "manifest.json"}
    assert live.manifest.sha256 == {name: sha256(path) for name, path in files.items()}
    assert live.manifest.checksums == {name: checksum(path) for name, path in files.items()}
    assert (live.manifest.users, live.manifest.shards) == (USERS, (16, 16, 16, 5))
    assert live.manifest.largest == {
        block: tuple(float(np.abs(rows[first : first + 16].astype(np.float16)).max()) for first in (0, 16, 32, 48))
        for block, rows in values.items()
    }


def test_progress_counts_the_users_written(workspace: WorkspaceFolder) -> None:
    done: list[int] = []
    write(workspace, values_of(), on_users=done.append)
    assert done == [5, 10, 15, 16, 21, 26, 31, 32, 37, 42, 47, 48, 53]


class ShuffledExecutor:
    """Runs tasks in another order and gives several results together, as a cluster may."""

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        parts = [task(number) for number in reversed(numbers)]
        for first in range(0, len(parts), 3):
            together = parts[first : first + 3]
            # a cluster gives texts back as objects
            yield {
                name: np.concatenate([part[name].astype(object) for part in together])
                if together[0][name].dtype.kind == "U"
                else np.concatenate([part[name] for part in together])
                for name in together[0]
            }

    def run_together(self, function: Any, folder: str) -> str:
        raise NotImplementedError


def test_an_executor_writes_the_same_version(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    values, done = values_of(), []
    write(workspace, values)
    elsewhere = WorkspaceFolder(tmp_path / "elsewhere")
    write(elsewhere, values, work=BlockWork(slices_of(values), ShuffledExecutor()), on_users=done.append)
    assert done == [37, 53]
    first, second = (representation.live_version(folder) for folder in (workspace, elsewhere))
    assert second.manifest == first.manifest
    assert list(second.manifest.sha256) == list(first.manifest.sha256)
    assert (second.folder / "manifest.json").read_bytes() == (first.folder / "manifest.json").read_bytes()


def test_a_shard_gives_a_line_for_each_file(workspace: WorkspaceFolder, tmp_path: Path) -> None:
    values = values_of()
    write(workspace, values)
    shards = writer.ShardWriter(tmp_path, workspace.root / "in.parquet", (USERS, 16), slices_of(values))
    table = shards.write(3)
    assert list(table) == list(writer.FILE_COLUMNS)
    assert {name: len(column) for name, column in table.items()} == dict.fromkeys(writer.FILE_COLUMNS, 4)
    assert table["block"].tolist() == ["sequence", "content", "aggregates", "tie"]
    assert table["shard"].tolist() == [3] * 4
    assert table["users"].tolist() == [5] * 4
    files = [tmp_path / f"{block}-00003.npy" for block in table["block"]]
    assert table["sha256"].tolist() == [sha256(file) for file in files]
    assert table["checksum"].tolist() == [checksum(file) for file in files]
    assert table["largest"][3] == 0


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_a_value_that_halves_cannot_hold_is_never_stored(workspace: WorkspaceFolder, value: float) -> None:
    values = values_of()
    values["aggregates"][3, 2] = value
    with pytest.raises(StateError, match="would contain NaN or infinite values"):
        write(workspace, values)
    assert not representation.has_live_version(workspace)


def test_the_largest_absolute_value_is_that_of_either_sign() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(99), -rng.random(99), rng.random(99), np.zeros(9), np.array([-65504.0, 1])):
        halves = values.astype(np.float16)
        assert max_abs(halves) == float(np.abs(halves).max())
    for value in (np.nan, -np.nan, np.inf, -np.inf):
        assert not np.isfinite(max_abs(np.array([1, value, -1], np.float16)))


# --- versions ------------------------------------------------------------------------------------------------------------


def test_two_versions_are_kept_and_the_newest_is_live(workspace: WorkspaceFolder) -> None:
    for seed in range(4):
        write(workspace, values_of(seed))
    assert sorted(path.name for path in workspace.embeddings.iterdir()) == ["CURRENT", "v000003", "v000004"]
    assert_live(workspace, "v000004", values_of(3))


def test_a_reader_of_the_old_version_keeps_it(workspace: WorkspaceFolder) -> None:
    write(workspace, values_of(0))
    old = representation.live_version(workspace)
    write(workspace, values_of(1))
    assert np.array_equal(old.gather(np.arange(USERS)), whole(values_of(0)).astype(np.float32))


@pytest.mark.parametrize("steps", [0, 1, 5, 9])
def test_an_interrupted_write_leaves_the_old_version_live(workspace: WorkspaceFolder, steps: int) -> None:
    write(workspace, values_of(0))
    computed: list[int] = []

    def interrupted(first: int, last: int) -> Values:
        if len(computed) == steps:
            raise KeyboardInterrupt
        computed.append(first)
        return {block: values[first:last] for block, values in values_of(1).items()}

    with pytest.raises(KeyboardInterrupt):
        write(workspace, values_of(1), work=BlockWork(interrupted))
    assert_live(workspace, "v000001", values_of(0))
    assert not list(workspace.embeddings.glob(f"{TEMPORARY_PREFIX}*"))


def test_a_kill_before_the_pointer_is_written_leaves_the_old_version_live(
    workspace: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, values_of(0))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            write(workspace, values_of(1))
    assert_live(workspace, "v000001", values_of(0))
    assert write(workspace, values_of(2)) == "v000003"
    assert_live(workspace, "v000003", values_of(2))

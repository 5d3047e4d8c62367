"""Stored vectors: what is written is what is read, whole or not at all, and damage is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from conftest import Tiny
from lookalike.embeddings import representation, user_index, writer
from lookalike.embeddings.representation import BLOCKS, Representation
from lookalike.errors import StateError
from lookalike.workspace.files import TEMPORARY_PREFIX, read_json, sha256
from lookalike.workspace.paths import WorkspaceFolder

WIDTHS = {"sequence": 3, "content": 2, "aggregates": 4}
USERS = 53


def values_of(seed: int = 0, users: int = USERS) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {block: rng.normal(0, 1, (users, width)).astype(np.float32) for block, width in WIDTHS.items()}


def write(
    workspace: WorkspaceFolder,
    values: dict[str, NDArray[np.float32]],
    ties: NDArray[np.uint64] | None = None,
    **changes: Any,
) -> str:
    users = len(values["sequence"])
    workspace.root.mkdir(exist_ok=True)
    frame = pl.DataFrame(
        {
            "row": np.arange(users, dtype=np.int32),
            "user_id": [f"u{n}" for n in range(users)],
            "tie": np.arange(users, dtype=np.uint64) * np.uint64(7919) % np.uint64(101) if ties is None else ties,
            "events": np.ones(users, np.int64),
        }
    )
    path = workspace.root / "in.parquet"
    frame.write_parquet(path)
    columns = ["log_events", *(f"c{n}" for n in range(values["aggregates"].shape[1] - 1))]
    facts = {
        "run": "r000001",
        "created": "now",
        "as_of": "2024-01-01T00:00:00",
        "blocks": {block: values[block].shape[1] for block in BLOCKS},
        "columns": {"aggregates": columns},
    }
    compute = changes.get("compute") or (lambda first, last: {block: values[block][first:last] for block in BLOCKS})
    return writer.write_version(workspace, path, writer.BlockWork(compute), facts, lambda done: None)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "USERS_PER_SHARD", 16)
    monkeypatch.setattr(writer, "USERS_PER_STEP", 5)


@pytest.fixture
def space(tmp_path: Path) -> WorkspaceFolder:
    return WorkspaceFolder(tmp_path / "space")


def whole(values: dict[str, NDArray[np.float32]]) -> NDArray[np.float16]:
    return np.hstack([values[block] for block in BLOCKS]).astype(np.float16)


@pytest.mark.parametrize("rows", [1, 4, 16, 100])
def test_what_is_streamed_is_what_was_written(space: WorkspaceFolder, rows: int) -> None:
    values = values_of()
    name = write(space, values)
    live = representation.live_version(space)
    assert (live.folder.name, live.users, live.width) == (name, USERS, 9)
    assert live.manifest["shards"] == [16, 16, 16, 5]
    seen, ties, expected_first = [], [], 0
    for first, blocks, tied in live.stream(rows):
        assert first == expected_first
        assert len(tied) <= rows
        seen.append(np.hstack(blocks))
        ties.append(tied)
        expected_first += len(tied)
    assert np.array_equal(np.concatenate(seen), whole(values))
    assert np.concatenate(ties).tolist() == (np.arange(USERS) * 7919 % 101).tolist()


@pytest.mark.parametrize("rows", [[], [0], [15, 16, 17, 52], list(range(USERS)), [31, 48]])
def test_gathered_rows_are_those_asked_for_across_shards(space: WorkspaceFolder, rows: list[int]) -> None:
    values = values_of()
    write(space, values)
    found = representation.live_version(space).gather(np.array(rows, np.int64))
    assert np.array_equal(found, whole(values)[rows].astype(np.float32))


def test_columns_are_found_by_block_and_by_name(space: WorkspaceFolder) -> None:
    write(space, values_of())
    live = representation.live_version(space)
    assert live.columns("content").tolist() == [3, 4]
    assert live.columns("sequence", "aggregates").tolist() == [0, 1, 2, 5, 6, 7, 8]
    assert live.column("log_events") == 5
    assert live.column("c1") == 7


def test_ids_and_rows_lead_to_each_other(space: WorkspaceFolder) -> None:
    write(space, values_of())
    live = representation.live_version(space)
    ids = pl.DataFrame({"user_id": ["u40", "stranger", "u3", "u3", "U3", " u3"]})
    assert user_index.match(live, ids).tolist() == [3, 40]
    assert user_index.user_ids(live, np.array([40, 3, 17])).to_list() == ["u40", "u3", "u17"]
    assert user_index.user_ids(live, np.zeros(0, np.int64)).to_list() == []


def test_the_manifest_holds_the_hash_of_every_file(space: WorkspaceFolder) -> None:
    write(space, values_of())
    live = representation.live_version(space)
    files = {file.name for file in live.folder.iterdir()} - {"manifest.json"}
    assert live.manifest["sha256"] == {name: sha256(live.folder / name) for name in files}


def test_two_versions_are_kept_and_the_newest_is_live(space: WorkspaceFolder) -> None:
    for seed in range(4):
        write(space, values_of(seed))
    assert sorted(p.name for p in space.embeddings.iterdir()) == ["CURRENT", "v000003", "v000004"]
    assert np.array_equal(
        representation.live_version(space).gather(np.arange(USERS)), whole(values_of(3)).astype(np.float32)
    )


def test_a_reader_that_began_on_the_old_version_keeps_it(space: WorkspaceFolder) -> None:
    write(space, values_of(0))
    old = representation.live_version(space)
    write(space, values_of(1))
    assert np.array_equal(old.gather(np.arange(USERS)), whole(values_of(0)).astype(np.float32))


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_a_write_that_breaks_off_leaves_the_old_version_live_and_readable(space: WorkspaceFolder, after: int) -> None:
    write(space, values_of(0))
    calls = []

    def breaks(first: int, last: int) -> dict[str, NDArray[np.float32]]:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(first)
        return {block: values[first:last] for block, values in values_of(1).items()}

    with pytest.raises(KeyboardInterrupt):
        write(space, values_of(1), compute=breaks)
    live = representation.live_version(space)
    assert live.folder.name == "v000001"
    assert np.array_equal(live.gather(np.arange(USERS)), whole(values_of(0)).astype(np.float32))
    assert not list(space.embeddings.glob(f"{TEMPORARY_PREFIX}*"))


def test_a_kill_between_the_rename_and_the_pointer_leaves_the_old_version(
    space: WorkspaceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(space, values_of(0))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            write(space, values_of(1))
    assert representation.live_version(space).folder.name == "v000001"
    assert write(space, values_of(2)) == "v000003"
    assert np.array_equal(
        representation.live_version(space).gather(np.arange(USERS)), whole(values_of(2)).astype(np.float32)
    )


# --- damage ----------------------------------------------------------------------------------------------------------


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def cut_into_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:20])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove(file: Path) -> None:
    file.unlink()


def fewer_rows(file: Path) -> None:
    np.save(file, np.load(file)[:-1])


def pickled(file: Path) -> None:
    np.save(file, np.array([{"run": "me"}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("damage", [shorten, cut_into_the_header, empty, remove, fewer_rows, pickled])
@pytest.mark.parametrize("name", ["sequence-00000", "aggregates-00003", "tie-00002"])
def test_a_damaged_shard_is_a_state_error(space: WorkspaceFolder, damage: Callable[[Path], None], name: str) -> None:
    write(space, values_of())
    damage(space.embeddings / "v000001" / f"{name}.npy")
    live = representation.live_version(space)
    with pytest.raises(StateError, match=name):
        live.gather(np.arange(USERS))
    with pytest.raises(StateError, match=name):
        list(representation.live_version(space).stream(8))


def wider_block(manifest: dict[str, Any]) -> None:
    manifest["blocks"]["content"] += 1


def more_users(manifest: dict[str, Any]) -> None:
    manifest["shards"][0] += 1


@pytest.mark.parametrize("change", [wider_block, more_users])
def test_a_manifest_of_another_shape_is_a_state_error(
    space: WorkspaceFolder, change: Callable[[dict[str, Any]], None]
) -> None:
    write(space, values_of())
    path = space.embeddings / "v000001" / "manifest.json"
    manifest = read_json(path)
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(StateError):
        representation.live_version(space).gather(np.arange(3))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"blocks": {}}', '{"blocks": {"sequence": 3}, "shards": []}'])
def test_a_manifest_that_cannot_be_one_is_a_state_error(space: WorkspaceFolder, content: str) -> None:
    write(space, values_of())
    (space.embeddings / "v000001" / "manifest.json").write_text(content)
    with pytest.raises(StateError):
        representation.live_version(space)


@pytest.mark.parametrize("pointer", ["", "v000099\n", "../../elsewhere\n", "\n"])
def test_a_pointer_to_nowhere_is_a_state_error(space: WorkspaceFolder, pointer: str) -> None:
    write(space, values_of())
    (space.embeddings / "CURRENT").write_text(pointer)
    with pytest.raises(StateError):
        representation.live_version(space)


def test_nothing_trained_is_a_state_error(space: WorkspaceFolder) -> None:
    with pytest.raises(StateError, match="no encoder was trained"):
        representation.live_version(space)


def spoil(live: representation.Representation, row: int, column: int, figure: float) -> None:
    """Writes a figure into the shard that holds it, as a damaged disk would."""
    number = int(np.searchsorted(live.starts, row, side="right")) - 1
    block, (first, _) = next(one for one in live.spans.items() if one[1][0] <= column < one[1][1])
    live.manifest.pop("fingerprints", None)  # which look at a few pages only
    file = np.load(live.folder / f"{block}-{number:05d}.npy", mmap_mode="r+")
    file[row - live.starts[number], column - first] = figure
    file.flush()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_figure_that_is_none_is_a_state_error(space: WorkspaceFolder, bad: float) -> None:
    write(space, values_of())
    live = representation.live_version(space)
    spoil(live, 20, live.spans["content"][0] + 1, bad)
    with pytest.raises(StateError, match="no numbers"):
        live.gather(np.arange(USERS))


def test_a_shard_of_another_version_is_told_by_its_content(space: WorkspaceFolder) -> None:
    write(space, values_of(0))
    old = representation.live_version(space)
    write(space, values_of(1))
    live = representation.live_version(space)
    name = "content-00000.npy"
    assert (old.folder / name).stat().st_size == (live.folder / name).stat().st_size
    shutil.copy(old.folder / name, live.folder / name)
    with pytest.raises(StateError, match=f"{name}: is not what was written"):
        live.gather(np.arange(USERS))


def test_another_versions_ids_are_refused(space: WorkspaceFolder) -> None:
    write(space, values_of(0))
    live = representation.live_version(space)
    frame = pl.read_parquet(live.ids).with_columns(pl.col("user_id").reverse())
    frame.write_parquet(live.ids)
    with pytest.raises(StateError, match="is not what was written"):
        user_index.match(live, pl.DataFrame({"user_id": ["u1"]}))


@pytest.mark.parametrize("figure", [np.nan, 1e6])
def test_a_figure_that_halves_cannot_hold_is_never_stored(space: WorkspaceFolder, figure: float) -> None:
    values = values_of()
    values["aggregates"][3, 2] = figure
    with pytest.raises(StateError, match="no number"):
        write(space, values)
    assert not representation.has_live_version(space)


def test_the_vectors_of_a_real_training_are_whole(tiny_run: Tiny, tmp_path: Path) -> None:
    """Every user of the log in order of the id, unit vectors where there are items, numbers everywhere."""
    copy = WorkspaceFolder(tmp_path / "copy")
    shutil.copytree(tiny_run.workspace.embeddings, copy.embeddings)
    live: Representation = representation.live_version(copy)
    everybody = np.arange(live.users)
    assert user_index.user_ids(live, everybody).to_list() == sorted(tiny_run.population.user_ids)
    vectors = live.gather(everybody)
    for block in ("sequence", "content"):
        assert np.allclose(np.linalg.norm(vectors[:, live.columns(block)], axis=1), 1, atol=2e-3)
    events = np.expm1(vectors[:, live.column("log_events")])
    assert np.allclose(events, tiny_run.population.activity, rtol=5e-3)

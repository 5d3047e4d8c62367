"""The workspace: whole files and folders or none, one writer, and what a killed one left put right."""

import json
import os
from pathlib import Path

import pytest

from lookalike.errors import SettingsError, StateError
from lookalike.workspace import files
from lookalike.workspace.files import new_folder, read_json, reserve_space, sha256, write_json, write_text
from lookalike.workspace.paths import WorkspaceFolder, checked_name


class Failure(Exception):
    pass


@pytest.fixture
def space(tmp_path: Path) -> WorkspaceFolder:
    made = WorkspaceFolder(tmp_path / "space")
    with made.locked(create=True):
        made.database.touch()
    return made


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_paths_lie_in_the_workspace(tmp_path: Path) -> None:
    space = WorkspaceFolder(tmp_path)
    places = (space.database, space.settings, space.runs, space.embeddings, space.audiences, space.audience("a"))
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert list(tmp_path.iterdir()) == []  # nothing is made by naming it


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "0", "x" * 100])
def test_plain_name_is_kept(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "a\\b", ".a", "-a", "a..b", "a b", "a\n", "ä", "x" * 101]
)
def test_name_that_is_no_plain_file_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        checked_name(name)


# --- files -----------------------------------------------------------------------------------------------------------


def test_text_is_written_whole_and_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "one\r\ntwo\n")
    assert (tmp_path / "file").read_bytes() == b"one\r\ntwo\n"
    assert names(tmp_path) == {"file"}


def test_text_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "file", "old")

    def refuse(*_: object) -> None:
        raise Failure

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(Failure):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    value = {"name": "שלום \u202e <b>", "figures": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", "name", "figures") == value


def test_json_never_holds_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"lift": float("nan")})
    assert names(tmp_path) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1}'])
def test_json_that_is_damaged_or_lacks_something_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StateError) as raised:
        read_json(tmp_path / "a.json", "name")
    assert raised.value.message.startswith(f"{tmp_path / 'a.json'}: ")


def test_missing_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_reserved_file_has_its_space_and_its_content(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.write(b"head")
        file.truncate(1_000_000)
    reserve_space(tmp_path / "sparse")
    found = os.stat(tmp_path / "sparse")
    assert (found.st_size, found.st_blocks * 512 >= 1_000_000) == (1_000_000, True)
    assert (tmp_path / "sparse").read_bytes()[:5] == b"head\x00"


# --- folders ---------------------------------------------------------------------------------------------------------


def test_new_folder_takes_the_place_of_the_old_whole(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with new_folder(tmp_path / "a") as folder:
            (folder / content).write_text(content)
        assert names(tmp_path / "a") == {content}
    assert names(tmp_path) == {"a"}


def test_folder_that_fails_while_it_is_filled_leaves_the_old_one(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as folder:
        (folder / "old").touch()

    def fail() -> None:
        with new_folder(tmp_path / "a") as folder:
            (folder / "new").touch()
            raise Failure

    with pytest.raises(Failure):
        fail()
    assert names(tmp_path / "a") == {"old"}
    assert names(tmp_path) == {"a"}


def test_everything_in_a_new_folder_is_flushed_before_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, swap = files._flush, files._swap
    monkeypatch.setattr(files, "_flush", lambda path: (done.append(path.name), flush(path)))
    monkeypatch.setattr(files, "_swap", lambda old, new: (done.append("swap"), swap(old, new)))
    with new_folder(tmp_path / "a") as folder:
        (folder / "one").touch()
        (folder / "two").touch()
    assert done == ["one", "two", folder.name, "swap", tmp_path.name]


# --- the lock --------------------------------------------------------------------------------------------------------


def test_lock_makes_no_workspace_unless_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing was ingested"), WorkspaceFolder(tmp_path / "no").locked():
        pass
    assert names(tmp_path) == set()


def test_lock_keeps_a_second_one_out_and_says_who_holds_it(space: WorkspaceFolder) -> None:
    with space.locked(), pytest.raises(StateError, match=f"process {os.getpid()} is working"), space.locked():
        pass


def test_lock_ends_with_its_block_whatever_happens(space: WorkspaceFolder) -> None:
    with pytest.raises(Failure), space.locked():
        raise Failure
    with space.locked():
        pass


def test_lock_sweeps_what_a_killed_one_left(space: WorkspaceFolder) -> None:
    for folder in (space.root, space.runs, space.embeddings, space.audiences):
        (folder / ".tmp-x").mkdir(parents=True)
        (folder / ".tmp-x" / "half").touch()
        (folder / ".tmp-file").touch()
        (folder / "kept").touch()
    with space.locked():
        pass
    assert [path for path in space.root.rglob("*") if path.name.startswith(".tmp-")] == []
    assert len([path for path in space.root.rglob("kept")]) == 4


def test_folder_that_stepped_aside_is_put_back_when_its_successor_never_came(space: WorkspaceFolder) -> None:
    aside = space.audiences / ".old-spring"
    aside.mkdir(parents=True)
    (aside / "manifest.json").write_text(json.dumps({"name": "spring"}))
    with space.locked():
        pass
    assert names(space.audiences) == {"spring"}
    assert names(space.audiences / "spring") == {"manifest.json"}


def test_folder_that_stepped_aside_goes_when_its_successor_came(space: WorkspaceFolder) -> None:
    for name in (".old-spring", "spring"):
        (space.audiences / name).mkdir(parents=True)
        (space.audiences / name / name).touch()
        (space.audiences / name / "manifest.json").touch()
    with space.locked():
        pass
    assert names(space.audiences) == {"spring"}
    assert names(space.audiences / "spring") == {"spring", "manifest.json"}

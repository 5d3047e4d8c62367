"""Files and folders are replaced as a whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike.errors import StateError
from lookalike.workspace import files
from lookalike.workspace.files import (
    Replaced,
    new_file,
    new_folder,
    next_version,
    read_json,
    reserve_space,
    sha256,
    versions,
    write_json,
    write_text,
)
from lookalike.workspace.paths import WorkspaceFolder


class Interrupted(Exception):
    """Raised while something is being written."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- files -----------------------------------------------------------------------------------------------------------


def test_text_is_written_unchanged(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "one\r\ntwo\n")
    assert (tmp_path / "file").read_bytes() == b"one\r\ntwo\n"
    assert names(tmp_path) == {"file"}


def test_a_failed_replacement_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "file", "old")

    def fail(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(Interrupted):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_an_error_while_a_file_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")

    def fail() -> None:
        with new_file(tmp_path / "file") as temporary:
            temporary.write_text("half of the new")
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_json_is_read_back_unchanged(tmp_path: Path) -> None:
    value = {"name": "שלום \u202e <b>", "figures": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_nan_is_not_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"lift": float("nan")})
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff"],
    ids=["empty", "cut short", "a list", "null", "not text"],
)
def test_damaged_json_is_a_state_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StateError) as raised:
        read_json(tmp_path / "a.json")
    assert raised.value.message.startswith(f"{tmp_path / 'a.json'}: ")


def test_missing_json_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_sha256_matches_a_published_value(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_reserved_file_has_its_space_and_its_content(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.write(b"head")
        file.truncate(1_000_000)
    reserve_space(tmp_path / "sparse")
    status = os.stat(tmp_path / "sparse")
    assert status.st_size == 1_000_000
    assert status.st_blocks * 512 >= 1_000_000
    assert (tmp_path / "sparse").read_bytes()[:5] == b"head\x00"


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_new_folder_replaces_the_old_one(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with new_folder(tmp_path / "a") as folder:
            (folder / content).write_text(content)
        assert names(tmp_path / "a") == {content}
    assert names(tmp_path) == {"a"}


def test_an_error_while_a_folder_is_filled_leaves_the_old_one(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as folder:
        (folder / "old").touch()

    def fail() -> None:
        with new_folder(tmp_path / "a") as folder:
            (folder / "new").touch()
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert names(tmp_path / "a") == {"old"}
    assert names(tmp_path) == {"a"}


# --- what becomes of the folder before -------------------------------------------------------------------------------


def replaced(path: Path, content: str, fate: Replaced) -> None:
    with new_folder(path, lambda _: fate) as folder:
        (folder / "file").write_text(content)
        (folder / content).touch()


def test_earlier_folders_are_kept_in_order_with_all_that_is_in_them(tmp_path: Path) -> None:
    for content in ("one", "two", "three"):
        replaced(tmp_path / "a", content, Replaced.KEPT)
    assert names(tmp_path / "a") == {"file", "three", "earlier"}
    assert versions(tmp_path / "a") == ["v001", "v002"]
    assert next_version(tmp_path / "a") == "v003"
    assert names(tmp_path / "a" / "earlier" / "v001") == {"file", "one"}
    assert names(tmp_path / "a" / "earlier" / "v002") == {"file", "two"}
    replaced(tmp_path / "a", "four", Replaced.MERGED)
    assert names(tmp_path / "a") == {"file", "three", "four", "earlier"}
    assert (tmp_path / "a" / "file").read_text() == "four"
    assert versions(tmp_path / "a") == ["v001", "v002"]
    assert names(tmp_path) == {"a"}


@pytest.mark.parametrize("fate", Replaced)
def test_a_folder_that_is_a_link_is_let_go_and_its_target_stays(tmp_path: Path, fate: Replaced) -> None:
    (elsewhere := tmp_path / "elsewhere" / "earlier").mkdir(parents=True)
    (elsewhere / "letter").touch()
    (space := tmp_path / "space").mkdir()
    (space / "a").symlink_to(elsewhere.parent)
    for content in ("one", "two"):
        replaced(space / "a", content, fate)
    assert not (space / "a").is_symlink()
    assert names(elsewhere) == {"letter"}
    assert names(tmp_path / "elsewhere") == {"earlier"}


@pytest.mark.parametrize("fate", [Replaced.MERGED, Replaced.KEPT])
@pytest.mark.parametrize("died_at", range(1, 8))
def test_whatever_call_a_process_dies_at_the_old_or_the_new_is_there_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: Replaced, died_at: int
) -> None:
    workspace = WorkspaceFolder(tmp_path)
    workspace.database.touch()
    folder = workspace.audience("a")
    for content in ("one", "two"):
        replaced(folder, content, Replaced.KEPT)
    calls = [0]

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            calls[0] += 1
            if calls[0] >= died_at:
                raise Interrupted
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patched, contextlib.suppress(Interrupted):
        for name in ("rename", "mkdir"):
            patched.setattr(os, name, dying(getattr(os, name)))
        patched.setattr(shutil, "rmtree", dying(shutil.rmtree))
        replaced(folder, "three", fate)
    workspace.clean_up()
    now = (folder / "file").read_text()
    assert now in ("two", "three")
    everything = {path.name for path in folder.rglob("*")}
    assert {"one", "two"} <= everything
    if fate is Replaced.KEPT and now == "three":
        assert versions(folder) == ["v001", "v002"]
    assert names(workspace.audiences) == {"a"}


def test_everything_in_a_new_folder_is_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    flush, swap = files._flush, files._swap
    monkeypatch.setattr(files, "_flush", lambda path: (calls.append(path.name), flush(path)))
    monkeypatch.setattr(files, "_swap", lambda *folders: (calls.append("swap"), swap(*folders)))
    with new_folder(tmp_path / "a") as folder:
        (folder / "one").touch()
        (folder / "two").touch()
    assert calls == ["one", "two", folder.name, "swap", tmp_path.name]


def test_what_is_written_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_text(tmp_path / "file", "x")
        with new_folder(tmp_path / "outer" / "folder") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "file").touch(0o666)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"file": 0o600, "outer": 0o700, "folder": 0o700, "inner": 0o700}


@pytest.mark.parametrize("dangling", [False, True])
def test_a_folder_that_is_a_link_is_replaced_and_its_target_stays(tmp_path: Path, dangling: bool) -> None:
    if not dangling:
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with new_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "link").iterdir()] == ["new"]
    assert (tmp_path / "target" / "kept").exists() is not dangling
    assert {path.name for path in tmp_path.iterdir()} == {"link", "target"} - ({"target"} if dangling else set())

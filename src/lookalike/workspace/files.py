"""Writing files and folders atomically, and recognising them again.

Everything is written beside its final name, flushed, and renamed, so a reader sees the old version or the new one. What is
written tells of people: only its owner can read it.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from lookalike.errors import StateError

TEMPORARY_PREFIX = ".lookalike-tmp-"
EARLIER_PREFIX = ".old-"  # of a folder that an earlier program was replacing
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_OUR_KEYS = ({"audience", "outputs"}, {"run", "sha256"})  # of the manifests of lists, and of runs and vectors
EARLIER = "earlier"  # in a folder: those it took the place of, as v001, v002, …
_VERSION = re.compile(r"v(\d{3,9})")


class Replaced(Enum):
    """What becomes of a folder that another takes the place of; the value is the prefix of its name until that is done."""

    REMOVED = ".lookalike-old-"
    MERGED = ".lookalike-same-"  # what the new one lacks is moved there
    KEPT = ".lookalike-kept-"  # in the new one's `earlier`, with all that were there already


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which replaces `path` when the block ends without an error."""
    temporary = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE_FILE))
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces a file with `text`."""
    with new_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Replaces a file with `value` as JSON. Raises ValueError for NaN and infinity, which JSON cannot hold."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, hint: str = "run the command that wrote it again") -> dict[str, Any]:
    """One JSON object. Raises StateError with the hint when the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{path}: cannot be read ({error})", hint) from error
    if not isinstance(value, dict):
        raise StateError(f"{path}: is not a JSON object", hint)
    return value


@contextlib.contextmanager
def new_folder(path: Path, replaced: Callable[[Path], Replaced] = lambda _: Replaced.REMOVED) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path` when the block ends without an error.

    `replaced` says of the full folder what becomes of the one before it.
    """
    make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir(_PRIVATE_FOLDER)
    try:
        yield temporary
        fate = replaced(temporary)
        for file in sorted(temporary.rglob("*")):
            file.chmod(_PRIVATE_FOLDER if file.is_dir() else _PRIVATE_FILE)
            _flush(file)
        _flush(temporary)
        _swap(temporary, path, fate)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Makes a folder, and those it is in, unless they are there."""
    for folder in reversed([path, *path.parents]):
        if not folder.is_dir():
            folder.mkdir(_PRIVATE_FOLDER, exist_ok=True)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with all that is in it; of a link only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _swap(temporary: Path, path: Path, fate: Replaced) -> None:
    if not os.path.lexists(path):
        os.rename(temporary, path)
        return
    # a rename cannot replace a full folder: the old one is renamed first, to a name that the next command recognises
    old = path.parent / f"{fate.value}{path.name}"
    os.rename(path, old)
    os.rename(temporary, path)
    _flush(path.parent)
    settle(old, path, fate)


def settle(old: Path, path: Path, fate: Replaced) -> None:
    """Ends the replacement of the folder `path`, wherever a killed process left it: `old` has been renamed.

    It is put back if its successor never arrived. That came by one rename: it is complete, or not there at all, and no link.
    """
    if path.is_symlink():
        path.unlink()
    if not os.path.lexists(path):
        os.rename(old, path)
    elif fate is Replaced.KEPT:
        _keep(old, path / EARLIER)
    else:
        for entry in sorted(old.iterdir()) if fate is Replaced.MERGED and not old.is_symlink() else ():
            if not os.path.lexists(path / entry.name):
                os.rename(entry, path / entry.name)
        with contextlib.suppress(OSError):
            remove(old)


def has_our_manifest(folder: Path) -> bool:
    """Whether it is a folder, and no link, with a manifest of a list, a run or vectors."""
    manifest = folder / "manifest.json"
    if folder.is_symlink() or manifest.is_symlink() or not manifest.is_file():
        return False
    try:
        keys = read_json(manifest).keys()
    except StateError:
        return False
    return {"schema_version", "created"} <= keys and any(kind <= keys for kind in _OUR_KEYS)


def _keep(old: Path, earlier: Path) -> None:
    """Moves the folder to the earlier ones, and those that it has itself before it."""
    if not old.is_symlink() and (old / EARLIER).is_dir() and not (old / EARLIER).is_symlink():
        os.rename(old / EARLIER, earlier)
    earlier.mkdir(_PRIVATE_FOLDER, exist_ok=True)
    os.rename(old, earlier / next_version(earlier.parent))
    _flush(earlier)


def versions(folder: Path) -> list[str]:
    """The names of the earlier folders that one keeps, oldest first."""
    found = [path.name for path in (folder / EARLIER).glob("v*") if _VERSION.fullmatch(path.name)]
    return sorted(found, key=lambda name: int(name[1:]))


def next_version(folder: Path) -> str:
    """The name that the folder will have among the earlier ones."""
    kept = versions(folder)
    return f"v{int(kept[-1][1:]) + 1 if kept else 1:03d}"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reserve_space(path: Path) -> None:
    """Allocates the disk space of a file that is about to be filled through a memory map. Raises OSError when there is
    none: the map itself would end the process with a signal."""
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

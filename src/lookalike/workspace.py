"""Where things lie in a workspace, who may write to it, and how a file or folder is put in place whole.

Everything is written beside its final name, flushed, and renamed: a killed process leaves the old state and some
rubbish whose name begins with `.tmp-`, which the next command that takes the lock removes. A folder that was stepping
aside for its successor (`.old-NAME`) is put back if the successor never arrived.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.errors import SettingsError, StateError

TEMPORARY = ".tmp-"
ASIDE = ".old-"
_PAGE, _PAGES = 4_096, 16  # bytes, and how many of them a fingerprint reads
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Workspace:
    """The folder a client's data live in. Holds paths only; nothing is opened."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "lookalike.duckdb"

    @property
    def settings(self) -> Path:
        return self.root / "lookalike.toml"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    @property
    def audiences(self) -> Path:
        return self.root / "audiences"

    def audience(self, name: str) -> Path:
        """The folder of one expansion. Raises SettingsError when the name could lead out of the workspace."""
        return self.audiences / checked_name(name)

    @contextlib.contextmanager
    def locked(self, *, make: bool = False) -> Iterator[None]:
        """Keeps a second process out while this one writes. Raises StateError when one is already at work, or when
        there is no workspace and `make` is not given."""
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        elif not self.database.exists():
            raise StateError(f"{self.root}: nothing was ingested into this workspace", "lookalike ingest FILES")
        with open(self.root / ".lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip()
                who = f"process {holder}" if holder.isdigit() else "another process"
                raise StateError(
                    f"{self.root}: {who} is working on this workspace",
                    "wait until it ends, or name another --workspace",
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._clean()
            yield

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the workspace's disk for what is too large for memory; gone afterwards."""
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.root) as folder:
            yield Path(folder)

    def _clean(self) -> None:
        expansions = (folder for folder in self.audiences.glob("*") if folder.is_dir())
        for folder in (self.root, self.runs, self.embeddings, self.audiences, *expansions):
            for rubbish in folder.glob(f"{TEMPORARY}*"):
                shutil.rmtree(rubbish) if rubbish.is_dir() else rubbish.unlink()
            for aside in folder.glob(f"{ASIDE}*"):
                successor = folder / aside.name.removeprefix(ASIDE)
                # its successor came by one rename: it is there whole, or not at all
                shutil.rmtree(aside) if successor.exists() else os.rename(aside, successor)


def checked_name(name: str) -> str:
    """The name unchanged. Raises SettingsError unless it is one plain file name."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise SettingsError(
            f"{name[:60]!r} cannot be the name of an audience or a run",
            "use letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 100",
        )
    return name


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Gives a file to write; when the block ends well it takes the place of `path`, whole."""
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Puts a whole file in place, or leaves the old one."""
    with new_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """One JSON object. Raises StateError when the file is missing or damaged, or lacks a key that is needed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateError(f"{path}: cannot be read ({error})", "run the command that wrote it again") from error
    if not isinstance(value, dict):
        raise StateError(f"{path}: holds no JSON object", "run the command that wrote it again")
    if lacking := [key for key in needed if key not in value]:
        raise StateError(f"{path}: lacks {', '.join(lacking)}", "run the command that wrote it again")
    return value


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives a folder to fill; when the block ends well it takes the place of `path`, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _flush(file)
        _flush(temporary)
        _swap(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, path: Path) -> None:
    if not path.exists():
        os.rename(temporary, path)
        return
    # A folder cannot replace a full one in one step; the old one steps aside under a name that `_clean` knows.
    aside = path.parent / f"{ASIDE}{path.name}"
    os.rename(path, aside)
    os.rename(temporary, path)
    shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reserve(path: Path) -> None:
    """Takes the disk space of a file that is about to be filled through a memory map. Raises OSError when there is none:
    the map itself would meet a full disk with a signal that ends the process without a word."""
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def fingerprint(path: Path) -> str:
    """A hash of a file's size and of a few pages spread over it: whether it is the file that was written, at a glance."""
    size = path.stat().st_size
    found = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for part in range(_PAGES):
            file.seek(max(0, size - _PAGE) * part // (_PAGES - 1))
            found.update(file.read(_PAGE))
    return found.hexdigest()[:32]


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

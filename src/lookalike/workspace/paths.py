"""Where things are in a workspace, and who may write to it.

A killed process leaves the old state and some temporary files (`.lookalike-tmp-…`), which the next command that takes the lock
removes. A folder that was being replaced (`.lookalike-old-NAME`, `-same-`, `-kept-`) is put back if its successor never
arrived.
"""

import contextlib
import fcntl
import itertools
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from lookalike.errors import SettingsError, StateError
from lookalike.workspace.files import (
    EARLIER_PREFIX,
    TEMPORARY_PREFIX,
    Replaced,
    has_our_manifest,
    make_folder,
    remove,
    settle,
)

_PATIENCE = 0.5  # seconds
_SESSION = uuid.uuid4().hex  # tells this process from an earlier one with the same number
_SPILL = re.compile(re.escape(TEMPORARY_PREFIX) + r"duckdb-(\d{1,9})-([0-9a-f]{32})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class WorkspaceFolder:
    """The paths of a workspace and its lock. Nothing is opened."""

    root: Path

    def __post_init__(self) -> None:
        """Raises SettingsError for a path that DuckDB cannot open: it takes ? for the end of the name, \\ for /."""
        path = os.path.realpath(self.root)
        if re.search(r"[?\\\udc80-\udcff]", path):
            shown = path.encode(errors="replace").decode()
            raise SettingsError(
                f"{shown}: a workspace cannot be in a folder whose name has '?', a backslash, or is not UTF-8",
                "rename the folder, or name another --workspace",
            )

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
    def spill(self) -> Path:
        """Where the database puts what does not fit in memory, a folder of this process alone: readers take no lock."""
        return self.root / f"{TEMPORARY_PREFIX}duckdb-{os.getpid()}-{_SESSION}"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    @property
    def audiences(self) -> Path:
        return self.root / "audiences"

    def audience(self, name: str) -> Path:
        """The folder of one expansion. Raises SettingsError when the name could lead out of the workspace."""
        return self.audiences / checked_name(name)

    def holds(self, path: Path) -> bool:
        """Whether a path is inside the workspace, and no link on the way leads out of it."""
        return path.resolve().is_relative_to(self.root.resolve())

    def require_database(self) -> None:
        """Raises StateError when nothing was ingested."""
        if not self.database.exists():
            raise nothing_ingested(self.root)

    @contextlib.contextmanager
    def locked(self, *, create: bool = False) -> Iterator[bool]:
        """Keeps other processes from writing. Gives whether others could read until now what an earlier program wrote.

        Raises StateError when a process is writing already, or when there is no workspace and `create` is not given.
        """
        if create:
            make_folder(self.root)
        else:
            self.require_database()
        self._refuse_links()
        with _private_files(), self._lock_file() as file, _copies_in(self.root):
            self._take(file)
            file.seek(0)  # whoever waited has read it
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            self._clean_up()
            yield self._make_private()

    def _make_private(self) -> bool:
        """Takes from others the rights that files of an earlier program give them; whether there were any."""
        if not (self.database.exists() and self.database.stat().st_mode & 0o077):
            return False
        for path in (self.database, Path(f"{self.database}.wal"), self.runs, self.embeddings, self.audiences):
            if path.exists():
                path.chmod(0o700 if path.is_dir() else 0o600)
        return True

    def _take(self, file: TextIO) -> None:
        """Takes the lock. Waits a moment for who only cleans up; raises StateError if another process is working."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip()
                if time.monotonic() < give_up and holder != str(os.getpid()):
                    time.sleep(_PATIENCE / 10)
                    continue
                who = f"process {holder}" if holder.isdecimal() else "another process"
                who = "another call of this program" if holder == str(os.getpid()) else who
                raise StateError(
                    f"{self.root}: {who} is working on this workspace",
                    "wait until it ends, or name another --workspace",
                ) from error

    def _refuse_links(self) -> None:
        """Raises StateError if what is written to is a link: its target is not the workspace's."""
        for path in (self.runs, self.embeddings, self.audiences, self.database, Path(f"{self.database}.wal")):
            if path.is_symlink():
                raise StateError(
                    f"{path}: is a link, and nothing outside the workspace is written",
                    "move what it leads to here, or name the --workspace where that is",
                )

    def is_shared(self) -> bool:
        """Whether others than the owner can look into the folder."""
        return self.root.exists() and bool(self.root.stat().st_mode & 0o077)

    def _lock_file(self) -> TextIO:
        """The open lock file, which is created if it is missing. Raises StateError if it is a link: its target is not ours."""
        path = self.root / ".lock"
        try:
            return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
        except OSError as error:
            if not path.is_symlink():
                raise
            raise StateError(f"{path}: is a link", "delete it; the program makes a file of its own") from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the workspace's disk, for what is too large for memory."""
        with temporary_folder(self.root) as folder:
            yield folder

    def clean_up(self) -> None:
        """Removes what a killed command left, unless another process is writing or this one may not. Without left-overs no
        lock is taken: it would stop a command that is just beginning."""
        prefixes = (TEMPORARY_PREFIX, *(fate.value for fate in Replaced))
        found = (path for prefix in prefixes for path in self._left_overs(prefix) if not _is_in_use(path))
        if any(True for _ in itertools.chain(found, self._replaced_before())):
            with contextlib.suppress(StateError, OSError), self.locked():
                pass

    def _left_overs(self, prefix: str) -> Iterator[Path]:
        expansions = (folder for folder in self.audiences.glob("*") if folder.is_dir() and not folder.is_symlink())
        for folder in (self.root, self.runs, self.embeddings, self.audiences, *expansions):
            yield from folder.glob(f"{prefix}*")

    def _replaced_before(self) -> Iterator[Path]:
        """Folders that an earlier program was replacing when it was killed: `.old-NAME`, without a successor and with a
        manifest like ours. All others of that name may be anybody's."""
        for folder in (self.runs, self.embeddings, self.audiences):
            for old in folder.glob(f"{EARLIER_PREFIX}*"):
                if not os.path.lexists(_successor(old, EARLIER_PREFIX)) and has_our_manifest(old):
                    yield old

    def _clean_up(self) -> None:
        for left_over in self._left_overs(TEMPORARY_PREFIX):
            if not _is_in_use(left_over):
                remove(left_over)
        for fate in Replaced:
            for old in self._left_overs(fate.value):
                settle(old, _successor(old, fate.value), fate)
        for old in list(self._replaced_before()):
            os.rename(old, _successor(old, EARLIER_PREFIX))


def _successor(old: Path, prefix: str) -> Path:
    return old.with_name(old.name.removeprefix(prefix))


def _is_in_use(path: Path) -> bool:
    """Whether it is where a process that still runs spills what it reads from the database."""
    spill = _SPILL.fullmatch(path.name)
    if not spill:
        return False
    process, session = int(spill[1]), spill[2]
    if process == os.getpid():
        return session == _SESSION
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, and is another user's
        pass
    return True


_copies: ContextVar[Path | None] = ContextVar("_copies", default=None)


@contextlib.contextmanager
def _copies_in(folder: Path) -> Iterator[None]:
    token = _copies.set(folder)
    try:
        yield
    finally:
        _copies.reset(token)


@contextlib.contextmanager
def temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """A temporary folder, in `place`; if not given, in the workspace that is locked, so that what a killed process leaves
    of a list of people stays there, for the next command to delete."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=place or _copies.get()) as folder:
        yield Path(folder)


_umask_lock = threading.Lock()
_umask: list[int] = []  # the process's own mask, once for each block that is under way


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Lets whatever is created inside, by libraries too, be its owner's alone. The mask is that of the whole process."""
    with _umask_lock:
        _umask.append(os.umask(0o077) if not _umask else _umask[0])
    try:
        yield
    finally:
        with _umask_lock:
            own = _umask.pop()
            if not _umask:
                os.umask(own)


class NothingIngested(StateError):
    """There is no database, or an empty one."""


def nothing_ingested(root: Path) -> NothingIngested:
    return NothingIngested(f"{root}: nothing was ingested into this workspace", "lookalike ingest FILES")


def checked_name(name: str) -> str:
    """The name unchanged. Raises SettingsError unless it is one plain file name."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise SettingsError(
            f"{name[:60]!r} cannot be the name of an audience or a run",
            "use letters, digits, '-', '_' and '.', starting with a letter or digit, at most 100 characters",
        )
    return name

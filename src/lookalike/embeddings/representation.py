"""What is stored per user: versions of named blocks of columns, in shards of memory-mapped float16.

    embeddings/vNNNNNN/  sequence-00000.npy  content-00000.npy  aggregates-00000.npy  tie-00000.npy  …  [n, width]
                         users.parquet (`row`, `user_id`, `events`)  manifest.json
    embeddings/CURRENT   the name of the live version, replaced in one step

A version is written beside the others and becomes live whole; a reader that began on the old one keeps it.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lookalike.data.schema import SourceFile
from lookalike.embeddings.layout import BLOCKS, BlockLayout
from lookalike.errors import StateError
from lookalike.workspace.files import fingerprint
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.records import FileRecord

MAX_OPEN_SHARDS = 32  # shards, of four files each


class VersionManifest(FileRecord):
    """What a version holds and what it was made from."""

    schema_version: Literal[1] = 1
    run: str
    created: str
    as_of: datetime
    everybody_as_of: datetime  # when every user was last embedded: later refreshes keep the vectors of some
    min_events: int
    files: tuple[SourceFile, ...]
    last_file: int
    blocks: dict[str, int]
    columns: dict[str, tuple[str, ...]]
    refreshed: int
    versions: dict[str, str]
    users: int = 0
    shards: tuple[int, ...] = ()
    sha256: dict[str, str] = Field(default_factory=dict)
    fingerprints: dict[str, str] = Field(default_factory=dict)
    largest: dict[str, tuple[float, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Representation:
    """One version, open for reading. Rows are user rows; columns are those of the blocks asked for, side by side."""

    folder: Path
    manifest: VersionManifest
    only: int | None = None  # the one shard that is streamed; all of them if not given

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process of a cluster, the files are opened there again, not sent."""
        return Representation, (self.folder.resolve(), self.manifest, self.only)

    @property
    def users(self) -> int:
        return self.manifest.users

    @property
    def ids(self) -> Path:
        """The Parquet that says which user a row is."""
        return self.folder / "users.parquet"

    @property
    def version(self) -> str:
        return self.folder.name

    @cached_property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.manifest.blocks, self.manifest.columns["aggregates"])

    def columns(self, *blocks: str) -> NDArray[np.int64]:
        return self.layout.columns(*blocks)

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        return self.layout.spans

    @property
    def width(self) -> int:
        return self.layout.width

    def column(self, name: str) -> int:
        return self.layout.column(name)

    @cached_property
    def _read_largest(self) -> dict[tuple[int, str], float]:
        return {}

    @cached_property
    def _open_shards(self) -> dict[int, dict[str, NDArray[Any]]]:
        return {}

    def _shard(self, number: int) -> dict[str, NDArray[Any]]:
        """The files of a shard, mapped. Only some shards stay open: every one of them holds file descriptors."""
        if number not in self._open_shards:
            if len(self._open_shards) >= MAX_OPEN_SHARDS:
                self._open_shards.pop(next(iter(self._open_shards)))
            self._open_shards[number] = self._open(number, self.manifest.shards[number])
        return self._open_shards[number]

    def _parts(self, rows: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """For each shard that holds some of the ascending rows: which of them, their places in it, and its files."""
        ends = np.searchsorted(rows, self.starts)
        for number in np.flatnonzero(np.diff(ends)):
            part = slice(int(ends[number]), int(ends[number + 1]))
            yield part, rows[part] - self.starts[number], self._shard(int(number))

    def _open(self, number: int, users: int) -> dict[str, NDArray[Any]]:
        shard = {}
        for block in (*BLOCKS, "tie"):
            path = self.folder / f"{block}-{number:05d}.npy"
            try:
                # "c": a read-only map would make torch warn; this one cannot change the file either
                shard[block] = np.load(path, mmap_mode="c", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise StateError(f"{path}: damaged or missing ({error})", "lookalike embed --full") from error
            width = () if block == "tie" else (self.manifest.blocks[block],)
            if shard[block].shape != (users, *width):
                raise StateError(
                    f"{path}: holds {shard[block].shape}, expected {(users, *width)}", "lookalike embed --full"
                )
            kind = np.uint64 if block == "tie" else np.float16
            if shard[block].dtype != kind or not shard[block].flags.c_contiguous:
                raise StateError(f"{path}: holds no rows of {kind.__name__}", "lookalike embed --full")
            self.check_file(path)
        return shard

    def check_file(self, path: Path) -> None:
        """Raises StateError where a file is not the one that was written with this version."""
        known = self.manifest.fingerprints.get(path.name)  # none of a version written before there were any
        try:
            found = fingerprint(path)
        except OSError as error:
            raise StateError(f"{path}: damaged or missing ({error})", "lookalike embed --full") from error
        if known not in (None, found):
            raise StateError(f"{path}: is not what was written with this version", "lookalike embed --full")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.manifest.shards, dtype=np.int64)])

    def largest(self, row: int, blocks: tuple[str, ...]) -> dict[str, float]:
        """The largest absolute figure of each of the blocks in the shard that holds a row."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        if self.manifest.largest:
            return {block: self.manifest.largest[block][number] for block in blocks}
        for block in blocks:  # of a version that was written before this was kept
            if (number, block) not in self._read_largest:
                self._read_largest[number, block] = max_abs(self._shard(number)[block])
                check_finite(np.array(self._read_largest[number, block]), self.folder)
        return {block: self._read_largest[number, block] for block in blocks}

    def stream(
        self, rows: int, blocks: tuple[str, ...] = BLOCKS
    ) -> Iterator[tuple[int, list[NDArray[np.float16]], NDArray[np.uint64]]]:
        """All users in order, `rows` at a time: the first row, each of the blocks [n, width], and the ties [n].

        Steps are counted from each shard's start, so that a row's place in a step never depends on its reader.
        """
        before: list[NDArray[Any]] = []
        for number in range(len(self.manifest.shards)) if self.only is None else (self.only,):
            start, shard = self.starts[number], self._shard(number)
            files = [shard[block] for block in (*blocks, "tie")]
            _advise(files, "MADV_WILLNEED")
            for first in range(0, len(shard["tie"]), rows):
                part = slice(first, first + rows)
                yield int(start) + first, [shard[block][part] for block in blocks], shard["tie"][part]
            # else what was read counts as ours until another wants the memory; a reader may be a few steps behind, and
            # would fetch again what was let go of too early
            _advise(before, "MADV_DONTNEED")
            before = files
        _advise(before, "MADV_DONTNEED")

    def raw(self, rows: NDArray[np.int64], blocks: tuple[str, ...] = BLOCKS) -> dict[str, NDArray[np.float16]]:
        """Each of the blocks of some users exactly as it is stored, [n, width]. `rows` ascend."""
        found = {block: np.empty((len(rows), self.manifest.blocks[block]), np.float16) for block in blocks}
        for part, places, shard in self._parts(rows):
            for block in blocks:
                found[block][part] = shard[block][places]
        return found

    def ties(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The hashes that order equal scores, of some users, [n]. `rows` ascend."""
        found = np.empty(len(rows), np.uint64)
        for part, places, shard in self._parts(rows):
            found[part] = shard["tie"][places]
        return found

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The whole representation of some users, [n, W]. `rows` ascend. Raises StateError on a figure that is none."""
        out = np.empty((len(rows), self.width), np.float32)
        for part, places, shard in self._parts(rows):
            for block, (first, last) in self.spans.items():
                out[part, first:last] = shard[block][places]
        check_finite(out, self.folder)
        return out


def _advise(files: list[NDArray[Any]], advice: str) -> None:
    """Tells the system what will be read, or was; where it cannot be told, only time and memory suffer."""
    for file in files:
        mapped = getattr(file, "_mmap", None)
        if mapped is not None and hasattr(mmap, advice):
            mapped.madvise(getattr(mmap, advice))


def max_abs(values: NDArray[np.float16]) -> float:
    """The largest absolute figure; no number where one of them is none."""
    # among halves of one sign the bits are in order, and those that are no numbers come last
    bits = max(int(values.view(np.int16).max(initial=0)), int(values.view(np.uint16).max(initial=0)) & 0x7FFF)
    return float(np.uint16(bits).view(np.float16))


def check_finite(values: NDArray[Any], folder: Path) -> None:
    """Raises StateError when a stored or computed figure is NaN or infinite: something is damaged, no order would be right."""
    if not np.isfinite(values).all():
        raise not_finite_error(folder)


def not_finite_error(folder: Path) -> StateError:
    return StateError(f"{folder}: holds values that are no numbers", "lookalike embed --full writes the vectors anew")


def has_live_version(workspace: WorkspaceFolder) -> bool:
    """Whether there is a live version of this program's making."""
    try:
        return bool(live_version(workspace))
    except StateError:
        return False


def live_version(workspace: WorkspaceFolder) -> Representation:
    """The live version. Raises StateError when nothing was trained or it is damaged."""
    pointer = workspace.embeddings / "CURRENT"
    if not pointer.exists():
        raise StateError("no encoder was trained in this workspace", "lookalike train")
    folder = workspace.embeddings / os.path.basename(pointer.read_text().strip())
    manifest = VersionManifest.read(
        folder / "manifest.json", "lookalike embed --run RUN writes the vectors anew; lookalike status"
    )
    if set(manifest.blocks) != set(BLOCKS) or not manifest.shards:
        raise StateError(f"{folder}: the manifest does not fit this version of lookalike", "lookalike train")
    return Representation(folder, manifest)

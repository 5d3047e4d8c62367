"""What is stored per user: versions of named blocks of columns, in shards of memory-mapped float16.

    embeddings/vNNNNNN/  sequence-00000.npy  content-00000.npy  aggregates-00000.npy  tie-00000.npy  …  [n, width]
                         users.parquet (`row`, `user_id`, `events`)  manifest.json
    embeddings/CURRENT   the name of the live version, replaced in one step

A version is written beside the others and becomes live as a whole; a reader that began on the old version keeps it.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.embeddings.layout import BLOCKS, BlockLayout
from lookalike.embeddings.manifest import MANIFEST, VersionManifest
from lookalike.embeddings.shards import TIE, ShardReader, advise
from lookalike.errors import StateError
from lookalike.workspace.files import read_json
from lookalike.workspace.paths import WorkspaceFolder

CURRENT = "CURRENT"
VERSION_NAME = re.compile(r"v[0-9]{6,}")


@dataclass(frozen=True)
class Representation:
    """One version, open for reading: a vector of W columns for each user row."""

    folder: Path
    manifest: VersionManifest
    only: int | None = None  # the one shard that is streamed; all of them if not given

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the folder and not the open files, so that another process of a cluster opens them itself."""
        return Representation, (self.folder.resolve(), self.manifest, self.only)

    @property
    def version(self) -> str:
        return self.folder.name

    @property
    def users(self) -> int:
        return self.manifest.users

    @cached_property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.manifest.blocks, self.manifest.columns["aggregates"])

    @cached_property
    def _reader(self) -> ShardReader:
        return ShardReader(self.folder, self.manifest)

    def gather(self, rows: Rows) -> NDArray[np.float32]:
        """All columns of some users, [n, W]. `rows` ascend. Raises StateError if a value is NaN or infinite."""
        vectors = np.empty((len(rows), self.layout.width), np.float32)
        for part, positions, shard in self._reader.parts(rows):
            for block, (first, last) in self.layout.spans.items():
                vectors[part, first:last] = shard[block][positions]
        check_finite(vectors, self.folder)
        return vectors

    def raw(self, rows: Rows, blocks: tuple[str, ...] = BLOCKS) -> dict[str, NDArray[np.float16]]:
        """Some blocks of some users exactly as stored, [n, width] each. `rows` ascend."""
        values = {block: np.empty((len(rows), self.manifest.blocks[block]), np.float16) for block in blocks}
        for part, positions, shard in self._reader.parts(rows):
            for block in blocks:
                values[block][part] = shard[block][positions]
        return values

    def ties(self, rows: Rows) -> NDArray[np.uint64]:
        """The hashes of some users that order equal scores, [n]. `rows` ascend."""
        ties = np.empty(len(rows), np.uint64)
        for part, positions, shard in self._reader.parts(rows):
            ties[part] = shard[TIE][positions]
        return ties

    def largest(self, row: int, blocks: tuple[str, ...]) -> dict[str, float]:
        """The largest absolute value of each of the blocks in the shard that holds a row."""
        number = self._reader.number_of(row)
        return {block: self.manifest.largest[block][number] for block in blocks}

    def stream(
        self, rows: int, blocks: tuple[str, ...] = BLOCKS
    ) -> Iterator[tuple[int, list[NDArray[np.float16]], NDArray[np.uint64]]]:
        """All users in order, `rows` at a time: the first row, each of the blocks [n, width], and the ties [n].

        Steps start anew with every shard, so that a row's position in its step is the same for every reader.
        """
        previous: list[NDArray[Any]] = []
        for number in range(len(self.manifest.shards)) if self.only is None else (self.only,):
            start, shard = int(self._reader.starts[number]), self._reader.shard(number)
            files = [shard[block] for block in (*blocks, TIE)]
            advise(files, "MADV_WILLNEED")
            for first in range(0, len(shard[TIE]), rows):
                step = slice(first, first + rows)
                yield start + first, [shard[block][step] for block in blocks], shard[TIE][step]
            # pages that were read would count as this process's memory until another process needs it; those of the
            # shard just read stay, because the consumer may be a few steps behind and would have to read them again
            advise(previous, "MADV_DONTNEED")
            previous = files
        advise(previous, "MADV_DONTNEED")


def check_finite(values: NDArray[Any], folder: Path) -> None:
    """Raises StateError if a stored or computed value is NaN or infinite: users could not be ordered by it."""
    if not np.isfinite(values).all():
        raise not_finite_error(folder)


def not_finite_error(folder: Path) -> StateError:
    return StateError(f"{folder}: contains NaN or infinite values", "lookalike embed --full writes the vectors again")


def has_live_version(workspace: WorkspaceFolder) -> bool:
    """Whether there is a live version that can be read."""
    try:
        live_version(workspace)
    except StateError:
        return False
    return True


def live_name(workspace: WorkspaceFolder) -> str:
    """The name of the live version. Raises StateError if the pointer is damaged or missing."""
    pointer = workspace.embeddings / CURRENT
    try:
        name = pointer.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        raise StateError(f"{pointer}: damaged or missing ({error})") from error
    if not VERSION_NAME.fullmatch(name):
        raise StateError(f"{pointer}: does not name a version")
    return name


def live_version(workspace: WorkspaceFolder) -> Representation:
    """The live version. Raises StateError if nothing was trained, or if its manifest is damaged."""
    if not (workspace.embeddings / CURRENT).exists():
        raise StateError("no encoder was trained in this workspace", "lookalike train")
    try:
        folder = workspace.embeddings / live_name(workspace)
        manifest = VersionManifest.read(folder / MANIFEST)
    except StateError as error:
        raise StateError(error.message, _how_to_write_again(workspace)) from error
    if set(manifest.blocks) != set(BLOCKS) or "aggregates" not in manifest.columns:
        raise StateError(f"{folder}: the manifest does not fit this version of lookalike", "lookalike train")
    return Representation(folder, manifest)


def _how_to_write_again(workspace: WorkspaceFolder) -> str:
    """The command, with the run of the vectors that cannot be read; if that cannot be told, the newest."""
    runs = sorted(file.parent.name for file in workspace.runs.glob("r*/manifest.json"))
    if not runs:
        return "lookalike train"
    run = None
    with contextlib.suppress(StateError):
        run = read_json(workspace.embeddings / live_name(workspace) / MANIFEST).get("run")
    return f"lookalike embed --run {run if run in runs else runs[-1]} writes the vectors again"

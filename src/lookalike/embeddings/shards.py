"""Reads the files of a version: each is checked against the manifest, mapped into memory, and kept open for a while."""

import mmap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.embeddings.checksum import checksum
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.manifest import VersionManifest
from lookalike.errors import StateError

TIE = "tie"  # the file with the hashes that order equal scores
MAX_OPEN_SHARDS = 32  # of four files each: every open file takes a file descriptor
_HINT = "lookalike embed --full"
# What NumPy raises for a damaged file: it reads the header as if it were Python.
_NO_ARRAY = (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, OverflowError, MemoryError)

Shard = dict[str, NDArray[Any]]  # each block [n, width], and the ties [n]


def shard_file(block: str, number: int) -> str:
    """The name of the file of one block, or of the ties, in one shard."""
    return f"{block}-{number:05d}.npy"


def check_file(folder: Path, manifest: VersionManifest, name: str) -> Path:
    """The path of a file of a version. Raises StateError unless every byte is as it was written with the version."""
    path = folder / name
    try:
        current = checksum(path)
    except OSError as error:
        raise StateError(f"{path}: damaged or missing ({error})", _HINT) from error
    if current != manifest.checksums.get(name):
        raise StateError(f"{path}: is not the file that was written with this version", _HINT)
    return path


def advise(shard_files: list[NDArray[Any]], advice: str) -> None:
    """Tells the system that mapped files will be read, or are no longer needed; where it cannot, only speed suffers."""
    for array in shard_files:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mmap, advice):
            mapped.madvise(getattr(mmap, advice))


@dataclass(frozen=True)
class ShardReader:
    """The shards of one version. Shard i holds the user rows starts[i] : starts[i + 1]."""

    folder: Path
    manifest: VersionManifest

    @cached_property
    def starts(self) -> Rows:
        """[shards + 1]"""
        return np.concatenate([[0], np.cumsum(self.manifest.shards, dtype=np.int64)])

    def number_of(self, row: int) -> int:
        """The number of the shard that holds a row."""
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def shard(self, number: int) -> Shard:
        """The mapped files of a shard. Raises StateError when one of them is damaged or missing."""
        if number not in self._open_shards:
            if len(self._open_shards) >= MAX_OPEN_SHARDS:
                self._open_shards.pop(next(iter(self._open_shards)))
            self._open_shards[number] = {block: self._open(block, number) for block in (*BLOCKS, TIE)}
        return self._open_shards[number]

    @cached_property
    def _open_shards(self) -> dict[int, Shard]:
        return {}

    def _open(self, block: str, number: int) -> NDArray[Any]:
        path = self.folder / shard_file(block, number)
        try:
            # mode "c": a read-only map would make torch warn; changes to this one never reach the file either
            array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
        except _NO_ARRAY as error:
            raise StateError(f"{path}: damaged or missing ({error})", _HINT) from error
        width = () if block == TIE else (self.manifest.blocks[block],)
        shape, dtype = (self.manifest.shards[number], *width), np.uint64 if block == TIE else np.float16
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise StateError(
                f"{path}: has {array.dtype} values of shape {array.shape}, not {dtype.__name__} of shape {shape}", _HINT
            )
        check_file(self.folder, self.manifest, path.name)
        return array

    def parts(self, rows: Rows) -> Iterator[tuple[slice, Rows, Shard]]:
        """For each shard that holds some of the ascending rows: their slice of `rows`, their rows in it, and its files."""
        ends = np.searchsorted(rows, self.starts)
        for number in np.flatnonzero(np.diff(ends)):
            part = slice(int(ends[number]), int(ends[number + 1]))
            yield part, rows[part] - self.starts[number], self.shard(int(number))

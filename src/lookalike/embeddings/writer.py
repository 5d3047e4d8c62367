"""Writes a version of the stored vectors, shard by shard: beside the others, and live in one step when it is complete.

Its layout is described in `representation`, which reads it.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.embeddings.checksum import checksum
from lookalike.embeddings.manifest import MANIFEST, USERS_FILE, VersionFacts, VersionManifest
from lookalike.embeddings.representation import CURRENT, VERSION_NAME, live_name
from lookalike.embeddings.shards import TIE, shard_file
from lookalike.errors import StateError
from lookalike.workspace.executor import Columns, Executor
from lookalike.workspace.files import new_folder, remove, sha256, write_text
from lookalike.workspace.paths import WorkspaceFolder

USERS_PER_SHARD = 262_144
USERS_PER_STEP = 16_384
KEPT_VERSIONS = 2

# What is known of each file of a shard. `largest` is the largest absolute value, 0 for ties.
FILE_COLUMNS = {
    "shard": pl.Int64,
    "users": pl.Int64,
    "block": pl.String,
    "sha256": pl.String,
    "checksum": pl.String,
    "largest": pl.Float64,
}

# User rows first, last -> each block of the users first : last, [n, width].
ComputeBlocks = Callable[[int, int], dict[str, NDArray[np.floating[Any]]]]


@dataclass(frozen=True)
class BlockWork:
    """What computes the blocks, and the executor that runs it; this process if there is none."""

    compute: ComputeBlocks
    executor: Executor | None = None


def write_version(
    workspace: WorkspaceFolder, users: Path, work: BlockWork, facts: VersionFacts, on_users: Callable[[int], None]
) -> str:
    """Writes a version and makes it live; gives its name.

    `users` is the Parquet file with `row`, `user_id`, `tie` and `events`; `on_users` is told how many users are written.
    """
    name = _next_name(workspace)
    count = pl.scan_parquet(users, glob=False).select(pl.len()).collect().item()
    with new_folder(workspace.embeddings / name) as folder:
        shards = ShardWriter(folder.resolve(), users.resolve(), (count, USERS_PER_SHARD), work.compute)
        files = _write_shards(shards, work.executor, on_users)
        pl.scan_parquet(users, glob=False).drop("tie").sink_parquet(folder / USERS_FILE)
        _manifest(facts, shards, files, folder / USERS_FILE).write(folder / MANIFEST)
    write_text(workspace.embeddings / CURRENT, name + "\n")
    _prune(workspace)
    return name


def _write_shards(shards: "ShardWriter", executor: Executor | None, on_users: Callable[[int], None]) -> pl.DataFrame:
    """Writes all shards; gives a line for each file, by shard (see `ShardWriter.write`)."""
    if executor is None:
        parts = [shards.write(number, on_users) for number in shards.numbers]
    else:
        parts, users = [], 0
        for written in executor.each(shards.write, shards.numbers):
            users_of_shards = dict(zip(written["shard"].tolist(), written["users"].tolist(), strict=True))
            on_users(users := users + sum(users_of_shards.values()))
            parts.append(written)
    columns = {name: [value for part in parts for value in part[name].tolist()] for name in FILE_COLUMNS}
    return pl.DataFrame(columns, FILE_COLUMNS).sort("shard", maintain_order=True)


def _manifest(facts: VersionFacts, shards: "ShardWriter", files: pl.DataFrame, users_file: Path) -> VersionManifest:
    names = [shard_file(block, number) for block, number in files.select("block", "shard").iter_rows()]
    largest = {
        block: tuple(files.filter(pl.col("block") == block)["largest"])
        for block in files["block"].unique(maintain_order=True)
        if block != TIE
    }
    return VersionManifest(
        **dict(facts),
        users=shards.counts[0],
        without_events=pl.scan_parquet(users_file, glob=False).select((pl.col("events") == 0).sum()).collect().item(),
        shards=tuple(shards.size(number) for number in shards.numbers),
        sha256=dict(zip(names, files["sha256"], strict=True)) | {users_file.name: sha256(users_file)},
        checksums=dict(zip(names, files["checksum"], strict=True)) | {users_file.name: checksum(users_file)},
        largest=largest,
    )


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shards of a version. Any process that sees the folder can write one of them."""

    folder: Path
    users: Path
    counts: tuple[int, int]  # of all users, and of those in one shard
    compute: ComputeBlocks

    @property
    def numbers(self) -> range:
        count, size = self.counts
        return range(-(-count // size))

    def span(self, number: int) -> tuple[int, int]:
        """The user rows of a shard: the first, and the one after the last."""
        count, size = self.counts
        return number * size, min((number + 1) * size, count)

    def size(self, number: int) -> int:
        first, last = self.span(number)
        return last - first

    def write(self, number: int, on_users: Callable[[int], None] = lambda users: None) -> Columns:
        """Writes the files of one shard, over what a lost worker may have left; gives FILE_COLUMNS with a line per file.

        Raises StateError if a value is NaN, infinite, or too large for half precision.
        """
        files: dict[str, _HashedFile] = {}
        with contextlib.ExitStack() as stack:
            for block, values in self._values(number, on_users):
                if block not in files:
                    file = stack.enter_context(open(self.folder / shard_file(block, number), "wb"))
                    files[block] = _HashedFile(file, (self.size(number), *values.shape[1:]), values.dtype)
                files[block].add(values)
            checksums = [file.flushed_checksum() for file in files.values()]
        return {
            "shard": np.full(len(files), number),
            "users": np.full(len(files), self.size(number)),
            "block": np.array(list(files)),
            "sha256": np.array([file.hash.hexdigest() for file in files.values()]),
            "checksum": np.array(checksums),
            "largest": np.array([file.largest for file in files.values()]),
        }

    def _values(self, number: int, on_users: Callable[[int], None]) -> Iterator[tuple[str, NDArray[Any]]]:
        """The blocks of a shard as they are stored, step by step, and its ties."""
        first, last = self.span(number)
        for begin in range(first, last, USERS_PER_STEP):
            end = min(begin + USERS_PER_STEP, last)
            for block, values in self.compute(begin, end).items():
                with np.errstate(over="ignore"):  # an overflow is refused when it is written
                    halves = values.astype(np.float16)
                yield block, halves
            on_users(end)
        ties = pl.scan_parquet(self.users, glob=False).slice(first, last - first).select("tie").collect()["tie"]
        yield TIE, ties.to_numpy().astype(np.uint64)


class _HashedFile:
    """A .npy file that is written from start to end and hashed on the way."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file, self.largest, self.hash = file, 0.0, hashlib.sha256()
        header = io.BytesIO()
        description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, description)
        self._write(header.getbuffer())

    def add(self, rows: NDArray[Any]) -> None:
        """Writes the next rows. Raises StateError if one of them, in half precision, is NaN or infinite."""
        if rows.dtype == np.float16:
            self.largest = max(self.largest, largest := max_abs(rows))
            if not np.isfinite(largest):
                raise StateError(
                    f"{self.file.name}: would contain NaN or infinite values", "lookalike embed --full, or train"
                )
        self._write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def _write(self, data: memoryview) -> None:
        self.file.write(data)
        self.hash.update(data)

    def flushed_checksum(self) -> str:
        """The checksum of the file, once its content is on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return checksum(Path(self.file.name))


def max_abs(values: NDArray[np.float16]) -> float:
    """The largest absolute value; NaN or infinity if any value is."""
    # as integers, the bits of halves of one sign are in the order of the values, and infinity and NaN come last
    bits = max(int(values.view(np.int16).max(initial=0)), int(values.view(np.uint16).max(initial=0)) & 0x7FFF)
    return float(np.uint16(bits).view(np.float16))


def _next_name(workspace: WorkspaceFolder) -> str:
    numbers = [int(path.name[1:]) for path in _versions(workspace)]
    return f"v{max(numbers, default=0) + 1:06d}"


def _prune(workspace: WorkspaceFolder) -> None:
    """Deletes all but the newest versions and the live one."""
    live = live_name(workspace)
    for old in _versions(workspace)[:-KEPT_VERSIONS]:
        if old.name != live:
            remove(old)


def _versions(workspace: WorkspaceFolder) -> list[Path]:
    return sorted(path for path in workspace.embeddings.glob("v*") if VERSION_NAME.fullmatch(path.name))

"""Writes a version of what is stored per user, shard by shard: beside the others, live in one step when it is whole.

How it is laid out stands in `embeddings`, which reads it.
"""

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.embeddings.representation import VersionManifest, max_abs
from lookalike.errors import StateError
from lookalike.workspace.executor import Columns, Executor
from lookalike.workspace.files import fingerprint, new_folder, sha256, write_text
from lookalike.workspace.paths import WorkspaceFolder

USERS_PER_SHARD = 262_144


USERS_PER_STEP = 16_384


KEPT_VERSIONS = 2


ComputeBlocks = Callable[
    [int, int], dict[str, NDArray[np.floating[Any]]]
]  # user rows first, last -> each block [n, width]


@dataclass(frozen=True)
class BlockWork:
    """What is to be computed, and by what: an engine, or this process."""

    compute: ComputeBlocks
    executor: Executor | None = None


def write_version(
    workspace: WorkspaceFolder, users: Path, work: BlockWork, facts: VersionManifest, on_users: Callable[[int], None]
) -> str:
    """Writes a version, makes it live, and gives its name. `users` is the Parquet of rows; `facts` goes into the manifest."""
    name = _next_name(workspace)
    count = pl.scan_parquet(users).select(pl.len()).collect().item()
    with new_folder(workspace.embeddings / name) as folder:
        shards = _Shards(folder.resolve(), users.resolve(), (count, USERS_PER_SHARD), work.compute)
        if work.executor is None:
            parts = [shards.write(number, on_users) for number in shards.numbers]
        else:
            parts, done = [], 0
            for written in work.executor.each(shards.write, shards.numbers):
                on_users(done := done + int(written["users"].sum()))
                parts.append(written)
        pl.scan_parquet(users).drop("tie").sink_parquet(ids := folder / "users.parquet")
        manifest = _together(parts)
        manifest["sha256"][ids.name], manifest["fingerprints"][ids.name] = sha256(ids), fingerprint(ids)
        facts.model_copy(update={"users": count, "shards": tuple(shards.sizes), **manifest}).write(
            folder / "manifest.json"
        )
    write_text(workspace.embeddings / "CURRENT", name + "\n")
    _prune(workspace)
    return name


@dataclass(frozen=True)
class _Shards:
    """The shards of a version that is being written. Any process that sees the folder can write one of them."""

    folder: Path
    users: Path
    counts: tuple[int, int]  # of all users, and of those in one shard
    compute: ComputeBlocks

    @property
    def numbers(self) -> range:
        count, size = self.counts
        return range(-(-count // size))

    def span(self, number: int) -> tuple[int, int]:
        """The user rows of a shard, first and last."""
        count, size = self.counts
        return number * size, min((number + 1) * size, count)

    @property
    def sizes(self) -> list[int]:
        return [last - first for first, last in map(self.span, self.numbers)]

    def write(self, number: int, on_users: Callable[[int], None] = lambda done: None) -> Columns:
        """Writes one shard of every block, over what a lost worker may have left of it.

        Gives its number, how many users it holds, and of each block the hashes of its file and the largest absolute
        figure. Raises StateError where one is no number.
        """
        first, last = self.span(number)
        with contextlib.ExitStack() as stack:
            files: dict[str, _File] = {}

            def add(block: str, values: NDArray[Any]) -> None:
                if block not in files:
                    file = stack.enter_context(open(self.folder / f"{block}-{number:05d}.npy", "wb"))
                    files[block] = _File(file, (last - first, *values.shape[1:]), values.dtype)
                files[block].add(values)

            for begin in range(first, last, USERS_PER_STEP):
                end = min(begin + USERS_PER_STEP, last)
                for block, values in self.compute(begin, end).items():
                    with np.errstate(over="ignore"):  # what is too large for a half is refused
                        add(block, values.astype(np.float16))
                on_users(end)
            ties = pl.scan_parquet(self.users).slice(first, last - first).select("tie").collect()["tie"]
            add("tie", ties.to_numpy().astype(np.uint64))
            found: dict[str, Any] = {"shard": number, "users": last - first}
            for block, written in files.items():
                found |= {f"{mark}:{block}": value for mark, value in written.marks().items()}
        return {name: np.array([value]) for name, value in found.items()}


class _File:
    """A .npy file that is written from its start to its end, hashed on the way."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        self.file, self.largest, self.hash = file, 0.0, hashlib.sha256()
        header = io.BytesIO()
        facts = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        self._put(header.getbuffer())

    def add(self, rows: NDArray[Any]) -> None:
        """The next rows. Raises StateError where halves are no numbers."""
        if rows.dtype == np.float16:
            self.largest = max(self.largest, found := max_abs(rows))
            if not np.isfinite(found):
                raise StateError(f"{self.file.name}: would hold what is no number", "lookalike embed --full, or train")
        self._put(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def _put(self, data: memoryview) -> None:
        self.file.write(data)
        self.hash.update(data)

    def marks(self) -> dict[str, str | float]:
        """What is to be known of the file, which is then on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        path = Path(self.file.name)
        return {"sha256": self.hash.hexdigest(), "fingerprints": fingerprint(path), "largest": self.largest}


def _together(parts: list[Columns]) -> dict[str, dict[str, Any]]:
    """What the writers of the shards gave, in any order: the hashes by file, the largest figures by block and shard."""
    made: dict[str, dict[str, Any]] = {"sha256": {}, "fingerprints": {}, "largest": {}}
    rows = [{name: of[at] for name, of in part.items()} for part in parts for at in range(len(part["shard"]))]
    for row in sorted(rows, key=lambda one: int(one["shard"])):
        for name, value in row.items():
            mark, _, block = name.partition(":")
            if mark == "largest" and block != "tie":
                made[mark].setdefault(block, []).append(float(value))
            elif block and mark != "largest":
                made[mark][f"{block}-{int(row['shard']):05d}.npy"] = str(value)
    made["largest"] = {block: tuple(values) for block, values in made["largest"].items()}
    return made


def _next_name(workspace: WorkspaceFolder) -> str:
    taken = [int(p.name[1:]) for p in workspace.embeddings.glob("v*") if p.name[1:].isdigit()]
    return f"v{max(taken, default=0) + 1:06d}"


def _prune(workspace: WorkspaceFolder) -> None:
    live = (workspace.embeddings / "CURRENT").read_text().strip()
    versions = sorted(p for p in workspace.embeddings.glob("v*") if p.name[1:].isdigit())
    for old in versions[:-KEPT_VERSIONS]:
        if old.name != live:
            shutil.rmtree(old)

"""Writes a version of what is stored per user, shard by shard: beside the others, live in one step when it is whole.

How it is laid out stands in `embeddings`, which reads it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.embeddings import largest_of
from lookalike.engine import Columns, Engine
from lookalike.errors import StateError
from lookalike.workspace import Workspace, fingerprint, new_folder, reserve, sha256, write_json, write_text

USERS_PER_SHARD = 262_144
USERS_PER_STEP = 16_384
KEPT_VERSIONS = 2
LARGEST = "largest:"  # begins the name of what a shard's writer found
Compute = Callable[[int, int], dict[str, NDArray[np.floating[Any]]]]  # user rows first, last -> each block [n, width]


@dataclass(frozen=True)
class Work:
    """What is to be computed, and by what: an engine, or this process."""

    compute: Compute
    engine: Engine | None = None


def write(workspace: Workspace, users: Path, work: Work, facts: dict[str, Any], on_users: Callable[[int], None]) -> str:
    """Writes a version, makes it live, and gives its name. `users` is the Parquet of rows; `facts` goes into the manifest."""
    name = _next_name(workspace)
    count = pl.scan_parquet(users).select(pl.len()).collect().item()
    with new_folder(workspace.embeddings / name) as folder:
        shards = _Shards(folder.resolve(), users.resolve(), (count, USERS_PER_SHARD), work.compute)
        if work.engine is None:
            parts = [shards.write(number, on_users) for number in shards.numbers]
        else:
            parts, done = [], 0
            for written in work.engine.each(shards.write, shards.numbers):
                on_users(done := done + int(written["users"].sum()))
                parts.append(written)
        pl.scan_parquet(users).drop("tie").sink_parquet(folder / "users.parquet")
        names = sorted(folder.iterdir())
        marks = {"sha256": {f.name: sha256(f) for f in names}, "fingerprints": {f.name: fingerprint(f) for f in names}}
        files = {"users": count, "shards": shards.sizes, "largest": _largest(parts)}
        write_json(folder / "manifest.json", facts | files | marks)
    write_text(workspace.embeddings / "CURRENT", name + "\n")
    _prune(workspace)
    return name


@dataclass(frozen=True)
class _Shards:
    """The shards of a version that is being written. Any process that sees the folder can write one of them."""

    folder: Path
    users: Path
    counts: tuple[int, int]  # of all users, and of those in one shard
    compute: Compute

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

        Gives its number, how many users it holds, and the largest absolute figure of each block. Raises StateError where
        one is no number.
        """
        first, last = self.span(number)
        open_files: dict[str, NDArray[np.float16]] = {}
        largest: dict[str, float] = {}
        for begin in range(first, last, USERS_PER_STEP):
            end = min(begin + USERS_PER_STEP, last)
            for block, values in self.compute(begin, end).items():
                if block not in open_files:
                    path = self.folder / f"{block}-{number:05d}.npy"
                    shape = (last - first, values.shape[1])
                    open_files[block] = np.lib.format.open_memmap(path, "w+", np.float16, shape)
                    reserve(path)
                halves = open_files[block][begin - first : end - first]
                with np.errstate(over="ignore"):  # what is too large for a half is refused
                    halves[:] = values
                largest[block] = max(largest.get(block, 0.0), found := largest_of(halves))
                if not np.isfinite(found):
                    raise StateError(f"{block}: computed vectors hold what is no number", "lookalike train")
            on_users(end)
        for file in open_files.values():
            assert isinstance(file, np.memmap)
            file.flush()
        ties = pl.scan_parquet(self.users).slice(first, last - first).select("tie").collect()["tie"].to_numpy()
        np.save(self.folder / f"tie-{number:05d}.npy", ties.astype(np.uint64))
        written = {"shard": number, "users": last - first, **{LARGEST + block: one for block, one in largest.items()}}
        return {name: np.array([value]) for name, value in written.items()}


def _largest(parts: list[Columns]) -> dict[str, list[float]]:
    """The largest absolute figure of each block in each shard, from what the writers of the shards gave, in any order."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else {})}
    found = {name.removeprefix(LARGEST): values for name, values in whole.items() if name.startswith(LARGEST)}
    return {name: values[np.argsort(whole["shard"])].tolist() for name, values in found.items()}


def _next_name(workspace: Workspace) -> str:
    taken = [int(p.name[1:]) for p in workspace.embeddings.glob("v*") if p.name[1:].isdigit()]
    return f"v{max(taken, default=0) + 1:06d}"


def _prune(workspace: Workspace) -> None:
    live = (workspace.embeddings / "CURRENT").read_text().strip()
    versions = sorted(p for p in workspace.embeddings.glob("v*") if p.name[1:].isdigit())
    for old in versions[:-KEPT_VERSIONS]:
        if old.name != live:
            shutil.rmtree(old)

"""Writes a version of stored vectors from plain arrays, and damages it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.embeddings import writer
from lookalike.embeddings.checksum import checksum
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.representation import Representation
from lookalike.workspace.paths import WorkspaceFolder

WIDTHS = {"sequence": 3, "content": 2, "aggregates": 4}
USERS = 53
Values = dict[str, NDArray[np.float32]]


def values_of(seed: int = 0, users: int = USERS) -> Values:
    rng = np.random.default_rng(seed)
    return {block: rng.normal(0, 1, (users, width)).astype(np.float32) for block, width in WIDTHS.items()}


def facts_of(widths: dict[str, int], **changes: Any) -> VersionFacts:
    columns = ("log_events", *(f"c{n}" for n in range(widths["aggregates"] - 1)))
    facts = {
        "run": "r000001",
        "created": "now",
        "as_of": datetime(2024, 1, 1),
        "everybody_as_of": datetime(2024, 1, 1),
        "min_events": 1,
        "files": (),
        "last_file": 0,
        "blocks": widths,
        "columns": {"aggregates": columns},
        "refreshed": 0,
        "versions": {},
    }
    return VersionFacts(**(facts | changes))


def users_file(path: Path, users: int, ties: NDArray[np.uint64] | None = None) -> Path:
    """The users u0, u1, ... with their rows and ties."""
    frame = pl.DataFrame(
        {
            "row": np.arange(users, dtype=np.int32),
            "user_id": [f"u{n}" for n in range(users)],
            "tie": np.arange(users, dtype=np.uint64) * np.uint64(7919) % np.uint64(101) if ties is None else ties,
            "events": np.ones(users, np.int64),
        }
    )
    frame.write_parquet(path)
    return path


def write(
    workspace: WorkspaceFolder,
    values: Values,
    ties: NDArray[np.uint64] | None = None,
    work: writer.BlockWork | None = None,
    on_users: Callable[[int], None] = lambda done: None,
) -> str:
    """Writes a version with the values; gives its name."""
    workspace.root.mkdir(exist_ok=True)
    users = users_file(workspace.root / "in.parquet", len(values["sequence"]), ties)
    facts = facts_of({block: values[block].shape[1] for block in BLOCKS})
    return writer.write_version(workspace, users, work or writer.BlockWork(slices_of(values)), facts, on_users)


def slices_of(values: Values) -> writer.ComputeBlocks:
    return lambda first, last: {block: values[block][first:last] for block in BLOCKS}


def whole(values: Values) -> NDArray[np.float16]:
    """All blocks side by side as they are stored."""
    return np.hstack([values[block] for block in BLOCKS]).astype(np.float16)


def spoil(live: Representation, row: int, column: int, value: float) -> None:
    """Writes a value into the file that holds it, as a damaged disk would, with the checksum that it has then."""
    starts = np.concatenate([[0], np.cumsum(live.manifest.shards)])
    number = int(np.searchsorted(starts, row, side="right")) - 1
    block, (first, _) = next(span for span in live.layout.spans.items() if span[1][0] <= column < span[1][1])
    path = live.folder / f"{block}-{number:05d}.npy"
    array = np.load(path, mmap_mode="r+")
    array[row - starts[number], column - first] = value
    array.flush()
    live.manifest.checksums[path.name] = checksum(path)

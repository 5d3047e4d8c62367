"""Refreshing stored vectors: which users are embedded again, and the blocks of the new version.

Users with events that the stored version has not read are embedded again; the others keep their vectors, byte for byte.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from lookalike.data.arrays import Matrix, Rows
from lookalike.data.database import Database
from lookalike.data.id_encoding import Watermark, matched_user_rows
from lookalike.data.schema import SourceFile
from lookalike.data.sequences import Sequences
from lookalike.embeddings.manifest import VersionManifest
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder.embedder import USERS_PER_STEP, Embedder
from lookalike.encoder.results import (
    CutBeforeStored,
    FilesRemoved,
    FullRefreshRequested,
    RunChanged,
    TablesChanged,
    VectorsTooOld,
)
from lookalike.encoder.versions import LogSnapshot
from lookalike.workspace.progress import Message

MAX_AGE = timedelta(days=30)  # of kept vectors: the recency in them lags behind


@dataclass(frozen=True)
class RefreshPlan:
    """What the stored version has read. None if every user is embedded again, with a reason but for the first time."""

    watermark: Watermark | None
    reason: Message | None = None


def plan_refresh(stored: VersionManifest | None, run: str, snapshot: LogSnapshot, full: bool) -> RefreshPlan:
    """Decides whether only users with new events are embedded."""
    if stored is None:
        return RefreshPlan(None)
    reason = FullRefreshRequested() if full else _reason_for_full_refresh(stored, run, snapshot)
    return RefreshPlan(None, reason) if reason else RefreshPlan(Watermark(stored.as_of, stored.last_file))


def _reason_for_full_refresh(stored: VersionManifest, run: str, snapshot: LogSnapshot) -> Message | None:
    as_of = snapshot.cut.as_of
    if stored.run != run:
        return RunChanged(stored_run=stored.run, run=run)
    if as_of - stored.everybody_as_of > MAX_AGE:
        return VectorsTooOld(oldest=stored.everybody_as_of, max_days=MAX_AGE.days)
    if as_of < stored.as_of:
        return CutBeforeStored(as_of=as_of, stored_as_of=stored.as_of)
    if stored.last_file < snapshot.last_removal:
        return FilesRemoved()
    if _tables(snapshot.files) != _tables(stored.files):
        return TablesChanged()
    return None


def _tables(files: tuple[SourceFile, ...]) -> list[SourceFile]:
    """The tables of items and users, which may change what is known of every user."""
    return [file for file in files if file.kind != "events"]


@dataclass(frozen=True)
class VersionRows:
    """The users of a new version in order, [N]: their rows in the old version and among the changed users, or -1."""

    ids: Path  # Parquet that says which user a row is
    old: Rows
    changed: Rows
    removed: int = 0  # users of the old version who are not in the new one

    @property
    def kept(self) -> int:
        """Users who keep their vectors."""
        return int((self.changed < 0).sum())

    @classmethod
    def all_changed(cls, folder: Path, users: int) -> "VersionRows":
        """After the sequences of all users were built in `folder`."""
        return cls(folder / "users.parquet", np.full(users, -1), np.arange(users))

    @classmethod
    def matched(cls, opened: Database, folder: Path, live: Representation) -> "VersionRows":
        """After the sequences of the changed users were built in `folder`."""
        batches = list(matched_user_rows(opened, UserIndex(live).checked_file()))
        old, changed = (
            np.concatenate([np.zeros(0, np.int64), *(batch[name].to_numpy() for batch in batches)])
            for name in ("old", "changed")
        )
        return cls(folder / "all_users.parquet", old, changed, live.users - int((old >= 0).sum()))


@dataclass
class RefreshedBlocks:
    """Computes the blocks of consecutive users: from their events if those changed, else as they were stored.

    Changed users are embedded in large steps, and the last step is kept: of a hundred users only a few may have
    changed, and computing those alone would cost nearly as much as all of them.
    """

    embedder: Embedder
    sequences: Sequences  # of the changed users
    rows: VersionRows
    live: Representation | None
    _step: int = -1  # first changed user of the step that is kept
    _blocks: dict[str, Matrix] = field(default_factory=dict)

    def __call__(self, first: int, last: int) -> dict[str, Matrix]:
        """Each block of the users first : last of the new version, [n, width]."""
        changed = self.rows.changed[first:last]
        fresh, kept = np.flatnonzero(changed >= 0), np.flatnonzero(changed < 0)
        computed = self._changed_blocks(int(changed[fresh[0]]), int(changed[fresh[-1]]) + 1) if len(fresh) else {}
        if not len(kept):
            return computed
        assert self.live is not None, "only a stored vector can be kept"
        blocks: dict[str, Matrix] = dict(self.live.raw(self.rows.old[first:last][kept]))
        for name, values in computed.items():
            merged = np.empty((last - first, values.shape[1]), np.float16)
            merged[kept], merged[fresh] = blocks[name], values
            blocks[name] = merged
        return blocks

    def _changed_blocks(self, low: int, high: int) -> dict[str, Matrix]:
        """Each block of the changed users low : high. Asked for in ascending order, each step is computed once."""
        parts: list[dict[str, Matrix]] = []
        while low < high:
            step = low - low % USERS_PER_STEP
            self._compute_step(step)
            end = min(high, step + USERS_PER_STEP)
            parts.append({name: values[low - step : end - step] for name, values in self._blocks.items()})
            low = end
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _compute_step(self, step: int) -> None:
        if step != self._step:
            last = min(step + USERS_PER_STEP, self.sequences.users)
            self._step, self._blocks = step, self.embedder.blocks(self.sequences.block(step, last))

"""Which users a refresh embeds again, and where their blocks come from."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from lookalike.data.arrays import Matrix
from lookalike.data.database import Cut
from lookalike.data.id_encoding import Watermark
from lookalike.data.schema import SourceFile
from lookalike.data.sequences import Sequences
from lookalike.embeddings.manifest import VersionManifest
from lookalike.embeddings.representation import Representation
from lookalike.encoder import refresh
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.refresh import MAX_AGE, RefreshedBlocks, VersionRows
from lookalike.encoder.results import CutBeforeStored, FullRefreshRequested, RunChanged, TablesChanged, VectorsTooOld
from lookalike.encoder.versions import LogSnapshot
from lookalike.workspace.progress import Message
from stored_vectors import WIDTHS, facts_of
from synthetic_sequences import sequences_of

AS_OF = datetime(2024, 5, 1)
DAY = timedelta(days=1)
EVENTS = SourceFile(name="events.csv", sha256="1", kind="events")
MORE_EVENTS = SourceFile(name="more.csv", sha256="2", kind="events")
ITEMS = SourceFile(name="items.csv", sha256="3", kind="items")
STORED = VersionManifest(
    **dict(facts_of(WIDTHS, as_of=AS_OF, everybody_as_of=AS_OF - 5 * DAY, files=(EVENTS, ITEMS), last_file=2)),
    users=0,
    shards=(),
    sha256={},
    checksums={},
    largest={},
)


def snapshot(as_of: datetime, *files: SourceFile) -> LogSnapshot:
    return LogSnapshot(Cut(as_of), files, len(files))


def test_only_new_events_are_read_when_only_events_came() -> None:
    plan = refresh.plan_refresh(STORED, "r000001", snapshot(AS_OF + DAY, EVENTS, ITEMS, MORE_EVENTS), full=False)
    assert plan.watermark == Watermark(AS_OF, 2)
    assert plan.reason is None


@pytest.mark.parametrize(
    ("run", "as_of", "files", "full", "reason"),
    [
        ("r000001", AS_OF, (EVENTS, ITEMS), True, FullRefreshRequested()),
        ("r000002", AS_OF, (EVENTS, ITEMS), False, RunChanged(stored_run="r000001", run="r000002")),
        (
            "r000001",
            AS_OF - 5 * DAY + MAX_AGE + DAY,
            (EVENTS, ITEMS),
            False,
            VectorsTooOld(oldest=AS_OF - 5 * DAY, max_days=30),
        ),
        ("r000001", AS_OF - DAY, (EVENTS, ITEMS), False, CutBeforeStored(as_of=AS_OF - DAY, stored_as_of=AS_OF)),
        ("r000001", AS_OF, (EVENTS, ITEMS, ITEMS), False, TablesChanged()),
    ],
    ids=["requested", "another run", "too old", "an earlier cut", "tables"],
)
def test_every_user_is_embedded_again_for_a_reason(
    run: str, as_of: datetime, files: tuple[SourceFile, ...], full: bool, reason: Message
) -> None:
    plan = refresh.plan_refresh(STORED, run, snapshot(as_of, *files), full)
    assert plan.watermark is None
    assert plan.reason == reason


def test_the_first_embedding_needs_no_reason() -> None:
    plan = refresh.plan_refresh(None, "r000001", snapshot(AS_OF, EVENTS), full=False)
    assert (plan.watermark, plan.reason) == (None, None)


# --- blocks ----------------------------------------------------------------------------------------------------------


class FakeEmbedder:
    """The block of a user is the time of their one event. Counts the users it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def blocks(self, users: Sequences) -> dict[str, Matrix]:
        self.asked.append(users.users)
        return {"sequence": np.asarray(users["time"], np.float32)[:, None]}


class FakeVersion:
    """The block of a user is minus their row."""

    def raw(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"sequence": -rows[:, None].astype(np.float16)}


def test_blocks_are_computed_for_changed_users_and_copied_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "USERS_PER_STEP", 3)
    changed = np.array([-1, 0, 1, -1, -1, 2, 3, 4, 5, 6, -1])
    rows = VersionRows(Path("users.parquet"), np.arange(100, 111), changed)
    embedder, sequences = FakeEmbedder(), sequences_of([[10 * user] for user in range(7)])
    blocks = RefreshedBlocks(cast(Embedder, embedder), sequences, rows, cast(Representation, FakeVersion()))
    values = np.concatenate([blocks(first, min(first + 4, 11))["sequence"].ravel() for first in (0, 4, 8)])
    assert values.tolist() == [-100, 0, 10, -103, -104, 20, 30, 40, 50, 60, -110]
    assert embedder.asked == [3, 3, 1], "each step of three changed users is computed once"
    assert rows.kept == 4


def test_without_a_stored_version_every_block_is_computed(tmp_path: Path) -> None:
    sequences = sequences_of([[user] for user in range(5)])
    rows = VersionRows.all_changed(tmp_path, 5)
    blocks = RefreshedBlocks(cast(Embedder, FakeEmbedder()), sequences, rows, None)
    assert blocks(1, 4)["sequence"].ravel().tolist() == [1, 2, 3]
    assert (rows.kept, rows.removed) == (0, 0)

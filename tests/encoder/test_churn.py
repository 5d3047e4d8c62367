"""How much lists change between two versions, compared by person."""

from pathlib import Path

import numpy as np
import polars as pl

from conftest import Tiny
from lookalike.embeddings import representation, writer
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder.churn import list_churn
from lookalike.workspace.paths import WorkspaceFolder


def copied_version(folder: Path, live: Representation, rows: np.ndarray, noise: float = 0.0) -> Representation:
    """A copy of a version with these of its users, and noise of this size added to their vectors."""
    folder.mkdir()
    number = np.arange(len(rows))
    users = pl.read_parquet(UserIndex(live).checked_file())[rows.tolist()].with_columns(row=number, tie=number)
    users.write_parquet(folder / "users.parquet")
    order = np.argsort(rows)
    blocks = {}
    for block, values in live.raw(rows[order]).items():
        blocks[block] = np.empty_like(values)
        blocks[block][order] = values
    drawn = np.random.default_rng(0).normal(size=blocks["sequence"].shape) * noise
    blocks["sequence"] = blocks["sequence"] + drawn.astype(np.float16)
    facts = VersionFacts(**{name: getattr(live.manifest, name) for name in VersionFacts.model_fields})
    workspace = WorkspaceFolder(folder / "space")
    work = writer.BlockWork(lambda first, last: {block: blocks[block][first:last] for block in BLOCKS})
    writer.write_version(workspace, folder / "users.parquet", work, facts, lambda done: None)
    return representation.live_version(workspace)


def test_a_version_has_no_churn_against_itself_in_any_order_of_users(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    assert list_churn(live, live, 0) == 0
    shuffled = copied_version(tmp_path / "shuffled", live, np.random.default_rng(0).permutation(live.users))
    assert list_churn(live, shuffled, 0) == 0
    assert list_churn(shuffled, live, 0) == 0


def test_churn_grows_with_how_far_vectors_move(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    rows = np.arange(live.users)
    small, large = (
        list_churn(live, copied_version(tmp_path / str(noise), live, rows, noise), 0) for noise in (0.005, 10.0)
    )
    assert small is not None
    assert large is not None
    assert 0 < small < 0.3
    assert 0.85 < large < 1  # 5 % of the users are in two lists by chance


def test_churn_needs_enough_users_in_both_versions(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    assert list_churn(live, copied_version(tmp_path / "too few", live, np.arange(399)), 0) is None
    share = list_churn(live, copied_version(tmp_path / "enough", live, np.arange(100, 600)), 0)
    assert share == 0, "users of one version only are not counted"

"""Weights of an earlier run, in its own workspace and in another one: `train --from` and `embed --run`."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.api import train
from lookalike.embeddings import representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder.run_files import RunConfig, RunMetrics
from lookalike.errors import SettingsError
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import TrainSettings
from small_log import SETTINGS, Command, events, items

pytest_plugins = ("space_fixtures",)


def config(workspace: Path, run: str) -> RunConfig:
    return RunConfig.read(workspace / "runs" / run / "config.json")


def losses(workspace: Path, run: str) -> list[float]:
    return [epoch.loss for epoch in RunMetrics.read(workspace / "runs" / run / "metrics.json").history]


def test_train_from_a_run_has_its_shape_and_a_lower_first_loss(ready: Command) -> None:
    ran = ready("train", "--from", "r000001", "--epochs", "1", "--random-seed", "4")
    assert ran.code == 0, ran.err
    items_of_log = len(events()["item_id"].unique())
    assert f"continuing from r000001: {items_of_log} of {items_of_log} items" in " ".join(ran.err.split())
    first, second = (config(ready.workspace, run) for run in ("r000001", "r000002"))
    assert second.sizes == first.sizes  # 16 columns; the default is 128
    assert (first.start_from, second.start_from) == (None, "r000001")
    fresh = ready("train", "--encoder", "mean", "--dim", "16", "--epochs", "1", "--random-seed", "4")
    assert fresh.code == 0
    assert losses(ready.workspace, "r000002")[0] < losses(ready.workspace, "r000003")[0]


def test_train_from_an_unknown_run_is_refused_before_any_work(ready: Command) -> None:
    message, hint = ready.refused(4, "train", "--from", "r000009")
    assert "is not a run" in message
    assert "r000001" in hint


def another_log(folder: Path) -> Path:
    """Another client's log: other users, half of the items in common, and some items of its own."""
    folder.mkdir()
    frame = events().with_columns(
        ("x" + pl.col("user_id")).alias("user_id"),
        pl.when(pl.col("item_id") >= "i30").then("new" + pl.col("item_id")).otherwise("item_id").alias("item_id"),
    )
    frame.write_parquet(folder / "other.parquet")
    items().write_csv(folder / "items.csv")
    return folder / "other.parquet"


@pytest.fixture
def other_workspace(fresh: Command, tmp_path: Path) -> Command:
    """A workspace with the other log and no encoder."""
    (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
    assert fresh("ingest", another_log(tmp_path / "files")).code == 0
    return fresh


def test_a_run_folder_embeds_another_workspaces_log_and_reports_new_items(
    other_workspace: Command, trained_space: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copied" / "a run"
    shutil.copytree(trained_space / "runs" / "r000001", folder)
    ran = other_workspace("embed", "--run", folder)
    assert ran.code == 0, ran.err
    assert "30 items are new to r000001 and are represented by their attributes alone" in " ".join(ran.err.split())
    live = representation.live_version(WorkspaceFolder(other_workspace.workspace))
    assert live.manifest.run == "r000001"
    rows = np.arange(live.users)
    assert set(UserIndex(live).ids(rows)) == {"x" + user for user in events()["user_id"].unique()}
    stored = live.gather(rows)[:, live.layout.columns("sequence")]
    assert np.linalg.norm(stored, axis=1) == pytest.approx(1, abs=2e-3)
    shutil.rmtree(folder)  # the workspace has its own copy
    again = other_workspace("embed")
    assert again.code == 0, again.err
    assert "no user has new events" in " ".join(again.err.split())


def test_a_copied_run_gets_the_workspaces_own_name_once(
    other_workspace: Command, trained_space: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained_space / "runs" / "r000001", tmp_path / "r000007")
    for _ in range(2):  # the second time, the copy exists
        assert other_workspace("--json", "embed", "--run", tmp_path / "r000007").json["run"] == "r000001"
    names = [run["run"] for run in other_workspace("--json", "status").json["runs"]]
    assert names == ["r000001"]


def test_a_run_of_another_workspace_can_expand_a_seed(
    other_workspace: Command, trained_space: Path, tmp_path: Path
) -> None:
    assert other_workspace("embed", "--run", trained_space / "runs" / "r000001").code == 0
    ids = pl.DataFrame({"user_id": sorted({"x" + user for user in events()["user_id"].unique()})[:40]})
    ids.write_csv(tmp_path / "seed.csv")
    ran = other_workspace("expand", "--seed", tmp_path / "seed.csv", "--size", "10%", "--force")
    assert ran.code == 0, ran.err


def test_embed_without_an_encoder_is_refused_with_a_hint(other_workspace: Command) -> None:
    message, hint = other_workspace.refused(4, "embed")
    assert "no encoder was trained" in message
    assert "train" in hint


def test_train_from_another_clients_run_reports_how_many_items_it_knows(
    other_workspace: Command, trained_space: Path
) -> None:
    folder = trained_space / "runs" / "r000001"
    ran = other_workspace("train", "--from", folder, "--epochs", "1")
    assert ran.code == 0, ran.err
    assert "30 of 60 items" in " ".join(ran.err.split())
    assert config(other_workspace.workspace, "r000001").start_from == "r000001"


def test_a_damaged_run_folder_is_refused(other_workspace: Command, trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space / "runs" / "r000001", tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    message, _ = other_workspace.refused(4, "embed", "--run", tmp_path / "broken")
    assert "was changed after it was written" in message


def test_resume_does_not_accept_other_weights_to_start_from(trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    workspace = WorkspaceFolder(tmp_path / "space")
    request = train.TrainRequest(TrainSettings(), device="cpu", resume=True, start_from="r000001")
    with pytest.raises(SettingsError, match="as it was started"):
        train.train(workspace, request, QuietProgress())

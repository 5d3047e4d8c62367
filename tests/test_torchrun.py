"""Several processes under `torchrun` make one run, as good as that of a single process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lookalike.api import ingest
from lookalike.data.ingest.options import IngestOptions
from lookalike.embeddings import representation
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from planted_log import planted

pytestmark = pytest.mark.slow

SETTINGS = "[train]\nbatch_events = 512\nnegatives = 100\ncontent_dim = 8\ngroup_columns = 16\nlength = 16\n"
TRAIN = ("train", "--encoder", "transformer", "--dim", "16", "--epochs", "4", "--device", "cpu")
TWO_PROCESSES = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def ingested_workspace(folder: Path) -> WorkspaceFolder:
    """A workspace with a planted log of about seven thousand events."""
    folder.mkdir()
    log = planted(900, seed=9, items=60)
    log.events.write_csv(folder / "events.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    log.items.write_csv(folder / "items.csv")
    workspace = WorkspaceFolder(folder / "space")
    ingest.ingest(workspace, [folder / "events.csv"], IngestOptions(items=folder / "items.csv"), QuietProgress())
    (workspace.root / "lookalike.toml").write_text(SETTINGS)
    return workspace


def train(workspace: WorkspaceFolder, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "lookalike", "--workspace", str(workspace.root), "--json", *TRAIN]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)


def recall_first_loss_and_held_out_users(workspace: WorkspaceFolder) -> tuple[float, float, int]:
    metrics = json.loads((workspace.runs / "r000001" / "metrics.json").read_text())
    figures = metrics["figures"]
    return figures["encoder"]["recall@20"], metrics["history"][0]["loss"], figures["held_out_users"]


def test_two_processes_make_one_run_as_good_as_one_process(tmp_path: Path) -> None:
    alone, together = ingested_workspace(tmp_path / "alone"), ingested_workspace(tmp_path / "together")
    single = train(alone)
    assert single.returncode == 0, single.stderr
    double = train(together, *TWO_PROCESSES)
    assert double.returncode == 0, double.stderr
    assert json.loads(double.stdout)["run"] == "r000001"  # only the first process prints
    assert sorted(path.name for path in together.runs.iterdir()) == ["r000001"]
    assert json.loads((together.runs / "r000001" / "config.json").read_text())["processes"] == 2
    assert [name for name in os.listdir(together.root) if name.startswith(".tmp")] == []
    recall, loss, users = recall_first_loss_and_held_out_users(alone)
    recall_together, loss_together, users_together = recall_first_loss_and_held_out_users(together)
    assert users == users_together > 100
    noise = 2 * np.sqrt(2 * 0.25 / users)  # at most two standard errors of a difference of shares
    assert abs(recall - recall_together) < noise
    assert recall_together > 1.3 * 20 / 60, "better than 20 random items"
    assert loss_together == pytest.approx(loss, rel=0.25)
    assert [representation.live_version(workspace).users for workspace in (alone, together)] == [900, 900]


def test_two_processes_make_the_same_run_twice(tmp_path: Path) -> None:
    weights = []
    for name in ("first", "second"):
        workspace = ingested_workspace(tmp_path / name)
        finished = train(workspace, *TWO_PROCESSES)
        assert finished.returncode == 0, finished.stderr
        weights.append((workspace.runs / "r000001" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_an_error_ends_all_processes_with_its_message(tmp_path: Path) -> None:
    finished = train(WorkspaceFolder(tmp_path / "nothing here"), *TWO_PROCESSES)
    assert finished.returncode != 0
    assert "no such folder" in finished.stderr

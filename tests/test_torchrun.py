"""Several processes under `torchrun`: one run, as good as one process makes it."""

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


def space_of(folder: Path) -> WorkspaceFolder:
    """A planted log of some seven thousand events, ingested."""
    folder.mkdir()
    log = planted(900, seed=9, items=60)
    log.events.write_csv(folder / "events.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    log.items.write_csv(folder / "items.csv")
    space = WorkspaceFolder(folder / "space")
    ingest.ingest(space, [folder / "events.csv"], IngestOptions(items=folder / "items.csv"), QuietProgress())
    (space.root / "lookalike.toml").write_text(SETTINGS)
    return space


def run(space: WorkspaceFolder, *before: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", *before, "lookalike", "--workspace", str(space.root), "--json", *TRAIN]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(words, capture_output=True, text=True, timeout=400, env=environment)


def figures_of(space: WorkspaceFolder) -> dict[str, float]:
    found = json.loads((space.runs / "r000001" / "metrics.json").read_text())
    encoder = found["figures"]["encoder"]
    return {
        "recall": encoder["recall@20"],
        "first loss": found["history"][0]["loss"],
        "held": found["figures"]["held_out_users"],
    }


def test_two_processes_make_one_run_as_good_as_one_process(tmp_path: Path) -> None:
    alone, both = space_of(tmp_path / "alone"), space_of(tmp_path / "both")
    done = run(alone)
    assert done.returncode == 0, done.stderr
    shared = run(both, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    assert shared.returncode == 0, shared.stderr
    # only the first process speaks
    assert json.loads(shared.stdout)["run"] == "r000001"
    assert sorted(path.name for path in both.runs.iterdir()) == ["r000001"]
    assert json.loads((both.runs / "r000001" / "config.json").read_text())["processes"] == 2
    assert [name for name in os.listdir(both.root) if name.startswith(".tmp")] == []
    one, two = figures_of(alone), figures_of(both)
    assert one["held"] == two["held"] > 100
    noise = 2 * np.sqrt(2 * 0.25 / one["held"])  # two standard errors of a difference of shares, at most
    assert abs(one["recall"] - two["recall"]) < noise
    assert two["recall"] > 1.3 * 20 / 60, "better than twenty items by lot"
    assert two["first loss"] == pytest.approx(one["first loss"], rel=0.25)
    counts = [representation.live_version(space).users for space in (alone, both)]
    assert counts == [900, 900]


def test_two_processes_make_the_same_run_twice(tmp_path: Path) -> None:
    spaces = [space_of(tmp_path / name) for name in ("first", "second")]
    for space in spaces:
        done = run(space, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
        assert done.returncode == 0, done.stderr
    weights = [(space.runs / "r000001" / "model.safetensors").read_bytes() for space in spaces]
    assert weights[0] == weights[1]


def test_a_fault_ends_all_processes_with_its_two_lines(tmp_path: Path) -> None:
    space = WorkspaceFolder(tmp_path / "nothing here")
    done = run(space, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    assert done.returncode != 0
    assert "nothing was ingested into this workspace" in done.stderr

"""Declared columns of pure noise: how much lift they cost on held-out audiences."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.cli.app import main
from lookalike.encoder.run_files import RunConfig, RunMetrics
from planted_log import planted

pytestmark = pytest.mark.slow

SETTINGS = "[train]\nbatch_events = 2048\nnegatives = 200\ncontent_dim = 16\ngroup_columns = 32\nlength = 32\n"
NOISE = {"noise_0": 2, "noise_1": 5, "noise_2": 10, "noise_3": 30, "noise_4": 100}  # columns and their distinct values
MIN_SHARE_OF_LIFT = 0.85  # with noise / without


def lift_of(folder: Path, with_noise: bool) -> float:
    """Lift of the embedding of a run, with the noise declared or left out."""
    log = planted(3_000, seed=11, items=60, strength=0.6)
    rng = np.random.default_rng(0)
    noise = {
        name: pl.Series([f"v{value}" for value in rng.integers(0, values, len(log.events))])
        for name, values in NOISE.items()
    }
    workspace = folder / "space"
    workspace.mkdir(parents=True)
    events, items = folder / "events.csv", folder / "items.csv"
    log.events.with_columns(**noise).write_csv(events, datetime_format="%Y-%m-%d %H:%M:%S")
    log.items.write_csv(items)
    (workspace / "lookalike.toml").write_text(SETTINGS)
    declared = [word for name in NOISE if with_noise for word in ("--context", name)]
    ingest = ("ingest", str(events), "--items", str(items), *declared)
    train = ("train", "--dim", "32", "--epochs", "5", "--device", "cpu")
    for words in (ingest, train):
        assert main(["--workspace", str(workspace), "--quiet", "--json", *words]) == 0
    run = workspace / "runs" / "r000001"
    fields = RunConfig.read(run / "config.json").sizes.fields
    assert set(NOISE) & fields.keys() == (set(NOISE) if with_noise else set())
    audiences = RunMetrics.read(run / "metrics.json").figures.audiences
    assert audiences.audiences >= 15
    lift = audiences.lift["sequence"]
    assert lift is not None
    return lift


def test_five_columns_of_noise_cost_the_embedding_little_lift(tmp_path: Path) -> None:
    plain, noisy = lift_of(tmp_path / "plain", with_noise=False), lift_of(tmp_path / "noisy", with_noise=True)
    assert plain > 1.5, "there is something to lose"
    assert noisy > MIN_SHARE_OF_LIFT * plain, (plain, noisy)

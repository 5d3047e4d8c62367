"""Declared columns of pure noise: what the held-out audiences lose by them."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.cli.app import main
from planted_log import planted

pytestmark = pytest.mark.slow

SETTINGS = "[train]\nbatch_events = 2048\nnegatives = 200\ncontent_dim = 16\ngroup_columns = 32\nlength = 32\n"
NOISE = tuple(f"noise_{number}" for number in range(5))
VALUES = (2, 5, 10, 30, 100)
BOUND = 0.85  # of the lift without them


def lift_of(folder: Path, noisy: bool, seed: int) -> dict[str, float]:
    log = planted(3_000, seed=11, items=60, strength=0.6)
    rng = np.random.default_rng(0)
    drawn = {
        name: [f"v{value}" for value in rng.integers(0, values, len(log.events))]
        for name, values in zip(NOISE, VALUES, strict=True)
    }
    folder.mkdir(parents=True)
    log.events.with_columns(**{name: pl.Series(values) for name, values in drawn.items()}).write_csv(
        folder / "events.csv", datetime_format="%Y-%m-%d %H:%M:%S"
    )
    log.items.write_csv(folder / "items.csv")
    space = folder / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(SETTINGS)
    declared = [word for name in NOISE if noisy for word in ("--context", name)]
    ingest = ("ingest", str(folder / "events.csv"), "--items", str(folder / "items.csv"), *declared)
    train = ("train", "--dim", "32", "--epochs", "5", "--device", "cpu", "--seed", str(seed))
    for words in (ingest, train):
        assert main(["--workspace", str(space), "--quiet", "--json", *words]) == 0
    config = json.loads((space / "runs" / "r000001" / "config.json").read_text())
    assert set(NOISE) & config["sizes"]["fields"].keys() == (set(NOISE) if noisy else set())
    figures = json.loads((space / "runs" / "r000001" / "metrics.json").read_text())["figures"]
    assert figures["audiences"]["audiences"] >= 15
    return {"sequence": figures["audiences"]["lift@5%"]["sequence"], "taste": figures["audiences"]["lift@5%"]["taste"]}


def test_five_columns_of_noise_cost_the_embedding_little(tmp_path: Path) -> None:
    plain, noisy = (lift_of(tmp_path / str(noisy), noisy, seed=0) for noisy in (False, True))
    assert plain["sequence"] > 1.5, "there is something to lose"
    assert noisy["sequence"] > BOUND * plain["sequence"], (plain, noisy)

"""The blocks of users by a fitted embedder."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from conftest import Tiny
from lookalike.data import database, sequence_builder
from lookalike.data.database import Database
from lookalike.embeddings import representation
from lookalike.encoder import batches, embedder, fit_plan, inference, runs, trainer
from lookalike.encoder.fusion_tuning import prior_weights
from planted_log import SMALL, built, insert_events, planted


def test_the_same_history_a_year_older_gives_another_vector(store: Database, tmp_path: Path) -> None:
    """The towers see the gaps within a history but not its age, which has to come from activity."""
    log = planted(150, seed=3, items=40).events
    copied = log.filter(pl.col("user_id") == "u00007").with_columns(user_id=pl.lit("zz new"))
    # 52 weeks, so that hours and weekdays stay the same
    older = copied.with_columns(pl.lit("zz old").alias("user_id"), pl.col("ts") - timedelta(weeks=52))
    insert_events(store, pl.concat([log, copied, older]))
    sequences, vocabulary = built(store, tmp_path)
    settings = replace(SMALL, epochs=1, window_days=2_000)
    fit = trainer.Fit(fit_plan.plan_fit(sequences, vocabulary, settings), vocabulary, torch.device("cpu"))
    fit.run(lambda state, fit: None, lambda done, detail: None)
    fitted = embedder.fit_embedder(fit, sequences, prior_weights())
    latest = batches.latest_segments(sequences, batches.window_starts(sequences, 2_000), settings.length)
    tastes = inference.user_vectors(fit.model, sequences, latest[np.array([150, 151])])
    assert np.allclose(tastes[0], tastes[1], atol=1e-5)
    original, new, old = (fitted.blocks(sequences.block(row, row + 1)) for row in (7, 150, 151))
    assert np.allclose(new["content"], old["content"], atol=1e-5)
    assert float(new["sequence"][0] @ original["sequence"][0]) == pytest.approx(1, abs=1e-5)
    assert float(new["sequence"][0] @ old["sequence"][0]) < 0.97


def test_a_loaded_run_embeds_like_the_one_that_was_trained(tiny_run: Tiny, tmp_path: Path) -> None:
    (folder,) = tiny_run.workspace.runs.glob("r*")
    run = runs.load_run(tiny_run.workspace, folder.name)
    loaded = embedder.load_embedder(run, run.vocabulary, torch.device("cpu"))
    with database.open_file(tiny_run.workspace.database, read_only=True) as opened:
        cut = database.Cut(database.end_of_log(opened))
        sequences, _ = sequence_builder.build_sequences(opened, cut, tmp_path, run.vocabulary)
    live = representation.live_version(tiny_run.workspace)
    stored = live.raw(np.arange(live.users))
    for block, values in loaded.blocks(sequences).items():
        assert np.array_equal(values.astype(np.float16), stored[block]), block
    assert np.allclose(loaded.item_vectors(sequences), np.load(folder / "items.npy"), atol=1e-5)

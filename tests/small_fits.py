"""Fits that take seconds, for the tests of the encoder."""

from pathlib import Path

import torch

from lookalike.data.database import open_file
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import fit_plan, trainer
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL, built, insert_events, planted

CPU = torch.device("cpu")
ITEMS = 60
Log = tuple[Sequences, Vocabulary]


def planted_arrays(folder: Path) -> Log:
    """200 users with planted interests, and 60 items in five categories."""
    population = planted(200, seed=2, items=ITEMS)
    with open_file(folder / "lookalike.duckdb") as store:
        insert_events(store, population.events)
        store.connection.execute(
            "INSERT INTO item_attributes SELECT 'i' || lpad(i::VARCHAR, 4, '0'), 'category', 'c' || (i % 5) "
            f"FROM range({ITEMS}) t(i)"
        )
        return built(store, folder)


def untrained_fit(log: Log, settings: TrainSettings = SMALL, sequences: Sequences | None = None) -> trainer.Fit:
    """A fit on the log, or on other sequences with its vocabulary."""
    return trainer.Fit(fit_plan.plan_fit(sequences or log[0], log[1], settings), log[1], CPU)


def trained_fit(log: Log, settings: TrainSettings = SMALL, sequences: Sequences | None = None) -> trainer.Fit:
    fit = untrained_fit(log, settings, sequences)
    fit.run()
    return fit


def as_bytes(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in tensors.items()}

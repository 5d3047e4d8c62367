"""A user's vector depends on their own latest events only, and an unavailable device is an error."""

from dataclasses import replace

import numpy as np
import pytest

from lookalike.encoder import batches, inference, trainer
from lookalike.errors import SettingsError
from planted_log import SMALL
from small_fits import Log, planted_arrays, trained_fit


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return planted_arrays(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def fit(log: Log) -> trainer.Fit:
    return trained_fit(log, replace(SMALL, encoder="transformer", epochs=1))


def test_a_user_has_the_same_vector_alone_and_among_others(log: Log, fit: trainer.Fit) -> None:
    sequences, _ = log
    latest = batches.latest_segments(sequences, batches.window_starts(sequences, None), SMALL.length)
    vectors = inference.user_vectors(fit.model, sequences, latest)
    for rows in (np.array([7]), np.arange(40, 45), np.array([199, 0])):
        assert np.allclose(inference.user_vectors(fit.model, sequences, latest[rows]), vectors[rows], atol=1e-5)


def test_only_the_latest_events_within_the_window_shape_a_user(log: Log, fit: trainer.Fit) -> None:
    sequences, _ = log
    latest = batches.latest_segments(sequences, batches.window_starts(sequences, 20), 4)
    vectors = inference.user_vectors(fit.model, sequences, latest)
    is_read = np.zeros(len(sequences["item"]), bool)
    for start, length in zip(latest.start, latest.length, strict=True):
        is_read[start : start + length] = True
    columns = dict(sequences.columns)
    columns["item"] = np.where(is_read, sequences["item"], 3).astype(np.int32)
    changed = inference.user_vectors(fit.model, replace(sequences, columns=columns), latest)
    assert np.array_equal(vectors, changed)
    assert (latest.length == 0).any()
    assert len(np.unique(vectors[latest.length == 0], axis=0)) == 1  # users without events or profile are all alike


def test_unavailable_device_is_a_settings_error() -> None:
    assert inference.device_for("cpu").type == "cpu"
    assert inference.device_for("auto").type in ("cpu", "cuda")
    for name in ("abacus", "cuda:99"):
        with pytest.raises(SettingsError, match="is not available"):
            inference.device_for(name)

"""Training is repeatable, blind to held-out events, better than a baseline, and safe when it diverges."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lookalike.data.database import Database
from lookalike.encoder import batches, fit_plan, inference, next_item_metrics, objectives, trainer
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.results import EpochFigures
from lookalike.encoder.trainer import FitOutcome
from lookalike.encoder.training_step import TrainingStep
from lookalike.errors import StateError
from planted_log import SMALL, built, insert_events, planted
from small_fits import ITEMS, Log, as_bytes, planted_arrays, trained_fit, untrained_fit
from synthetic_sequences import plain_vocabulary, sequences_of

ONE_EPOCH = replace(SMALL, epochs=1)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return planted_arrays(tmp_path_factory.mktemp("log"))


def weight_bytes(fit: trainer.Fit) -> dict[str, bytes]:
    return as_bytes(fit.weights())


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_same_seed_gives_bitwise_equal_weights(log: Log, encoder: str) -> None:
    settings = replace(ONE_EPOCH, encoder=encoder)
    first = weight_bytes(trained_fit(log, settings))
    assert first == weight_bytes(trained_fit(log, settings))
    assert first != weight_bytes(trained_fit(log, replace(settings, random_seed=1)))


def test_number_of_threads_changes_weights_only_by_rounding(log: Log) -> None:
    settings = replace(ONE_EPOCH, encoder="transformer")
    threads_before = torch.get_num_threads()
    weights = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            weights.append(trained_fit(log, settings).weights())
    finally:
        torch.set_num_threads(threads_before)
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-3), name


def test_order_of_rows_in_the_log_does_not_change_weights(store: Database, tmp_path: Path) -> None:
    events = planted(80, seed=4, items=20).events
    weights = []
    for name, frame in (("sorted", events), ("shuffled", events.sample(fraction=1, shuffle=True, seed=1))):
        store.connection.execute("DELETE FROM events")
        insert_events(store, frame)
        weights.append(weight_bytes(trained_fit(built(store, tmp_path / name), ONE_EPOCH)))
    assert weights[0] == weights[1]


def test_events_after_the_cut_do_not_change_any_epochs_weights(log: Log) -> None:
    """Held-out figures only decide which epoch is kept."""
    sequences, _ = log
    is_held_out = np.asarray(sequences["time"]) >= fit_plan.holdout_cut(sequences, SMALL.holdout_share)
    rng = np.random.default_rng(0)
    columns = dict(sequences.columns)
    last_moment = int(sequences["time"].max())
    columns["item"] = np.where(is_held_out, rng.integers(0, ITEMS, len(is_held_out)), sequences["item"]).astype(
        np.int32
    )
    columns["event_type"] = np.where(is_held_out, 1, sequences["event_type"]).astype(np.int16)
    columns["time"] = np.where(is_held_out, last_moment, sequences["time"]).astype(np.int64)
    assert not np.array_equal(columns["item"], sequences["item"])
    weights: list[list[dict[str, bytes]]] = []
    for variant in (sequences, replace(sequences, columns=columns)):
        epochs: list[dict[str, bytes]] = []
        untrained_fit(log, sequences=variant).run(lambda state, fit, epochs=epochs: epochs.append(weight_bytes(fit)))
        weights.append(epochs)
    assert len(weights[0]) == SMALL.epochs
    assert weights[0] == weights[1]


def test_events_before_the_cut_change_the_weights(log: Log) -> None:
    sequences, _ = log
    columns = dict(sequences.columns)
    columns["item"] = np.random.default_rng(0).permutation(np.asarray(sequences["item"]))
    changed = replace(sequences, columns=columns)
    assert weight_bytes(trained_fit(log, ONE_EPOCH)) != weight_bytes(trained_fit(log, ONE_EPOCH, changed))


def test_loss_falls_and_ndcg_beats_popularity(log: Log) -> None:
    fit = trained_fit(log, replace(SMALL, epochs=4, patience=4, learning_rate=1e-2))
    history = fit.progress.history
    assert history[-1].loss < history[0].loss
    best = history[fit.progress.best_epoch - 1].figures
    popularity = next_item_metrics.measure(fit.plan.held, next_item_metrics.popularity(fit.plan.known, ITEMS))
    assert best["ndcg@20"] > 1.15 * popularity["ndcg@20"]


def test_training_stops_when_patience_runs_out_and_restores_the_best_epoch(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.1, 0.5, 0.4, 0.3, 0.9, 0.9])
    monkeypatch.setattr(next_item_metrics, "measure", lambda held, scores: {"recall@20": 0.0, "ndcg@20": next(figures)})
    fit = untrained_fit(log, replace(SMALL, epochs=9, patience=2))
    epochs: list[dict[str, bytes]] = []
    outcome = fit.run(lambda state, fit: epochs.append(weight_bytes(fit)))
    assert outcome == FitOutcome(epochs=4, best_epoch=2)
    assert len(epochs) == 4
    assert weight_bytes(fit) == epochs[1]


@pytest.mark.parametrize(
    "times",
    [[[3, 3], [3]], [[1]], [[]], [[1, 2], [1, 2], [1, 9]]],
    ids=["one moment", "one event", "no event", "few events"],
)
def test_smallest_logs_can_be_trained_on(times: list[list[int]]) -> None:
    sequences = sequences_of(times)
    fit = trained_fit((sequences, plain_vocabulary(9)), ONE_EPOCH)
    assert all(torch.isfinite(value).all() for value in fit.weights().values())
    latest = batches.latest_segments(sequences, batches.window_starts(sequences, None), 8)
    lengths = np.linalg.norm(inference.user_vectors(fit.model, sequences, latest), axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths < 1e-5))


def test_history_is_plain_json_that_is_read_back_unchanged(log: Log) -> None:
    history = trained_fit(log, SMALL).progress.history
    text = json.dumps([epoch.as_json() for epoch in history], allow_nan=False)
    assert [EpochFigures.model_validate(values) for values in json.loads(text)] == history
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert set(history[0].figures) == {"recall@20", "ndcg@20"}


# --- diverging training ----------------------------------------------------------------------------------------------


def diverge_from(monkeypatch: pytest.MonkeyPatch, epoch: int) -> list[trainer.Fit]:
    """Makes the loss NaN from an epoch on. The caller has to append the fit that it is about to the list."""
    fits: list[trainer.Fit] = []
    all_action = objectives.OBJECTIVES["all_action"]

    def diverging(step: TrainingStep) -> torch.Tensor:
        return all_action(step) * (float("nan") if fits[0].progress.epoch + 1 >= epoch else 1.0)

    monkeypatch.setitem(objectives.OBJECTIVES, "all_action", diverging)
    return fits


def six_epochs(log: Log, **changes: object) -> trainer.Fit:
    return untrained_fit(log, replace(SMALL, epochs=6, patience=6, **changes))  # type: ignore[arg-type]


def test_diverging_training_keeps_the_best_epoch_before_and_reports_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = diverge_from(monkeypatch, epoch=3)
    fit = six_epochs(log)
    fits.append(fit)
    epochs: list[dict[str, bytes]] = []
    outcome = fit.run(lambda state, fit: epochs.append(weight_bytes(fit)))
    assert outcome == FitOutcome(epochs=2, best_epoch=fit.progress.best_epoch, diverged_epoch=3)
    assert len(epochs) == len(fit.progress.history) == 2
    assert weight_bytes(fit) == epochs[fit.progress.best_epoch - 1]
    assert all(torch.isfinite(value).all() for value in fit.weights().values())


def test_divergence_in_the_first_epoch_is_a_state_error(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = diverge_from(monkeypatch, epoch=1)
    fit = six_epochs(log)
    fits.append(fit)
    with pytest.raises(StateError, match="diverged in the first epoch") as raised:
        fit.run(lambda state, fit: pytest.fail("an epoch was counted"))
    assert "learning_rate in [train] of lookalike.toml" in raised.value.hint


def test_a_single_nan_is_detected_within_a_few_steps(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    all_action, steps = objectives.OBJECTIVES["all_action"], iter(range(10_000))
    monkeypatch.setitem(
        objectives.OBJECTIVES, "all_action", lambda step: all_action(step) * (float("nan") if next(steps) == 3 else 1.0)
    )
    fit = six_epochs(log, batch_events=64)
    with pytest.raises(StateError):
        fit.run()
    assert next(steps) < 3 + 2 + trainer.CHECK_EVERY


# --- epochs over all events ------------------------------------------------------------------------------------------


def test_divergence_in_the_final_epochs_restores_the_evaluated_weights(log: Log) -> None:
    fit = six_epochs(log)
    fit.run()
    fit.progress.best_epoch = 5
    assert fit.epochs_to_finish == 2
    before = weight_bytes(fit)
    fit.objective = [(1.0, lambda step: step.users.sum() * float("nan"))]
    assert fit.finish(log[0]) == 0
    assert weight_bytes(fit) == before


def test_the_final_epochs_train_on_held_out_events(log: Log) -> None:
    sequences, _ = log
    is_held_out = np.asarray(sequences["time"]) >= fit_plan.holdout_cut(sequences, SMALL.holdout_share)
    columns = dict(sequences.columns)
    columns["item"] = np.where(is_held_out, 3, sequences["item"]).astype(np.int32)
    weights = []
    for everything in (sequences, replace(sequences, columns=columns)):
        fit = trained_fit(log, replace(SMALL, epochs=3, patience=3))
        before, fit.progress.best_epoch = weight_bytes(fit), 3
        assert fit.finish(everything) == 1
        assert weight_bytes(fit) != before
        weights.append(weight_bytes(fit))
    assert weights[0] != weights[1]


def test_events_are_reported_with_their_epoch_and_speed(log: Log) -> None:
    reports: list[tuple[int, str]] = []
    fit = untrained_fit(log)
    fit.run(on_events=lambda events, detail: reports.append((events, detail)))
    read = [events for events, _ in reports]
    assert read == sorted(set(read))
    assert read[-1] == 2 * len(fit.plan.known["time"])
    assert reports[0][1].startswith("epoch 1 ")
    assert reports[-1][1].endswith(" events/s")

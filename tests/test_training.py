"""The optimiser loop: repeatable, blind to what is held out, and worth something."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lookalike.data.database import Database, open_file
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import batches, inference, next_item_metrics, objectives, trainer
from lookalike.encoder.model import ENCODERS
from lookalike.errors import SettingsError, StateError
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL, built, insert_events, planted
from test_batches import CODES, sequences_of

CPU = torch.device("cpu")
Log = tuple[Sequences, Vocabulary]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("log")
    made = planted(200, seed=2, items=60)
    with open_file(folder / "lookalike.duckdb") as store:
        insert_events(store, made.events)
        store.connection.execute(
            "INSERT INTO item_attributes SELECT 'i' || lpad(i::VARCHAR, 4, '0'), 'category', 'c' || (i % 5) FROM range(60) t(i)"
        )
        return built(store, folder)


def fitted(log: Log, settings: TrainSettings = SMALL, sequences: Sequences | None = None) -> trainer.Fit:
    fit = trainer.Fit(trainer.plan_fit(sequences or log[0], log[1], settings), log[1], CPU)
    fit.run(lambda progress, fit: None, lambda done, note: None)
    return fit


ONCE = replace(SMALL, epochs=1)


def as_bytes(fit: trainer.Fit) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in fit.weights().items()}


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(log: Log, encoder: str) -> None:
    settings = replace(SMALL, encoder=encoder, epochs=1)
    first = as_bytes(fitted(log, settings))
    assert first == as_bytes(fitted(log, settings))
    assert first != as_bytes(fitted(log, replace(settings, random_seed=1)))


def test_the_number_of_threads_changes_no_weight_beyond_rounding(log: Log) -> None:
    settings = replace(SMALL, encoder="transformer", epochs=1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = fitted(log, settings).weights()
        torch.set_num_threads(2)
        two = fitted(log, settings).weights()
    finally:
        torch.set_num_threads(before)
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-3), name


def test_events_after_the_cut_change_no_weight(log: Log) -> None:
    """Every epoch's weights: which of them is kept is chosen by held-out figures, and is all they decide."""
    arrays, _ = log
    cut = trainer.holdout_cut(arrays, SMALL.holdout_share)
    later = np.asarray(arrays["time"]) >= cut
    assert 0.08 < later.mean() < 0.12
    rng = np.random.default_rng(0)
    columns = dict(arrays.columns)
    columns["item"] = np.where(later, rng.integers(0, 60, len(later)), arrays["item"]).astype(np.int32)
    columns["event_type"] = np.where(later, 1, arrays["event_type"]).astype(np.int16)
    columns["time"] = np.where(later, int(arrays["time"].max()), arrays["time"]).astype(np.int64)
    kept: list[list[dict[str, bytes]]] = []
    for sequences in (arrays, replace(arrays, columns=columns)):
        fit = trainer.Fit(trainer.plan_fit(sequences, log[1], SMALL), log[1], CPU)
        epochs: list[dict[str, bytes]] = []
        fit.run(lambda progress, fit, epochs=epochs: epochs.append(as_bytes(fit)), lambda done, note: None)
        kept.append(epochs)
    assert kept[0] == kept[1]
    assert not np.array_equal(columns["item"], arrays["item"])


def test_events_before_the_cut_do_change_the_weights(log: Log) -> None:
    arrays, _ = log
    columns = dict(arrays.columns)
    columns["item"] = np.random.default_rng(0).permutation(np.asarray(arrays["item"]))
    assert as_bytes(fitted(log, ONCE)) != as_bytes(fitted(log, ONCE, sequences=replace(arrays, columns=columns)))


def test_the_loss_falls_and_the_held_out_items_are_foreseen_better_than_by_popularity(log: Log) -> None:
    fit = fitted(log, replace(SMALL, epochs=4, patience=4, learning_rate=1e-2))
    history = fit.progress.history
    assert history[-1].loss < history[0].loss
    best = history[fit.progress.best_epoch - 1].figures
    popular = next_item_metrics.measure(fit.plan.held, next_item_metrics.popularity(fit.plan.known, 60))
    assert best["ndcg@20"] > 1.15 * popular["ndcg@20"]


def test_training_stops_when_patience_ends_and_gives_back_the_best_epoch(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    worth = iter([0.1, 0.5, 0.4, 0.3, 0.9, 0.9])
    monkeypatch.setattr(next_item_metrics, "measure", lambda held, scores: {"recall@20": 0.0, "ndcg@20": next(worth)})
    fit = trainer.Fit(trainer.plan_fit(log[0], log[1], replace(SMALL, epochs=9, patience=2)), log[1], CPU)
    epochs: list[dict[str, bytes]] = []
    fit.run(lambda progress, fit: epochs.append(as_bytes(fit)), lambda done, note: None)
    assert len(epochs) == 4
    assert fit.progress.best_epoch == 2
    assert as_bytes(fit) == epochs[1]


def foretold(
    known: Sequences, position: np.ndarray, later: batches.FutureEvents, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """The items all_action draws and the events it draws them at; places that have read nothing are left out."""
    told: list[tuple[int, int]] = []

    class Seen(objectives.TrainingStep):
        @property
        def users(self) -> torch.Tensor:
            flat = np.hstack([np.full((len(position), 1), -1), position])
            return torch.from_numpy(flat).float().unsqueeze(-1)

        def told_apart(self, users: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
            told.extend(zip(rows.tolist(), users.long().flatten().tolist(), strict=True))
            return users.sum()

    lengths = (position >= 0).sum(1)
    stretches = batches.Segments(position[:, 0], lengths, np.arange(len(position)))
    step = Seen(None, known, None, stretches, later, 2, None, rng, CPU)  # type: ignore[arg-type]
    objectives.all_action(step)
    return [(item, event) for item, event in told if event >= 0]


def test_no_target_is_of_another_user_or_of_the_same_moment_or_missing() -> None:
    known = sequences_of([[0, 0, 5, 9], [5, 5], [1, 2, 3]])
    known.columns["item"][:] = [0, 1, 2, -1, 4, 5, 6, 7, 8]
    later = batches.future_events(known, 2)
    position = np.array([[0, 1, 2, 3], [4, 5, -1, -1], [6, 7, 8, -1]])
    allowed = {0: {2}, 1: {2}, 6: {7, 8}, 7: {8}}  # flat event -> items; the item of event 3 is not known
    seen: dict[int, set[int]] = {}
    rng = np.random.default_rng(0)
    for _ in range(200):
        for item, place in foretold(known, position, later, rng):
            seen.setdefault(place, set()).add(item)
    assert seen == allowed


def test_events_about_no_item_make_no_item_a_more_likely_negative() -> None:
    known = sequences_of([[1, 2, 3, 4, 5, 6]])
    known.columns["item"][:] = [-1, -1, -1, -1, 0, 1]
    plan = trainer.plan_fit(known, vocabulary_of(2), replace(SMALL, holdout_share=0.001))
    fit = trainer.Fit(replace(plan, known=known), vocabulary_of(2), CPU)
    assert fit.sampling.chance.tolist() == pytest.approx([0.5, 0.5])


def vocabulary_of(items: int) -> Vocabulary:
    none = (np.zeros(items + 1, np.int64), np.zeros(0, np.int32))
    return Vocabulary([f"i{n}" for n in range(items)], CODES, [], none, [])


@pytest.mark.parametrize(
    "times", [[[3, 3], [3]], [[1]], [[]], [[1, 2], [1, 2], [1, 9]]], ids=["one moment", "one event", "none", "few"]
)
def test_the_smallest_logs_can_be_trained_on(times: list[list[int]]) -> None:
    known = sequences_of(times)
    fit = trainer.Fit(trainer.plan_fit(known, vocabulary_of(9), ONCE), vocabulary_of(9), CPU)
    fit.run(lambda progress, fit: None, lambda done, note: None)
    assert all(torch.isfinite(value).all() for value in fit.weights().values())
    latest = batches.latest_segments(known, batches.window_starts(known, None), 8)
    lengths = np.linalg.norm(inference.user_vectors(fit.model, known, latest), axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths < 1e-5))


def test_a_user_has_the_same_vector_alone_and_among_others(log: Log) -> None:
    fit = fitted(log, replace(SMALL, encoder="transformer", epochs=1))
    arrays, _ = log
    latest = batches.latest_segments(arrays, batches.window_starts(arrays, None), SMALL.length)
    whole = inference.user_vectors(fit.model, arrays, latest)
    for rows in (np.array([7]), np.arange(40, 45), np.array([199, 0])):
        assert np.allclose(inference.user_vectors(fit.model, arrays, latest[rows]), whole[rows], atol=1e-5)


def test_only_the_latest_events_within_the_window_shape_a_user(log: Log) -> None:
    fit = fitted(log, ONCE)
    arrays, _ = log
    latest = batches.latest_segments(arrays, batches.window_starts(arrays, 20), 4)
    before = inference.user_vectors(fit.model, arrays, latest)
    used = np.zeros(len(arrays["item"]), bool)
    for start, length in zip(latest.start, latest.length, strict=True):
        used[start : start + length] = True
    columns = dict(arrays.columns)
    columns["item"] = np.where(used, arrays["item"], 3).astype(np.int32)
    after = inference.user_vectors(fit.model, replace(arrays, columns=columns), latest)
    assert np.array_equal(before, after)
    assert len(np.unique(before[latest.length == 0], axis=0)) == 1  # of whom nothing is known
    assert (latest.length == 0).any()


def test_the_learning_rate_warms_up_and_falls_to_a_tenth(log: Log) -> None:
    fit = trainer.Fit(trainer.plan_fit(log[0], log[1], SMALL), log[1], CPU)
    rates = []
    for done in (0.0, 0.01, 0.02, 0.5, 1.0):
        fit._set_rate(done)
        rates.append(fit.optimisers["dense"].param_groups[0]["lr"] / SMALL.learning_rate)
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.55, 0.1], abs=0.01)


def test_a_device_that_is_not_there_is_a_settings_error() -> None:
    assert inference.device_for("cpu").type == "cpu"
    assert inference.device_for("auto").type in ("cpu", "cuda")
    for name in ("abacus", "cuda:99"):
        with pytest.raises(SettingsError):
            inference.device_for(name)


def test_a_log_of_any_order_of_rows_gives_the_same_weights(store: Database, tmp_path: Path) -> None:
    made = planted(80, seed=4, items=20)
    found = []
    for turn, frame in enumerate((made.events, made.events.sample(fraction=1, shuffle=True, seed=1))):
        store.connection.execute("DELETE FROM events")
        insert_events(store, frame)
        found.append(as_bytes(fitted(built(store, tmp_path / str(turn)), ONCE)))
    assert found[0] == found[1]


def test_what_a_run_keeps_of_its_history_is_plain_json(log: Log) -> None:
    fit = fitted(log, ONCE)
    json.dumps([asdict(epoch) for epoch in fit.progress.history], allow_nan=False)


# --- a loss that turns into no number --------------------------------------------------------------------------------


def turning(monkeypatch: pytest.MonkeyPatch, epoch: int) -> list[trainer.Fit]:
    """From this epoch on the objective gives no number. The fit it belongs to has to be put into the list."""
    whose: list[trainer.Fit] = []
    whole = objectives.OBJECTIVES["all_action"]

    def turned(step: objectives.TrainingStep) -> torch.Tensor:
        return whole(step) * (float("nan") if whose[0].progress.epoch + 1 >= epoch else 1.0)

    monkeypatch.setitem(objectives.OBJECTIVES, "all_action", turned)
    return whose


def fit_for(log: Log, **changes: object) -> trainer.Fit:
    settings = replace(SMALL, epochs=6, patience=6, **changes)  # type: ignore[arg-type]
    return trainer.Fit(trainer.plan_fit(log[0], log[1], settings), log[1], CPU)


def test_a_loss_that_turns_into_no_number_leaves_the_best_epoch_before_and_says_so(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    whose = turning(monkeypatch, epoch=3)
    fit = fit_for(log)
    whose.append(fit)
    epochs: list[dict[str, bytes]] = []
    notes: list[str] = []
    fit.run(lambda progress, fit: epochs.append(as_bytes(fit)), lambda done, note: None, notes.append)
    assert notes == ["the loss turned into no number in epoch 3; the best before it is kept"]
    assert len(epochs) == len(fit.progress.history) == 2
    assert as_bytes(fit) == epochs[fit.progress.best_epoch - 1]
    assert all(torch.isfinite(value).all() for value in fit.weights().values())


def test_no_number_in_the_first_epoch_is_a_state_error(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    whose = turning(monkeypatch, epoch=1)
    fit = fit_for(log)
    whose.append(fit)
    with pytest.raises(StateError, match="no number") as caught:
        fit.run(lambda progress, fit: pytest.fail("an epoch was counted"), lambda done, note: None)
    assert "--learning-rate" in str(caught.value.hint) or "learning_rate" in str(caught.value.hint)


def test_one_step_without_a_number_is_found_wherever_it_stands(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, steps = objectives.OBJECTIVES["all_action"], iter(range(10_000))
    monkeypatch.setitem(
        objectives.OBJECTIVES, "all_action", lambda step: whole(step) * (float("nan") if next(steps) == 3 else 1.0)
    )
    fit = fit_for(log, batch_events=64)
    with pytest.raises(StateError):
        fit.run(lambda progress, fit: None, lambda done, note: None)
    assert next(steps) < 3 + 2 + trainer.CHECK_EVERY


def test_no_number_in_the_last_epochs_over_all_events_gives_back_the_weights_of_the_figures(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = fit_for(log)
    fit.run(lambda progress, fit: None, lambda done, note: None)
    fit.progress.best_epoch = 5
    assert fit.epochs_to_finish == 2
    before = as_bytes(fit)
    fit.objective = [(1.0, lambda step: step.users.sum() * float("nan"))]
    assert fit.finish(log[0], lambda done, note: None) == 0
    assert as_bytes(fit) == before


def test_the_last_epochs_see_the_held_out_events(log: Log) -> None:
    arrays, _ = log
    late = np.asarray(arrays["time"]) >= trainer.holdout_cut(arrays, SMALL.holdout_share)
    columns = dict(arrays.columns)
    columns["item"] = np.where(late, 3, arrays["item"]).astype(np.int32)
    ended = []
    for everything in (arrays, replace(arrays, columns=columns)):
        fit = fitted(log, replace(SMALL, epochs=3, patience=3))
        begun, fit.progress.best_epoch = as_bytes(fit), 3
        assert fit.finish(everything, lambda done, note: None) == 1
        assert as_bytes(fit) != begun
        ended.append(as_bytes(fit))
    assert ended[0] != ended[1]

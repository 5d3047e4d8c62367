"""What a fit may see, and the settings that follow from the size of the log."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalike.encoder import fit_plan
from lookalike.encoder.fit_plan import FitPlan
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL
from small_fits import Log, planted_arrays
from synthetic_sequences import plain_vocabulary, sequences_of


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return planted_arrays(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def plan(log: Log) -> FitPlan:
    return fit_plan.plan_fit(*log, SMALL)


def test_the_last_tenth_of_the_events_is_held_out(log: Log, plan: FitPlan) -> None:
    sequences, _ = log
    cut = fit_plan.holdout_cut(sequences, 0.1)
    assert 0.08 < np.mean(np.asarray(sequences["time"]) >= cut) < 0.12
    assert plan.known.as_of == cut
    assert plan.known["time"].max() < cut
    assert len(plan.known["time"]) == np.sum(np.asarray(sequences["time"]) < cut)
    assert (plan.events, plan.as_of) == (len(sequences["time"]), sequences.as_of)


def test_users_who_choose_the_epoch_are_not_reported(plan: FitPlan) -> None:
    assert len(plan.watched.users) > 20
    assert len(plan.held.users) > 20
    assert not np.intersect1d(plan.watched.users, plan.held.users).size


def test_events_copied_into_a_folder_give_the_same_plan(log: Log, plan: FitPlan, tmp_path: Path) -> None:
    on_disk = fit_plan.plan_fit(*log, SMALL, tmp_path)
    assert list(tmp_path.glob("*.bin"))
    for name, values in plan.known.columns.items():
        np.testing.assert_array_equal(on_disk.known[name], values, name)  # NaN is equal to NaN here
    assert np.array_equal(on_disk.content.components, plan.content.components)


@pytest.mark.parametrize(("users", "epochs", "batch_events"), [(10, 10, 512), (1_000, 10, 900)])
def test_epochs_and_batch_size_follow_from_the_log_unless_set(users: int, epochs: int, batch_events: int) -> None:
    sequences = sequences_of([list(range(100))] * users)
    settings = TrainSettings(content_dim=8, holdout_share=0.1)
    plan = fit_plan.plan_fit(sequences, plain_vocabulary(9), settings)
    assert (plan.epochs, plan.batch_events) == (epochs, batch_events)
    plan = fit_plan.plan_fit(sequences, plain_vocabulary(9), replace(settings, epochs=3, batch_events=64))
    assert (plan.epochs, plan.batch_events) == (3, 64)


def test_a_log_without_events_has_a_plan() -> None:
    plan = fit_plan.plan_fit(sequences_of([[], []], as_of=50), plain_vocabulary(3), SMALL)
    assert (plan.events, plan.known.as_of, plan.window) == (0, 50, None)


def test_of_news_no_more_is_hidden_than_items_are_of_interest() -> None:
    item = [hour // 3 for hour in range(60)]
    log = sequences_of([list(range(60))] * 9)
    log.columns["item"][:] = item * 9
    log.columns["time"][:] = [3 * 3_600 * each + 900 * person for person in range(9) for each in item]
    settings = replace(SMALL, mask_hours=24)
    plan = fit_plan.plan_fit(log, plain_vocabulary(20), settings)
    assert plan.hidden_seconds == 3_600
    assert plan.item_lives is not None
    log.columns["item"][:] = 0
    plan = fit_plan.plan_fit(log, plain_vocabulary(20), settings)
    assert plan.hidden_seconds == 24 * 3_600
    assert plan.item_lives is None

"""What a training checks before it begins and stores at its end."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from lookalike.data.sequences import Vocabulary
from lookalike.encoder import fit_plan, training_run
from lookalike.encoder.run_files import ModelShape
from lookalike.errors import SettingsError
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL
from run_configs import run_config
from synthetic_sequences import CODES, sequences_of

SHAPE = ModelShape(encoder="gru", dim=32, length=20, items=0, attributes=0, fields={}, profile=0)


@pytest.mark.parametrize("settings", [TrainSettings(encoder="magic"), TrainSettings(objective="magic")])
def test_unknown_encoders_and_objectives_are_refused(settings: TrainSettings) -> None:
    training_run.check_settings(TrainSettings())
    with pytest.raises(SettingsError):
        training_run.check_settings(settings)


def test_a_warm_start_takes_the_shape_of_its_run() -> None:
    settings = training_run.with_shape_of(run_config(sizes=SHAPE), TrainSettings(epochs=3, dim=32))
    assert settings == TrainSettings(epochs=3, encoder="gru", dim=32, length=20)


def test_a_warm_start_refuses_another_shape() -> None:
    with pytest.raises(SettingsError, match="dim and length"):
        training_run.with_shape_of(run_config(sizes=SHAPE), TrainSettings(dim=64, length=30))


@pytest.fixture
def plan() -> fit_plan.FitPlan:
    """Of 40 events, the last 4 of which are held out."""
    sequences = sequences_of([list(range(20)), list(range(20))], as_of=20)
    no_attributes = (np.zeros(10, np.int64), np.zeros(0, np.int32))
    vocabulary = Vocabulary([f"i{row}" for row in range(9)], CODES, [], no_attributes, [])
    return fit_plan.plan_fit(sequences, vocabulary, replace(SMALL, epoch_events=1_000))


def test_figures_are_not_held_out_when_the_warm_start_had_seen_later_events(plan: fit_plan.FitPlan) -> None:
    begin = training_run.holdout_begin(plan)
    assert begin == datetime(1970, 1, 1, 0, 0, 18)
    assert training_run.leaked_until(plan, None) is None
    assert training_run.leaked_until(plan, run_config(as_of=begin)) is None
    assert training_run.leaked_until(plan, run_config(as_of=datetime(2024, 1, 1))) == datetime(2024, 1, 1)


def test_an_epoch_reads_the_log_or_the_limit(plan: fit_plan.FitPlan) -> None:
    assert training_run.events_per_epoch(plan, plan.known) == 36
    large = sequences_of([list(range(3_000))])
    assert training_run.events_per_epoch(plan, large) == 1_000
    assert training_run.events_per_epoch(plan, sequences_of([[]])) == 1

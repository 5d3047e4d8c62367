"""Negatives follow the items' counts, and nothing else."""

from dataclasses import replace

import pytest
import torch

from lookalike.encoder import fit_plan, trainer
from lookalike.encoder.negatives import NegativeSampling
from planted_log import SMALL
from small_fits import CPU
from synthetic_sequences import plain_vocabulary, sequences_of


def test_events_without_an_item_do_not_change_the_negatives() -> None:
    sequences = sequences_of([[1, 2, 3, 4, 5, 6]])
    sequences.columns["item"][:] = [-1, -1, -1, -1, 0, 1]
    plan = fit_plan.plan_fit(sequences, plain_vocabulary(2), replace(SMALL, holdout_share=0.001))
    fit = trainer.Fit(replace(plan, known=sequences), plain_vocabulary(2), CPU)
    assert fit.sampling.chance.tolist() == pytest.approx([0.5, 0.5])


def test_chances_are_counts_to_the_power_of_three_quarters() -> None:
    counts = torch.tensor([16, 0, 1]).numpy()
    sampling = NegativeSampling.from_counts(counts, 100, CPU)
    assert sampling.chance.tolist() == pytest.approx([8 / 9, 0, 1 / 9])
    assert sampling.log_q[0].item() == pytest.approx(torch.tensor(800 / 9).log().item())


def test_without_any_event_all_items_are_equally_likely() -> None:
    sampling = NegativeSampling.from_counts(torch.zeros(4, dtype=torch.int64).numpy(), 10, CPU)
    assert sampling.chance.tolist() == [0.25] * 4


def test_only_where_items_come_and_go_are_negatives_of_their_own_time() -> None:
    hours = [3_600 * hour for hour in range(60)]
    log = sequences_of([hours] * 3)
    item = [hour // 3 for hour in range(60)]  # read for an hour by three people, then never again
    log.columns["item"][:] = item * 3
    log.columns["time"][:] = [3 * 3_600 * each + 1_200 * person for person in range(3) for each in item]
    counts = torch.bincount(torch.from_numpy(log["item"]).long()).numpy()
    sampling = NegativeSampling.from_log(log, counts, 100, CPU)
    moments = torch.tensor([1_200, 3 * 3_600])
    assert sampling.of_another_time(torch.tensor([0, 1, 19]), moments).tolist() == [
        [False, True, True],
        [True, False, True],
    ]
    log.columns["item"][:] = [hour % 20 for hour in range(60)] * 3
    log.columns["time"][:] = sorted(3_600 * hour for hour in range(180))
    assert NegativeSampling.from_log(log, counts, 100, CPU).life is None

"""Negatives follow the items' counts, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.data.item_lives import ItemLives
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


def test_of_news_negatives_are_of_their_own_time() -> None:
    lives = ItemLives(np.array([0, 10, 50]), np.array([9, 30, 60]), np.array([2, 2, 2]))
    sampling = NegativeSampling.from_counts(np.array([5, 5, 5]), 100, CPU, lives)
    other_time = sampling.of_another_time(torch.tensor([0, 1, 2]), torch.tensor([9, 10, 55]))
    assert other_time.tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    assert NegativeSampling.from_counts(np.array([5, 5, 5]), 100, CPU).life is None

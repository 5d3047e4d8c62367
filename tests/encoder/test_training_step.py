"""What a step draws and computes for its objectives."""

import numpy as np
import pytest
import torch

from lookalike.encoder import batches
from lookalike.encoder.model import FIRST_ITEM
from lookalike.encoder.training_step import TrainingStep
from small_fits import CPU, untrained_fit
from synthetic_sequences import plain_vocabulary, sequences_of

ITEMS = 9


@pytest.fixture
def step() -> TrainingStep:
    sequences = sequences_of([[1, 2, 3, 4], [5, 6]])
    fit = untrained_fit((sequences, plain_vocabulary(ITEMS)))
    return TrainingStep(
        model=fit.model.eval(),
        vocabulary=fit.vocabulary,
        sequences=sequences,
        segments=batches.latest_segments(sequences, batches.window_starts(sequences, None), 8),
        future=batches.future_events(sequences, 8),
        horizon=8,
        sampling=fit.sampling,
        rng=np.random.default_rng(0),
        device=CPU,
    )


def test_repeated_items_have_the_same_vector(step: TrainingStep) -> None:
    index = torch.tensor([4, 4, 3, 4]) + FIRST_ITEM
    vectors = step.item_vectors(index)
    assert torch.equal(vectors, step.model.item_vectors(index))
    assert torch.equal(vectors[0], vectors[3])


def test_users_at_a_position_are_those_of_the_batch(step: TrainingStep) -> None:
    users = step.users_at(np.array([3, 0]))
    assert torch.equal(users, torch.stack([step.users[0, 3], step.users[1, 0]]))


def test_negatives_are_drawn_once_a_step(step: TrainingStep) -> None:
    index, vectors = step.negatives
    assert len(index) == len(vectors) == step.sampling.negatives
    assert index.min() >= FIRST_ITEM
    assert step.negatives[0] is index


def test_without_targets_the_loss_is_zero_and_has_a_gradient(step: TrainingStep) -> None:
    positions = np.zeros((2, 5), np.int64)
    loss = step.prediction_loss(positions, positions)
    assert loss.item() == 0
    loss.backward()

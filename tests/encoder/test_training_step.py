"""What a step draws and computes for its objectives."""

import numpy as np
import pytest
import torch

from lookalike.data.item_lives import ItemLives
from lookalike.encoder import batches, losses
from lookalike.encoder.model import FIRST_ITEM
from lookalike.encoder.negatives import NegativeSampling
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


def test_vectors_that_are_looked_up_together_are_those_looked_up_alone(step: TrainingStep) -> None:
    target = torch.tensor([2, 0, 2]) + FIRST_ITEM
    vectors = step._target_vectors(target)
    assert torch.equal(vectors, step.model.item_vectors(target))
    assert torch.equal(step.input_vectors, step.model.item_vectors(step.batch.item.flatten()).view(2, 4, -1))
    index, negatives = step.negatives
    assert torch.equal(negatives, step.model.item_vectors(index))
    assert torch.equal(step._target_vectors(target), vectors)  # also when the batch is looked up already


def test_without_targets_the_loss_is_zero_and_has_a_gradient(step: TrainingStep) -> None:
    positions = np.zeros((2, 5), np.int64)
    loss = step.prediction_loss(positions, positions)
    assert loss.item() == 0
    loss.backward()


def test_of_news_a_target_is_contrasted_with_items_of_its_own_time(
    step: TrainingStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every prediction each negative that was read before or after the time of the target is excluded."""
    step.sequences.columns["item"][:] = [0, 1, 2, 3, 4, 5]  # at the seconds 1 to 6
    seconds = np.arange(1, ITEMS + 1)
    lives = ItemLives(seconds, seconds + 1, np.full(ITEMS, 2))
    step.sampling = NegativeSampling.from_counts(np.ones(ITEMS, np.int64), 200, CPU, lives)
    seen: list[losses.Excluded] = []
    monkeypatch.setattr(losses, "sampled_softmax", lambda *each: seen.append(each[-1]) or each[0].sum())
    begin = np.array([[0, 1, 2, 3, 0], [4, 5, 0, 0, 0]])
    end = np.array([[1, 2, 3, 4, 0], [5, 6, 0, 0, 0]])
    step.prediction_loss(begin, end)
    (excluded,) = seen
    negative = step.negatives[0].numpy() - FIRST_ITEM
    assert excluded.mask is not None
    is_excluded = excluded.mask(slice(0, 6)).numpy()
    assert np.array_equal(excluded.mask(slice(2, 4)).numpy(), is_excluded[2:4])
    is_excluded[excluded.rows, excluded.columns] = True
    for target, row in zip(range(6), is_excluded, strict=True):
        moment = target + 1
        alive = (seconds[negative] <= moment) & (moment <= seconds[negative] + 1)
        assert np.array_equal(row, ~alive | (negative == target))


def test_a_fit_of_news_knows_when_its_items_lived() -> None:
    hours = [hour // 3 for hour in range(60)]
    log = sequences_of([list(range(60))] * 9)
    log.columns["item"][:] = hours * 9
    log.columns["time"][:] = [3 * 3_600 * each + 900 * person for person in range(9) for each in hours]
    assert untrained_fit((log, plain_vocabulary(20))).sampling.life is not None
    log.columns["item"][:] = 0
    assert untrained_fit((log, plain_vocabulary(20))).sampling.life is None

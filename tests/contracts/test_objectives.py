"""What every objective of the registry must satisfy: a finite, repeatable loss that trains the items, on any log."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.data.sequences import Vocabulary
from lookalike.encoder import batches, fit_plan, objectives, trainer
from lookalike.encoder.objectives import OBJECTIVES
from lookalike.encoder.training_step import TrainingStep
from lookalike.errors import SettingsError
from planted_log import SMALL
from small_fits import CPU, Log, trained_fit
from synthetic_sequences import CODES, sequences_of

USERS, EVENTS, ITEMS, KINDS = 40, 12, 30, 5


@pytest.fixture(params=sorted(OBJECTIVES))
def objective(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def vocabulary_of(items: int, kinds: int = KINDS) -> Vocabulary:
    """Every item has one attribute, its number modulo `kinds`; none where `kinds` is 0."""
    codes = (np.arange(items) % kinds).astype(np.int32) if kinds else np.zeros(0, np.int32)
    offsets = np.arange(items + 1) if kinds else np.zeros(items + 1, np.int64)
    attributes = [("category", f"c{kind}") for kind in range(kinds)]
    return Vocabulary([f"i{item}" for item in range(items)], CODES, attributes, (offsets, codes), [])


def log_of(users: int = USERS, items: int = ITEMS, kinds: int = KINDS, times: list[int] | None = None) -> Log:
    """Three of four events of a user are about items of one kind."""
    sequences = sequences_of([times or list(range(0, EVENTS * 9_000, 9_000))] * users)
    rng = np.random.default_rng(5)
    total = len(sequences["item"])
    preferred = rng.integers(0, max(1, items // KINDS), total) * KINDS + sequences.owner % KINDS
    is_preferred = rng.random(total) < 0.75
    sequences.columns["item"][:] = np.where(is_preferred, preferred % items, rng.integers(0, items, total))
    return sequences, vocabulary_of(items, kinds)


def fit_of(log: Log, seed: int = 0) -> trainer.Fit:
    settings = replace(SMALL, random_seed=seed, dropout=0.0, holdout_share=0.001)
    return trainer.Fit(replace(fit_plan.plan_fit(*log, settings), known=log[0]), log[1], CPU)


def loss_of(objective: str, fit: trainer.Fit, log: Log, seed: int = 0) -> torch.Tensor:
    """The loss of one batch that holds the whole log; all random draws follow from the seed."""
    sequences, vocabulary = log
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    starts = batches.window_starts(sequences, None)
    segments = batches.split_histories(sequences, starts, SMALL.length, rng)
    future = batches.future_events(sequences, 8)
    step = TrainingStep(fit.model, vocabulary, sequences, segments, future, 8, fit.sampling, rng, CPU)
    return OBJECTIVES[objective](step)


def test_loss_is_a_finite_positive_scalar(objective: str) -> None:
    loss = loss_of(objective, fit_of(log_of()), log_of())
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert loss > 0


def test_loss_trains_items_and_their_attributes(objective: str) -> None:
    fit = fit_of(log_of())
    loss_of(objective, fit, log_of()).backward()
    for table in fit.model.embedding_tables:
        assert table.grad is not None
        gradient = table.grad.to_dense().abs().sum(-1)
        assert torch.isfinite(gradient).all()
        assert (gradient > 0).sum() > 0.9 * min(KINDS, ITEMS)
    id_gradient = fit.model.item_id.weight.grad
    assert id_gradient is not None
    assert (id_gradient.to_dense().abs().sum(-1) > 0).sum() > 0.5 * ITEMS


def test_a_few_steps_lower_the_loss(objective: str) -> None:
    log = log_of()
    fit = fit_of(log)
    losses = []
    for i in range(15):
        loss = loss_of(objective, fit, log, seed=i % 3)  # several draws: memorising one is not enough
        losses.append(loss.item())
        fit.model.zero_grad()
        loss.backward()
        fit.optimisers.step()
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.02


def test_same_seed_gives_the_same_loss_and_another_seed_another(objective: str) -> None:
    log = log_of()
    first, again, other = (loss_of(objective, fit_of(log), log, seed).item() for seed in (0, 0, 1))
    assert first == again
    assert first != other


SMALLEST = {
    "one user": log_of(users=1),
    "one item": log_of(items=1, kinds=1),
    "no item attributes": log_of(kinds=0),
    "all events at one moment": log_of(times=[7] * EVENTS),
    "one event each": log_of(times=[7]),
    "one event in total": log_of(users=1, times=[7]),
}


def log_without_items() -> Log:
    sequences, vocabulary = log_of()
    sequences.columns["item"][:] = -1
    return sequences, vocabulary


SMALLEST["no event has an item"] = log_without_items()


@pytest.mark.parametrize("case", SMALLEST)
def test_smallest_logs_give_a_finite_loss_and_finite_gradients(objective: str, case: str) -> None:
    log = SMALLEST[case]
    fit = fit_of(log)
    loss = loss_of(objective, fit, log)
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [value.grad.to_dense() for value in fit.model.parameters() if value.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all_action", [(1.0, "all_action")]),
        ("0.5*episodes+all_action", [(0.5, "episodes"), (1.0, "all_action")]),
        (" 2 * skipgram + 0.25*contrastive ", [(2.0, "skipgram"), (0.25, "contrastive")]),
    ],
)
def test_sums_are_parsed_with_their_weights(text: str, expected: list[tuple[float, str]]) -> None:
    assert objectives.parse_objective(text) == [(weight, OBJECTIVES[name]) for weight, name in expected]


INVALID = [
    "",
    "next",
    "all_action+",
    "+all_action",
    "-1*all_action",
    "2*",
    "all_action*2",
    "1e3*all_action",
    "all-action",
]


@pytest.mark.parametrize("text", INVALID)
def test_unknown_objective_is_refused_and_the_valid_ones_are_listed(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        objectives.parse_objective(text)
    assert all(name in raised.value.hint for name in OBJECTIVES)


def test_training_uses_the_weights_of_the_sum() -> None:
    log = log_of()
    losses = []
    for text in ("next_item", "next_item+0*reconstruct", "next_item+reconstruct"):
        fit = trained_fit(log, replace(SMALL, objective=text, dropout=0.0, epochs=1))
        losses.append(fit.progress.history[0].loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)  # not equal, as both objectives draw from one generator
    assert losses[2] > 1.5 * losses[0]

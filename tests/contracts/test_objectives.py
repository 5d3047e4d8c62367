"""What every training objective keeps: a finite loss that reaches the items, falls, repeats, and bears any log."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import batches, objectives, trainer
from lookalike.encoder.objectives import OBJECTIVES, TrainingStep
from lookalike.errors import SettingsError
from planted_log import SMALL
from test_batches import CODES, sequences_of

CPU = torch.device("cpu")
USERS, EVENTS, ITEMS, KINDS = 40, 12, 30, 5
Log = tuple[Sequences, Vocabulary]


@pytest.fixture(params=sorted(OBJECTIVES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def vocabulary_of(items: int, kinds: int = KINDS) -> Vocabulary:
    """Every item has one attribute, its number modulo `kinds`; none where `kinds` is 0."""
    codes = (np.arange(items) % kinds).astype(np.int32) if kinds else np.zeros(0, np.int32)
    offsets = np.arange(items + 1) if kinds else np.zeros(items + 1, np.int64)
    attributes = [("category", f"c{kind}") for kind in range(kinds)]
    return Vocabulary([f"i{item}" for item in range(items)], CODES, attributes, (offsets, codes), [])


def log_of(users: int = USERS, items: int = ITEMS, kinds: int = KINDS, times: list[int] | None = None) -> Log:
    """Each user keeps to the items of one kind in three events of four."""
    known = sequences_of([times or list(range(0, EVENTS * 9_000, 9_000))] * users)
    rng = np.random.default_rng(5)
    total = len(known["item"])
    own = rng.integers(0, max(1, items // KINDS), total) * KINDS + known.owner % KINDS
    known.columns["item"][:] = np.where(rng.random(total) < 0.75, own % items, rng.integers(0, items, total))
    return known, vocabulary_of(items, kinds)


def fit_of(log: Log, seed: int = 0) -> trainer.Fit:
    settings = replace(SMALL, random_seed=seed, dropout=0.0, holdout_share=0.001)
    return trainer.Fit(replace(trainer.plan_fit(*log, settings), known=log[0]), log[1], CPU)


def loss_of(name: str, fit: trainer.Fit, log: Log, seed: int = 0) -> torch.Tensor:
    """The loss of one batch with the whole log in it; all that is drawn is drawn from the seed."""
    known, vocabulary = log
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    starts = batches.window_starts(known, None)
    stretches = batches.split_histories(known, starts, SMALL.length, rng)
    step = TrainingStep(
        fit.model, known, vocabulary, stretches, batches.future_events(known, 8), 8, fit.sampling, rng, CPU
    )
    return OBJECTIVES[name](step)


def test_loss_is_one_finite_number_above_zero(name: str) -> None:
    loss = loss_of(name, fit_of(log_of()), log_of())
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert loss > 0


def test_loss_teaches_items_and_their_attributes(name: str) -> None:
    fit = fit_of(log_of())
    loss_of(name, fit, log_of()).backward()
    for table in fit.model.tables():
        assert table.grad is not None
        reached = table.grad.to_dense().abs().sum(-1)
        assert torch.isfinite(reached).all()
        assert (reached > 0).sum() > 0.9 * min(KINDS, ITEMS)
    own = fit.model.item_id.weight.grad
    assert own is not None
    assert (own.to_dense().abs().sum(-1) > 0).sum() > 0.5 * ITEMS


def test_some_steps_lower_the_loss(name: str) -> None:
    log = log_of()
    fit = fit_of(log)
    losses = []
    for turn in range(15):
        loss = loss_of(name, fit, log, seed=turn % 3)  # a loss that only remembers one draw would not count
        losses.append(loss.item())
        for optimiser in fit.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in fit.optimisers.values():
            optimiser.step()
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.02


def test_same_seed_gives_the_same_loss_and_another_seed_another(name: str) -> None:
    log = log_of()
    first, again, other = (loss_of(name, fit_of(log), log, seed).item() for seed in (0, 0, 1))
    assert first == again
    assert first != other


SMALLEST = {
    "one user": log_of(users=1),
    "one item": log_of(items=1, kinds=1),
    "no item attributes": log_of(kinds=0),
    "all events of one moment": log_of(times=[7] * EVENTS),
    "one event each": log_of(times=[7]),
    "one event in all": log_of(users=1, times=[7]),
}


def about_nothing() -> Log:
    known, vocabulary = log_of()
    known.columns["item"][:] = -1
    return known, vocabulary


SMALLEST["no event names an item"] = about_nothing()


@pytest.mark.parametrize("case", SMALLEST)
def test_smallest_logs_give_a_finite_loss_and_finite_gradients(name: str, case: str) -> None:
    log = SMALLEST[case]
    fit = fit_of(log)
    loss = loss_of(name, fit, log)
    assert torch.isfinite(loss)
    loss.backward()
    grown = [value.grad.to_dense() for value in fit.model.parameters() if value.grad is not None]
    assert grown, "a loss that hangs on nothing cannot be stepped"
    assert all(torch.isfinite(grad).all() for grad in grown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all_action", [(1.0, "all_action")]),
        ("0.5*episodes+all_action", [(0.5, "episodes"), (1.0, "all_action")]),
        (" 2 * skipgram + 0.25*contrastive ", [(2.0, "skipgram"), (0.25, "contrastive")]),
    ],
)
def test_sums_are_read_with_their_weights(text: str, expected: list[tuple[float, str]]) -> None:
    assert objectives.parse_objective(text) == [(weight, OBJECTIVES[one]) for weight, one in expected]


WRONG = [
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


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_objective_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        objectives.parse_objective(text)
    assert all(one in str(caught.value.hint) for one in OBJECTIVES)


def test_training_follows_the_sum_it_was_asked_for() -> None:
    """A weight of zero leaves the other's training to the last bit; a real weight does not."""
    log = log_of()
    found = []
    for text in ("next_item", "next_item+0*reconstruct", "next_item+reconstruct"):
        settings = replace(SMALL, objective=text, dropout=0.0, epochs=1)
        fit = trainer.Fit(trainer.plan_fit(*log, settings), log[1], CPU)
        fit.run(lambda progress, fit: None, lambda done, note: None)
        found.append(fit.progress.history[0].loss)
    assert found[1] == pytest.approx(found[0], rel=0.05)  # the draws differ, since both draw from one generator
    assert found[2] > 1.5 * found[0]

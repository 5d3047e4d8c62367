"""What every encoder of the registry must satisfy inside the two-tower model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookalike.encoder.inference import item_vectors
from lookalike.encoder.model import ENCODERS, EVENT_FEATURES, FIRST_ITEM, NO_ITEM, ModelSizes, SequenceBatch, TwoTower

DIM, LENGTH, ITEMS, ATTRIBUTES, FIELDS, PROFILE = 16, 12, 30, 7, {"event_type": 4, "any. name": 3}, 5


@pytest.fixture(params=sorted(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def model_of(encoder: str, seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    rng = np.random.default_rng(1)
    count = rng.integers(0, 3, ITEMS)  # some items have no attribute
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(count)]))
    codes = torch.from_numpy(rng.integers(0, ATTRIBUTES, int(offsets[-1])))
    model = TwoTower(ModelSizes(encoder, DIM, LENGTH, ITEMS, ATTRIBUTES, FIELDS, PROFILE), (offsets, codes))
    with torch.no_grad():  # initial weights switch some parts off
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
        model.item_id.weight[0] = 0
    return model.eval()


def batch_of(lengths: list[int], seed: int = 0, width: int | None = None) -> SequenceBatch:
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    is_real = torch.arange(width) < torch.tensor(lengths)[:, None]

    def column(low: int, high: int) -> torch.Tensor:
        # drawn at full length, so that a wider batch has the same values in front
        values = torch.randint(low, high, (len(lengths), LENGTH), generator=generator)
        return torch.where(is_real, values[:, :width], 0)

    item = column(1, ITEMS + FIRST_ITEM)
    widths = [*EVENT_FEATURES.values(), *(values + 1 for values in FIELDS.values())]
    context = torch.stack([column(0, values) for values in widths], -1)
    profile = torch.arange(2 * len(lengths)) % PROFILE
    return SequenceBatch(item, context, profile, 2 * torch.arange(len(lengths)))


def rows_of(batch: SequenceBatch, rows: torch.Tensor) -> SequenceBatch:
    profile = batch.profile.view(-1, 2)[rows].flatten()
    return SequenceBatch(batch.item[rows], batch.context[rows], profile, 2 * torch.arange(len(rows)))


LENGTHS = [12, 1, 5, 7, 2]


@torch.inference_mode()
def test_every_position_has_a_unit_vector_and_position_0_depends_on_the_profile_only(encoder: str) -> None:
    model, batch = model_of(encoder), batch_of(LENGTHS)
    output = model(batch)
    assert output.shape == (len(LENGTHS), LENGTH + 1, DIM)
    assert torch.allclose(output.norm(dim=-1), torch.ones(len(LENGTHS), LENGTH + 1), atol=1e-5)
    other_events = replace(batch_of(LENGTHS, seed=4), profile=batch.profile)
    assert torch.equal(model(other_events)[:, 0], output[:, 0])
    other_profile = replace(batch, profile=(batch.profile + 1) % PROFILE)
    assert not torch.allclose(model(other_profile)[:, 0], output[:, 0], atol=0.01)


@torch.inference_mode()
def test_padding_does_not_change_the_vectors(encoder: str) -> None:
    model, lengths = model_of(encoder), [3, 1, 5]
    narrow, wide = model(batch_of(lengths)), model(batch_of(lengths, width=LENGTH))
    assert torch.allclose(narrow, wide[:, :6], atol=1e-5)


@torch.inference_mode()
def test_order_within_a_batch_does_not_change_the_vectors(encoder: str) -> None:
    model, batch = model_of(encoder), batch_of(LENGTHS)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert torch.allclose(model(batch)[order], model(rows_of(batch, order)), atol=1e-5)


@torch.inference_mode()
def test_later_events_do_not_change_earlier_positions(encoder: str) -> None:
    model, batch, changed = model_of(encoder), batch_of([LENGTH]), batch_of([LENGTH], seed=9)
    changed = replace(changed, item=FIRST_ITEM + (batch.item + 7) % ITEMS)
    output = model(batch)
    for position in range(1, LENGTH):  # position t has read the first t events
        item, context = (
            torch.cat([getattr(batch, field)[:, :position], getattr(changed, field)[:, position:]], dim=1)
            for field in ("item", "context")
        )
        changed_output = model(replace(batch, item=item, context=context))
        assert torch.allclose(output[:, : position + 1], changed_output[:, : position + 1], atol=1e-5)
        assert (output[:, position + 1 :] - changed_output[:, position + 1 :]).abs().amax(-1).min() > 1e-3


def test_gradients_do_not_reach_later_events(encoder: str) -> None:
    model, batch = model_of(encoder), batch_of([LENGTH])
    vectors = model.item_vectors(batch.item.flatten()).view(1, LENGTH, DIM).detach().requires_grad_()
    model.user_vectors(batch, vectors)[0, 5].sum().backward()
    assert vectors.grad is not None
    gradient = vectors.grad[0].abs().sum(-1)
    assert (gradient[:5] > 0).any()
    assert (gradient[5:] == 0).all()


@torch.inference_mode()
def test_saved_and_loaded_weights_give_the_same_vectors(encoder: str, tmp_path: Path) -> None:
    model, other = model_of(encoder, seed=0), model_of(encoder, seed=5)
    batch = batch_of(LENGTHS)
    assert not torch.allclose(model(batch), other(batch), atol=1e-2)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(model(batch), other(batch))
    assert np.array_equal(item_vectors(model), item_vectors(other))


def test_the_same_seed_gives_the_same_weights(encoder: str) -> None:
    first, second, other = model_of(encoder, 3), model_of(encoder, 3), model_of(encoder, 4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@torch.inference_mode()
def test_item_vector_is_its_id_plus_the_mean_of_its_attributes(encoder: str) -> None:
    model = model_of(encoder)
    vectors = item_vectors(model)
    assert vectors.shape == (ITEMS, DIM)
    for row in range(ITEMS):
        codes = model.item_codes[model.item_offsets[row] : model.item_offsets[row + 1]]
        expected = model.item_id.weight[row + FIRST_ITEM]
        if len(codes):
            expected = expected + model.attribute.weight[codes].mean(0)
        assert np.allclose(vectors[row], expected.numpy(), atol=1e-6)


@torch.inference_mode()
def test_events_without_an_item_give_a_finite_vector(encoder: str) -> None:
    batch = batch_of([4])
    without_items = replace(batch, item=torch.full_like(batch.item, NO_ITEM))
    output = model_of(encoder)(without_items)
    assert torch.isfinite(output).all()


def test_every_parameter_gets_a_gradient(encoder: str) -> None:
    model = model_of(encoder).train()
    batch = batch_of(LENGTHS)
    (model(batch) * torch.randn(5, LENGTH + 1, DIM)).sum().backward()
    without_gradient = {
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.to_dense().abs().sum() > 0
    }
    # the scale is part of the loss; without a body the head has no input
    switched_off = {"head"} if encoder in ("mean", "skipgram") else set()
    assert {n for n in without_gradient if n.split(".")[0] not in switched_off} <= {"log_scale"}


@torch.inference_mode()
def test_an_item_added_after_training_is_its_attributes_alone(encoder: str) -> None:
    trained = model_of(encoder)
    offsets = torch.cat([trained.item_offsets, trained.item_offsets[-1:] + 2])
    model = TwoTower(trained.sizes, (offsets, torch.cat([trained.item_codes, torch.tensor([0, 3])])))
    model.load_state_dict(trained.state_dict())
    vectors = item_vectors(model.eval())
    assert np.array_equal(vectors[:ITEMS], item_vectors(trained))
    assert np.allclose(vectors[ITEMS], trained.attribute.weight[[0, 3]].mean(0).numpy(), atol=1e-6)


@torch.inference_mode()
def test_latest_user_vector_is_that_of_the_last_position(encoder: str) -> None:
    model, lengths = model_of(encoder), [12, 1, 5, 0, 2]
    batch = batch_of(lengths)
    expected = model(batch)[torch.arange(len(lengths)), torch.tensor(lengths)]
    assert torch.allclose(model.latest_user_vectors(batch, torch.tensor(lengths)), expected, atol=1e-5)

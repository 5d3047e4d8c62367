"""What every encoder body keeps inside the two towers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookalike.encoder.inference import item_vectors
from lookalike.encoder.model import ENCODERS, EVENT_FEATURES, FIRST_ITEM, ModelSizes, SequenceBatch, TwoTower

DIM, LENGTH, ITEMS, ATTRIBUTES, FIELDS, PROFILE = 16, 12, 30, 7, {"event_type": 4, "any. name": 3}, 5


@pytest.fixture(params=sorted(ENCODERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def model_of(name: str, seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    rng = np.random.default_rng(1)
    count = rng.integers(0, 3, ITEMS)  # some items have no attribute
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(count)]))
    codes = torch.from_numpy(rng.integers(0, ATTRIBUTES, int(offsets[-1])))
    model = TwoTower(ModelSizes(name, DIM, LENGTH, ITEMS, ATTRIBUTES, FIELDS, PROFILE), (offsets, codes))
    with torch.no_grad():  # away from the start, where parts are switched off
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
        model.item_id.weight[0] = 0
    return model.eval()


def batch_of(lengths: list[int], seed: int = 0, width: int | None = None) -> SequenceBatch:
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    real = torch.arange(width) < torch.tensor(lengths)[:, None]

    def column(low: int, high: int) -> torch.Tensor:
        # drawn at full length, so that a wider batch has the same values in front
        values = torch.randint(low, high, (len(lengths), LENGTH), generator=generator)
        return torch.where(real, values[:, :width], 0)

    item = column(1, ITEMS + FIRST_ITEM)
    widths = [*EVENT_FEATURES.values(), *(values + 1 for values in FIELDS.values())]
    context = torch.stack([column(0, values) for values in widths], -1)
    profile = torch.arange(2 * len(lengths)) % PROFILE
    return SequenceBatch(item, context, profile, 2 * torch.arange(len(lengths)))


def part_of(batch: SequenceBatch, rows: torch.Tensor) -> SequenceBatch:
    profile = batch.profile.view(-1, 2)[rows].flatten()
    return SequenceBatch(batch.item[rows], batch.context[rows], profile, 2 * torch.arange(len(rows)))


LENGTHS = [12, 1, 5, 7, 2]


@torch.inference_mode()
def test_every_place_has_a_unit_vector_and_the_first_has_read_nothing(name: str) -> None:
    model, batch = model_of(name), batch_of(LENGTHS)
    output = model(batch)
    assert output.shape == (len(LENGTHS), LENGTH + 1, DIM)
    assert torch.allclose(output.norm(dim=-1), torch.ones(len(LENGTHS), LENGTH + 1), atol=1e-5)
    other = replace(batch_of(LENGTHS, seed=4), profile=batch.profile)
    assert torch.equal(model(other)[:, 0], output[:, 0])
    assert not torch.allclose(
        model(replace(batch, profile=(batch.profile + 1) % PROFILE))[:, 0], output[:, 0], atol=0.01
    )


@torch.inference_mode()
def test_more_padding_changes_nothing(name: str) -> None:
    model, short = model_of(name), [3, 1, 5]
    tight, wide = model(batch_of(short)), model(batch_of(short, width=LENGTH))
    assert torch.allclose(tight, wide[:, :6], atol=1e-5)


@torch.inference_mode()
def test_the_order_within_a_batch_changes_nothing(name: str) -> None:
    model, batch = model_of(name), batch_of(LENGTHS)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert torch.allclose(model(batch)[order], model(part_of(batch, order)), atol=1e-5)


@torch.inference_mode()
def test_a_later_event_cannot_change_an_earlier_position(name: str) -> None:
    model, batch, changed = model_of(name), batch_of([LENGTH]), batch_of([LENGTH], seed=9)
    changed = replace(changed, item=FIRST_ITEM + (batch.item + 7) % ITEMS)
    whole = model(batch)
    for place in range(1, LENGTH):
        item, context = (
            torch.cat([getattr(batch, field)[:, :place], getattr(changed, field)[:, place:]], dim=1)
            for field in ("item", "context")
        )
        other = model(replace(batch, item=item, context=context))
        # place t has read the first t events
        assert torch.allclose(whole[:, : place + 1], other[:, : place + 1], atol=1e-5)
        assert (whole[:, place + 1 :] - other[:, place + 1 :]).abs().amax(-1).min() > 1e-3  # and the later ones change


def test_no_gradient_flows_from_an_earlier_position_to_a_later_event(name: str) -> None:
    model, batch = model_of(name), batch_of([LENGTH])
    vectors = model.items(batch.item.flatten()).view(1, LENGTH, DIM).detach().requires_grad_()
    model.users(batch, vectors)[0, 5].sum().backward()
    assert vectors.grad is not None
    reached = vectors.grad[0].abs().sum(-1)
    assert (reached[5:] == 0).all()
    assert (reached[: 4 + 1] > 0).any()


@torch.inference_mode()
def test_saved_weights_give_the_same_vectors(name: str, tmp_path: Path) -> None:
    model, other = model_of(name, seed=0), model_of(name, seed=5)
    batch = batch_of(LENGTHS)
    assert not torch.allclose(model(batch), other(batch), atol=1e-2)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(model(batch), other(batch))
    assert np.array_equal(item_vectors(model), item_vectors(other))


def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second, other = model_of(name, 3), model_of(name, 3), model_of(name, 4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@torch.inference_mode()
def test_an_item_is_its_id_and_the_mean_of_its_attributes(name: str) -> None:
    model = model_of(name)
    vectors = item_vectors(model)
    assert vectors.shape == (ITEMS, DIM)
    for row in range(ITEMS):
        codes = model.item_codes[model.item_offsets[row] : model.item_offsets[row + 1]]
        expected = model.item_id.weight[row + FIRST_ITEM]
        if len(codes):
            expected = expected + model.attribute.weight[codes].mean(0)
        assert np.allclose(vectors[row], expected.numpy(), atol=1e-6)


@torch.inference_mode()
def test_events_about_no_item_still_give_a_vector(name: str) -> None:
    batch = batch_of([4])
    nothing = replace(batch, item=torch.ones_like(batch.item))
    output = model_of(name)(nothing)
    assert torch.isfinite(output).all()


def test_every_parameter_of_the_model_is_trained(name: str) -> None:
    model = model_of(name).train()
    batch = batch_of(LENGTHS)
    (model(batch) * torch.randn(5, LENGTH + 1, DIM)).sum().backward()
    untouched = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.to_dense().abs().sum() > 0}
    # the scale belongs to the loss; with no body the head has nothing to carry
    switched_off = {"head"} if name in ("mean", "skipgram") else set()
    assert {n for n in untouched if n.split(".")[0] not in switched_off} <= {"log_scale"}


@torch.inference_mode()
def test_an_item_past_the_trained_ones_is_its_attributes_alone(name: str) -> None:
    trained = model_of(name)
    offsets = torch.cat([trained.item_offsets, trained.item_offsets[-1:] + 2])
    model = TwoTower(trained.sizes, (offsets, torch.cat([trained.item_codes, torch.tensor([0, 3])])))
    model.load_state_dict(trained.state_dict())
    vectors = item_vectors(model.eval())
    assert np.array_equal(vectors[:ITEMS], item_vectors(trained))
    assert np.allclose(vectors[ITEMS], trained.attribute.weight[[0, 3]].mean(0).numpy(), atol=1e-6)


@torch.inference_mode()
def test_the_latest_vector_is_that_of_the_last_place(name: str) -> None:
    model, lengths = model_of(name), [12, 1, 5, 0, 2]
    batch = batch_of(lengths)
    there = model(batch)[torch.arange(len(lengths)), torch.tensor(lengths)]
    assert torch.allclose(model.latest(batch, torch.tensor(lengths)), there, atol=1e-5)

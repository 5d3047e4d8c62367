"""What every encoder body keeps inside the two towers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookalike.encoders import ENCODERS, FIRST_ITEM, GAP_BUCKETS, SequenceBatch, Sizes, TwoTower
from lookalike.training import item_vectors

DIM, LENGTH, ITEMS, ATTRIBUTES, TYPES = 16, 12, 30, 7, 4


@pytest.fixture(params=sorted(ENCODERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def model_of(name: str, seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    rng = np.random.default_rng(1)
    count = rng.integers(0, 3, ITEMS)  # some items have no attribute
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(count)]))
    codes = torch.from_numpy(rng.integers(0, ATTRIBUTES, int(offsets[-1])))
    model = TwoTower(Sizes(name, DIM, LENGTH, ITEMS, ATTRIBUTES, TYPES), (offsets, codes))
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

    return SequenceBatch(
        column(1, ITEMS + FIRST_ITEM), column(0, TYPES + 1), column(0, GAP_BUCKETS), column(0, 24), column(0, 7)
    )


def part_of(batch: SequenceBatch, rows: torch.Tensor) -> SequenceBatch:
    return SequenceBatch(*(getattr(batch, field)[rows] for field in SequenceBatch.__dataclass_fields__))


LENGTHS = [12, 1, 5, 7, 2]


@torch.inference_mode()
def test_a_real_position_has_a_unit_vector_and_padding_has_none(name: str) -> None:
    batch = batch_of(LENGTHS)
    output = model_of(name)(batch)
    assert output.shape == (len(LENGTHS), LENGTH, DIM)
    lengths = output.norm(dim=-1)
    real = batch.item > 0
    assert torch.allclose(lengths[real], torch.ones(int(real.sum())), atol=1e-5)
    assert (lengths[~real] == 0).all()


@torch.inference_mode()
def test_more_padding_changes_nothing(name: str) -> None:
    model, short = model_of(name), [3, 1, 5]
    tight, wide = model(batch_of(short)), model(batch_of(short, width=LENGTH))
    assert torch.allclose(tight, wide[:, :5], atol=1e-5)


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
        columns = [
            torch.cat([getattr(batch, field)[:, :place], getattr(changed, field)[:, place:]], dim=1)
            for field in SequenceBatch.__dataclass_fields__
        ]
        other = model(SequenceBatch(*columns))
        assert torch.allclose(whole[:, :place], other[:, :place], atol=1e-5)
        assert (whole[:, place:] - other[:, place:]).abs().amax(-1).min() > 1e-3  # and it does change the later ones


def test_no_gradient_flows_from_an_earlier_position_to_a_later_event(name: str) -> None:
    model, batch = model_of(name), batch_of([LENGTH])
    vectors = model.items(batch.item.flatten()).view(1, LENGTH, DIM).detach().requires_grad_()
    model.users(batch, vectors)[0, 4].sum().backward()
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
    nothing = SequenceBatch(torch.ones_like(batch.item), batch.event_type, batch.gap, batch.hour, batch.weekday)
    output = model_of(name)(nothing)
    assert torch.isfinite(output).all()


def test_every_parameter_of_the_model_is_trained(name: str) -> None:
    model = model_of(name).train()
    batch = batch_of(LENGTHS)
    (model(batch) * torch.randn(5, LENGTH, DIM)).sum().backward()
    untouched = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # the scale belongs to the loss; with no body the head and the context have nothing to carry
    switched_off = {"head", "event_type", "gap", "hour", "weekday"} if name == "mean" else set()
    assert {n for n in untouched if n.split(".")[0] not in switched_off} <= {"log_scale"}

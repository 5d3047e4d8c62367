"""The learning-rate schedule, and which optimiser updates which weights."""

import pytest
import torch

from lookalike.encoder.model import ModelSizes, TwoTower
from lookalike.encoder.optimisers import BETAS, TABLE_RATE_FACTOR, Optimisers


def small_model() -> TwoTower:
    torch.manual_seed(0)
    sizes = ModelSizes("mean", dim=8, length=4, items=5, attributes=2, fields={}, profile=1)
    return TwoTower(sizes, (torch.zeros(6, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)))


def test_the_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    optimisers = Optimisers(small_model(), learning_rate=0.5)
    rates: dict[str, list[float]] = {"dense": [], "tables": []}
    for progress in (0.0, 0.01, 0.02, 0.5, 1.0):
        optimisers.set_rate(progress)
        for name, optimiser in optimisers.by_name.items():
            rates[name].append(optimiser.param_groups[0]["lr"] / 0.5)
    assert rates["dense"] == pytest.approx([0.01, 0.5, 1.0, 0.55, 0.1], abs=0.01)
    assert rates["tables"] == pytest.approx([TABLE_RATE_FACTOR * rate for rate in rates["dense"]])


def test_every_weight_belongs_to_one_optimiser() -> None:
    model = small_model()
    by_name = Optimisers(model, learning_rate=0.1).by_name
    weights = {
        name: [id(weight) for group in optimiser.param_groups for weight in group["params"]]
        for name, optimiser in by_name.items()
    }
    assert weights["tables"] == [id(model.item_id.weight), id(model.attribute.weight)]
    assert sorted(weights["dense"] + weights["tables"]) == sorted(id(weight) for weight in model.parameters())


def test_a_step_moves_only_the_table_rows_with_a_gradient() -> None:
    model = small_model()
    optimisers = Optimisers(model, learning_rate=0.1)
    before = model.item_id.weight.detach().clone()
    model.item_vectors(torch.tensor([3, 3, 5])).sum().backward()
    optimisers.step()
    moved = (model.item_id.weight != before).any(1)
    assert moved.tolist() == [index in (3, 5) for index in range(len(before))]


def test_table_rows_are_updated_as_by_sparse_adam() -> None:
    ours, theirs = small_model(), small_model()
    optimisers = Optimisers(ours, learning_rate=0.1)
    reference = torch.optim.SparseAdam(theirs.embedding_tables, lr=0.1 * TABLE_RATE_FACTOR, betas=BETAS)
    for index in ([3, 3, 5], [2, 3], [5], [3]):
        for model in (ours, theirs):
            model.zero_grad()
            (model.item_vectors(torch.tensor(index)) ** 2).sum().backward()
        optimisers.by_name["tables"].step()
        reference.step()
    assert torch.allclose(ours.item_id.weight, theirs.item_id.weight, atol=1e-6)

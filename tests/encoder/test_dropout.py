"""Dropout keeps the mean, and its masks follow from the generator of the thread."""

import pytest
import torch

from lookalike.encoder.bodies.dropout import Dropout, drop, masks_from


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.999])
def test_a_share_is_dropped_and_the_mean_kept(chance: float) -> None:
    values = drop(torch.ones(300, 1_001), chance)
    assert (values == 0).float().mean().item() == pytest.approx(chance, abs=0.005)
    assert values.mean().item() == pytest.approx(1, abs=0.03 if chance < 0.9 else 0.2)
    assert len(values.unique()) == 2


def test_gradients_flow_where_values_were_kept() -> None:
    values = torch.ones(50, 7, requires_grad=True)
    dropped = drop(values, 0.5)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_masks_follow_from_the_generator_alone() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.rand(3)  # what else is drawn does not matter
        with masks_from(torch.Generator().manual_seed(seed)):
            masks.append([drop(torch.ones(9, 5), 0.5) for _ in range(2)])
    assert all(torch.equal(first, second) for first, second in zip(masks[0], masks[1], strict=True))
    assert not torch.equal(masks[0][0], masks[0][1])
    assert not torch.equal(masks[0][0], masks[2][0])


def test_nothing_is_dropped_without_a_chance_or_after_training() -> None:
    values = torch.randn(4, 4)
    assert torch.equal(drop(values, 0.0), values)
    assert torch.equal(Dropout(0.5).eval()(values), values)

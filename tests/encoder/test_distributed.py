"""One process alone decides and averages as it stands; several are tested under torchrun."""

import torch

from lookalike.encoder import distributed


def test_one_process_needs_no_group() -> None:
    with distributed.process_group():
        assert distributed.rank_and_world_size() == (0, 1)
        distributed.barrier()
        assert distributed.value_of_first(0.25) == 0.25
        assert distributed.all_true(True)
        assert not distributed.all_true(False)


def test_one_process_keeps_its_gradients() -> None:
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    distributed.average_gradients(model)
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[1.0, 1.0]]

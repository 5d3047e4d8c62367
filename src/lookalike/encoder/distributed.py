"""Several processes that train together under `torchrun`: joined, counted, kept in step. One process alone needs nothing."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed, nn


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes `torchrun` has started, where it has; whoever has joined them already stays so."""
    if distributed.is_initialized() or "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    # the others wait while the first one judges
    distributed.init_process_group("gloo", timeout=timedelta(hours=12))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def barrier() -> None:
    """Until all processes are here."""
    if distributed.is_initialized():
        distributed.barrier()


def rank_and_world_size() -> tuple[int, int]:
    """This process's number, and how many train together."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def agreed_figure(figure: float, *, worst: bool = False) -> float:
    """The first process's figure, or the smallest of all: all have to stop at the same place."""
    if not distributed.is_initialized():
        return figure
    shared = torch.tensor(figure, dtype=torch.float64)
    if worst:
        distributed.all_reduce(shared, distributed.ReduceOp.MIN)
    else:
        distributed.broadcast(shared, 0)
    return float(shared)


def average_gradients(model: nn.Module) -> None:
    if not distributed.is_initialized():
        return
    for value in model.parameters():
        if value.grad is None:  # of no use to this process's batch, but the others wait
            value.grad = torch.zeros_like(value)
        if value.grad.is_sparse:
            value.grad = value.grad.coalesce()
        distributed.all_reduce(value.grad)
        value.grad /= distributed.get_world_size()

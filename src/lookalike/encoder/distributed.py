"""Training in several processes under `torchrun`: joining them and keeping them in step. With one process all is local."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed, nn


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes that `torchrun` started, if any, unless they are joined already."""
    if distributed.is_initialized() or "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    # the first process evaluates alone while the others wait for it
    distributed.init_process_group("gloo", timeout=timedelta(hours=12))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def barrier() -> None:
    """Waits until all processes have reached this point."""
    if distributed.is_initialized():
        distributed.barrier()


def rank_and_world_size() -> tuple[int, int]:
    """This process's number, from 0, and how many processes train together."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def value_of_first(value: float) -> float:
    """The first process's value, in every process, so that all make the same decision."""
    if not distributed.is_initialized():
        return value
    shared = torch.tensor(value, dtype=torch.float64)
    distributed.broadcast(shared, 0)
    return float(shared)


def all_true(condition: bool) -> bool:
    """Whether the condition holds in every process."""
    if not distributed.is_initialized():
        return condition
    shared = torch.tensor(float(condition), dtype=torch.float64)
    distributed.all_reduce(shared, distributed.ReduceOp.MIN)
    return bool(shared)


def average_gradients(model: nn.Module) -> None:
    """Replaces each gradient by its mean over the processes."""
    if not distributed.is_initialized():
        return
    for parameter in model.parameters():
        if parameter.grad is None:  # this process's batch did not use it, but the others reduce it
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        distributed.all_reduce(parameter.grad)
        parameter.grad /= distributed.get_world_size()

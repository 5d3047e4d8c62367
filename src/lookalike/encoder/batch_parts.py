"""A batch in parts, whose gradients are computed side by side. The parts follow from the batch alone, so that weights do not
depend on the number of threads."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lookalike.encoder.batches import Segments
from lookalike.encoder.threads import OwnThreads

# How many events a batch has at least to be computed in so many parts. Each part costs some milliseconds of its own.
PARTS = {2: 512, 4: 8_192}

Loss = Callable[[], Tensor]


def parts_of(segments: Segments) -> list[Segments]:
    """The batch in one, two or four parts, of about as many events and as long segments."""
    events = segments.length.sum()
    count = min(len(segments), max([1, *(parts for parts, least in PARTS.items() if events >= least)]))
    return [segments[np.arange(first, len(segments), count)] for first in range(count)]


def set_gradients(
    parameters: Sequence[Tensor], losses: Sequence[Loss], weights: Sequence[float], threads: OwnThreads
) -> Tensor:
    """Sets the gradients of the weighted sum of the losses, one of each part, and returns the sum."""

    def of_part(number: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        loss = losses[number]() * weights[number]
        return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

    values, gradients = zip(*threads.map(of_part, range(len(losses))), strict=True)
    for parameter, parts in zip(parameters, zip(*gradients, strict=True), strict=True):
        used = [part for part in parts if part is not None]
        parameter.grad = sum(used[1:], used[0]) if used else None
    return torch.stack(values).sum()

"""A batch in parts, whose gradients are computed side by side: one thread for each, with one torch thread.

Torch's own threads share every single operation and wait for each other by spinning; these wait once a step. The parts
follow from the batch alone, so that weights do not depend on the number of threads.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lookalike.encoder.batches import Segments
from lookalike.encoder.inference import map_in_threads

PART_EVENTS = 512  # fewer would mostly be the overhead of small operations
MAX_PARTS = 2

Loss = Callable[[], Tensor]


def parts_of(segments: Segments) -> list[Segments]:
    """One or two parts of a batch, of about as many events and as long segments."""
    events = int(segments.length.sum())
    count = max(1, min(MAX_PARTS, events // PART_EVENTS, len(segments)))
    return [segments[np.arange(first, len(segments), count)] for first in range(count)]


def mean_gradients(parameters: Sequence[Tensor], losses: Sequence[Loss], weights: Sequence[float]) -> Tensor:
    """Sets the gradients of the weighted sum of the losses, and returns the sum. The losses are computed side by side."""

    def of_part(number: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        loss = losses[number]() * weights[number]
        return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

    values, gradients = zip(*map_in_threads(of_part, range(len(losses))), strict=True)
    for parameter, parts in zip(parameters, zip(*gradients, strict=True), strict=True):
        used = [part for part in parts if part is not None]
        parameter.grad = sum(used[1:], used[0]) if used else None
    return torch.stack(values).sum()

"""Dropout with masks drawn eight elements at a time, from a generator that each thread may set for itself.

PyTorch draws them one by one from one generator for all threads: that is ten times slower, and the masks of two threads
would depend on which of them came first.
"""

import contextlib
import threading
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 256  # a mask element is one random byte

_of_thread = threading.local()


@contextlib.contextmanager
def masks_from(generator: torch.Generator) -> Iterator[None]:
    """Draws the masks of this thread from a generator on the CPU, instead of from that of the process."""
    before = getattr(_of_thread, "generator", None)
    _of_thread.generator = generator
    try:
        yield
    finally:
        _of_thread.generator = before


def drop(values: Tensor, chance: float) -> Tensor:
    """`values` with each element set to zero by a chance, in steps of 1 / 256, and the others scaled up to keep the mean."""
    if values.device.type != "cpu":
        return F.dropout(values, chance)
    dropped = min(LEVELS - 1, round(chance * LEVELS))
    if not dropped:
        return values
    words = torch.empty(-(-values.numel() // 8), dtype=torch.int64)
    words.random_(-(2**63), None, generator=getattr(_of_thread, "generator", None))
    mask = words.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
    return values * mask.to(values.dtype).mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Module):
    """Sets elements to zero by a chance while training."""

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, values: Tensor) -> Tensor:
        return drop(values, self.chance) if self.training else values

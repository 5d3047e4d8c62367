"""The optimisers of a fit and the schedule of their learning rate."""

import math

import torch

from lookalike.encoder.model import TwoTower

BETAS = (0.9, 0.98)
WEIGHT_DECAY = 1e-3
MAX_GRADIENT_NORM = 1.0
WARM_UP = 0.02  # share of the schedule
MIN_FACTOR = 0.01  # of the learning rate, at the very first step

# A row moves only in steps that touch it; a dense Adam's momentum would move it for some ten steps more.
TABLE_RATE_FACTOR = 3.0


class Optimisers:
    """AdamW for the dense weights, and a sparse Adam for the embedding tables, of which a step touches few rows."""

    def __init__(self, model: TwoTower, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        tables = model.embedding_tables
        self._dense_weights = [weight for weight in model.parameters() if all(weight is not table for table in tables)]
        self.by_name: dict[str, torch.optim.Optimizer] = {
            "dense": torch.optim.AdamW(
                self._dense_weights, lr=learning_rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
            ),
            "tables": torch.optim.SparseAdam(tables, lr=learning_rate * TABLE_RATE_FACTOR, betas=BETAS),
        }

    def set_rate(self, progress: float) -> None:
        """Sets the learning rates for a position on the schedule, 0 to 1."""
        rate = self.learning_rate * max(schedule_factor(progress), MIN_FACTOR)
        for name, optimiser in self.by_name.items():
            for group in optimiser.param_groups:
                group["lr"] = rate * TABLE_RATE_FACTOR if name == "tables" else rate

    def zero_grad(self) -> None:
        for optimiser in self.by_name.values():
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Updates all weights, after clipping the gradients of the dense ones."""
        torch.nn.utils.clip_grad_norm_(self._dense_weights, MAX_GRADIENT_NORM)
        for optimiser in self.by_name.values():
            optimiser.step()


def schedule_factor(progress: float) -> float:
    """The factor on the learning rate: a linear warm-up over the first 2 %, then half a cosine from 1 down to a tenth."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, progress)))

"""The optimisers of a fit and the schedule of their learning rate."""

import math

import torch

from lookalike.encoder.model import TwoTower

BETAS = (0.9, 0.98)
EPSILON = 1e-8
WEIGHT_DECAY = 1e-3
MAX_GRADIENT_NORM = 1.0
WARM_UP = 0.02  # share of the schedule
MIN_FACTOR = 0.01  # of the learning rate, at the very first step

# A row moves only in steps that touch it; a dense Adam's momentum would move it for some ten steps more.
TABLE_RATE_FACTOR = 3.0


class RowAdam(torch.optim.Optimizer):
    """Adam for tables whose gradients are sparse: only the rows with a gradient and their moments change.

    The same as PyTorch's SparseAdam, which takes three times as long.
    """

    def __init__(self, tables: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(tables, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, table.grad.coalesce(), group["lr"])

    def _update(self, table: torch.nn.Parameter, gradient: torch.Tensor, rate: float) -> None:
        state = self.state[table]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(table), "exp_avg_sq": torch.zeros_like(table)}
        state["step"] += 1
        rows, values = gradient.indices()[0], gradient.values()
        mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - BETAS[0])
        square = state["exp_avg_sq"].index_select(0, rows).mul_(BETAS[1]).addcmul_(values, values, value=1 - BETAS[1])
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        first, second = (1 - beta ** state["step"] for beta in BETAS)
        moved = table.index_select(0, rows).addcdiv_(
            mean, square.sqrt_().add_(EPSILON), value=-rate * second**0.5 / first
        )
        table.index_copy_(0, rows, moved)


class Optimisers:
    """AdamW for the dense weights, and an Adam by rows for the embedding tables, of which a step touches few rows."""

    def __init__(self, model: TwoTower, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        tables = model.embedding_tables
        self.weights = list(model.parameters())
        self._dense_weights = [weight for weight in self.weights if all(weight is not table for table in tables)]
        self.by_name: dict[str, torch.optim.Optimizer] = {
            "dense": torch.optim.AdamW(
                self._dense_weights, lr=learning_rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
            ),
            "tables": RowAdam(tables, learning_rate * TABLE_RATE_FACTOR),
        }

    def set_rate(self, progress: float) -> None:
        """Sets the learning rates for a position on the schedule, 0 to 1."""
        rate = self.learning_rate * max(schedule_factor(progress), MIN_FACTOR)
        for name, optimiser in self.by_name.items():
            for group in optimiser.param_groups:
                group["lr"] = rate * TABLE_RATE_FACTOR if name == "tables" else rate

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

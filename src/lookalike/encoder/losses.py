"""Loss functions on tensors, independent of model and data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_LOGITS = 1 << 18  # computed at a time: a megabyte, which stays in the cache of a core


@dataclass(frozen=True)
class Excluded:
    """Which negatives do not count for which targets: pairs of a target's row (ascending) and a negative's column, and
    whatever `mask` gives for a slice of the targets, [slice, K]."""

    rows: Tensor
    columns: Tensor
    mask: Callable[[slice], Tensor] | None = None

    @classmethod
    def equal(cls, targets: Tensor, negatives: Tensor, mask: Callable[[slice], Tensor] | None = None) -> "Excluded":
        """The pairs of a target [n] and a negative [K] that are the same item."""
        ordered, columns = torch.sort(negatives, stable=True)
        begin = torch.searchsorted(ordered, targets)
        count = torch.searchsorted(ordered, targets, right=True) - begin
        ends = torch.cumsum(count, 0)
        rows = torch.repeat_interleave(count)
        position = torch.arange(len(rows), device=rows.device) + (begin - ends + count)[rows]
        return cls(rows, columns[position], mask)

    def bounds(self, starts: range) -> list[int]:
        """Where the pairs of the targets from each of the starts on begin, and where the last ones end."""
        first = torch.searchsorted(self.rows, torch.tensor([*starts], device=self.rows.device))
        return [*first.tolist(), len(self.rows)]


def sampled_softmax(
    users: Tensor, targets: Tensor, negatives: Tensor, log_q: tuple[Tensor, Tensor], excluded: Excluded
) -> Tensor:
    """Mean cross entropy of each target against negatives shared by the batch.

    Logits are corrected by the log of the probability that an item is sampled. Otherwise popular items, which are
    sampled often, would be penalised for being popular (Bengio and Senecal 2008; Yi et al., RecSys 2019, eq. 3).

    users [n, D] (already scaled), targets [n, D], negatives [K, D]; log_q of targets [n] and of negatives [K];
    `excluded` says which negatives are the target itself. A GPU computes all logits at once, a CPU block by block.
    """
    if users.device.type == "cpu":
        return cast(Tensor, _BlockwiseSoftmax.apply(users, targets, negatives, log_q, excluded))  # type: ignore[no-untyped-call]
    return _softmax_at_once(users, targets, negatives, log_q, excluded)


def _softmax_at_once(
    users: Tensor, targets: Tensor, negatives: Tensor, log_q: tuple[Tensor, Tensor], excluded: Excluded
) -> Tensor:
    """`sampled_softmax` from one [n, K] matrix."""
    positive = (users * targets).sum(-1) - log_q[0]  # [n]
    negative = (users @ negatives.T - log_q[1]).index_put(
        (excluded.rows, excluded.columns), torch.tensor(-torch.inf, device=users.device)
    )  # [n, K]
    if excluded.mask:
        negative = negative.masked_fill(excluded.mask(slice(0, len(users))), -torch.inf)
    logits = torch.cat([positive.unsqueeze(1), negative], 1)
    return F.cross_entropy(logits, torch.zeros(len(users), dtype=torch.long, device=users.device))


class _BlockwiseSoftmax(torch.autograd.Function):
    """`sampled_softmax` with its gradients, a block of targets at a time: no [n, K] matrix leaves the cache."""

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, targets: Tensor, negatives: Tensor, log_q: tuple[Tensor, Tensor], excluded: Excluded
    ) -> Tensor:
        count, width = len(users), len(negatives)
        size = max(1, BLOCK_LOGITS // (width + 1))
        starts = range(0, count, size)
        pairs = excluded.bounds(starts)
        positive = (users * targets).sum(-1) - log_q[0]  # [n]
        by_column, bias = negatives.T.contiguous(), -log_q[1]
        buffer = users.new_empty(min(size, count), width + 1)
        chance, log_sum = torch.empty_like(positive), torch.empty_like(positive)  # of each target
        to_users, to_negatives = torch.empty_like(users), torch.zeros_like(negatives)
        for number, start in enumerate(starts):
            block = slice(start, min(start + size, count))
            of_users, logits = users[block], buffer[: block.stop - start]
            of_negatives = logits[:, :-1]
            torch.addmm(bias, of_users, by_column, out=of_negatives)
            logits[:, -1] = positive[block]
            own = slice(pairs[number], pairs[number + 1])
            of_negatives[excluded.rows[own] - start, excluded.columns[own]] = -torch.inf
            if excluded.mask:
                of_negatives.masked_fill_(excluded.mask(block), -torch.inf)
            largest = logits.amax(-1)
            torch.softmax(logits, -1, out=logits)
            # by the largest logit, because the chance of a target may be too small for its logarithm
            log_sum[block] = largest - logits.amax(-1).log()
            chance[block] = logits[:, -1]
            torch.mm(of_negatives, negatives, out=to_users[block])
            to_negatives.addmm_(of_negatives.T, of_users)
        lack = (chance - 1).unsqueeze(1)
        to_users.addcmul_(lack, targets)
        ctx.save_for_backward(to_users, lack * users, to_negatives)
        return (log_sum - positive).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        share = gradient / len(ctx.saved_tensors[0])
        return *(share * part for part in ctx.saved_tensors), None, None


def prototypical_loss(users: Tensor, seed: Tensor, targets: Tensor, excluded: Tensor, scale: Tensor) -> Tensor:
    """Mean cross entropy of each audience's target members against the background, by similarity to the seed's mean.

    Each target competes with the users who are in none of the audience's three parts (Snell et al. 2017, eq. 2, with
    the roles of class and example exchanged: the prototype is the query and the users are its answers).

    users [B, D], unit; seed, targets, excluded [B, G], bool. Zero if no audience has both a seed and a target.
    """
    usable = seed.any(0) & targets.any(0)
    if not usable.any():
        return users.sum() * 0.0
    seed, targets, excluded = seed[:, usable], targets[:, usable], excluded[:, usable]
    centre = F.normalize(seed.to(users.dtype).T @ users, dim=-1)  # [G, D]
    logits = users @ centre.T * scale  # [B, G]
    background = logits.masked_fill(seed | targets | excluded, -torch.inf).logsumexp(0)  # [G]
    return (torch.logaddexp(logits, background) - logits)[targets].mean()

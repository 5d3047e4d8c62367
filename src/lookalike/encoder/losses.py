"""Objectives on tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled_softmax(
    users: Tensor, targets: Tensor, negatives: Tensor, log_q: tuple[Tensor, Tensor], same: Tensor
) -> Tensor:
    """Mean cross entropy of telling the target from shared sampled negatives.

    Logits are corrected by the log of the probability that an item is sampled, so that popular items, which are drawn
    often, are not pushed down for being popular (Bengio and Senecal 2008; Yi et al., RecSys 2019, eq. 3).

    users [n, D] (already scaled), targets [n, D], negatives [K, D]; log_q of targets [n] and negatives [K];
    same [n, K] marks negatives that are the target itself, which do not count.
    """
    positive = (users * targets).sum(-1) - log_q[0]  # [n]
    negative = users @ negatives.T - log_q[1]  # [n, K]
    negative = negative.masked_fill(same, -torch.inf)
    logits = torch.cat([positive.unsqueeze(1), negative], 1)
    return F.cross_entropy(logits, torch.zeros(len(users), dtype=torch.long, device=users.device))


def prototypical_loss(users: Tensor, seed: Tensor, rest: Tensor, left_out: Tensor, scale: Tensor) -> Tensor:
    """Mean cross entropy of the rest of each audience against everybody else, by similarity to the seed's mean.

    Each member of the rest competes with the users who are in no part of the audience (Snell et al. 2017, eq. 2, with
    the roles of class and example exchanged: the prototype asks, the users answer).

    users [B, D], unit; seed, rest, left_out [B, G], bool: who teaches, who is to be found, who is not to be counted.
    """
    use = seed.any(0) & rest.any(0)
    if not use.any():
        return users.sum() * 0.0
    seed, rest, left_out = seed[:, use], rest[:, use], left_out[:, use]
    centre = F.normalize(seed.to(users.dtype).T @ users, dim=-1)  # [G, D]
    similar = users @ centre.T * scale  # [B, G]
    others = similar.masked_fill(seed | rest | left_out, -torch.inf).logsumexp(0)  # [G]
    return (torch.logaddexp(similar, others) - similar)[rest].mean()

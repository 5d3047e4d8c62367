"""Loss functions on tensors, independent of model and data."""

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled_softmax(
    users: Tensor, targets: Tensor, negatives: Tensor, log_q: tuple[Tensor, Tensor], is_target: Tensor
) -> Tensor:
    """Mean cross entropy of each target against negatives shared by the batch.

    Logits are corrected by the log of the probability that an item is sampled. Otherwise popular items, which are
    sampled often, would be penalised for being popular (Bengio and Senecal 2008; Yi et al., RecSys 2019, eq. 3).

    users [n, D] (already scaled), targets [n, D], negatives [K, D]; log_q of targets [n] and of negatives [K];
    is_target [n, K] marks negatives that are the target itself, which are excluded.
    """
    positive = (users * targets).sum(-1) - log_q[0]  # [n]
    negative = users @ negatives.T - log_q[1]  # [n, K]
    negative = negative.masked_fill(is_target, -torch.inf)
    logits = torch.cat([positive.unsqueeze(1), negative], 1)
    return F.cross_entropy(logits, torch.zeros(len(users), dtype=torch.long, device=users.device))


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

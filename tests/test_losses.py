"""The sampled softmax, against the formula written out, and for what it is meant to do."""

import math

import pytest
import torch

from lookalike.losses import sampled_softmax


def test_the_loss_is_the_mean_of_the_formula_written_out() -> None:
    torch.manual_seed(0)
    users, targets, negatives = torch.randn(4, 3), torch.randn(4, 3), torch.randn(6, 3)
    log_q = (torch.randn(4), torch.randn(6))
    same = torch.rand(4, 6) < 0.3
    total = 0.0
    for n in range(4):
        own = float(users[n] @ targets[n] - log_q[0][n])
        others = [float(users[n] @ negatives[k] - log_q[1][k]) for k in range(6) if not same[n, k]]
        total += math.log(sum(math.exp(z) for z in [own, *others])) - own
    assert float(sampled_softmax(users, targets, negatives, log_q, same)) == pytest.approx(total / 4, rel=1e-5)


def test_a_target_among_its_own_negatives_teaches_nothing() -> None:
    users, target = torch.ones(1, 2), torch.ones(1, 2)
    zero = (torch.zeros(1), torch.zeros(3))
    loss = sampled_softmax(users, target, target.expand(3, 2), zero, torch.ones(1, 3, dtype=torch.bool))
    assert float(loss) == 0

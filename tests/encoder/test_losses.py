"""The losses, compared with their formulas written as loops, and at their edges."""

import math

import pytest
import torch

from lookalike.encoder import losses
from lookalike.encoder.losses import Excluded, prototypical_loss, sampled_softmax

SCALE = torch.tensor(3.0)


def test_sampled_softmax_is_the_mean_of_the_formula() -> None:
    torch.manual_seed(0)
    users, targets, negatives = torch.randn(4, 3), torch.randn(4, 3), torch.randn(6, 3)
    log_q = (torch.randn(4), torch.randn(6))
    is_target = torch.rand(4, 6) < 0.3
    total = 0.0
    for n in range(4):
        target_logit = float(users[n] @ targets[n] - log_q[0][n])
        negative_logits = [float(users[n] @ negatives[k] - log_q[1][k]) for k in range(6) if not is_target[n, k]]
        total += math.log(sum(math.exp(z) for z in [target_logit, *negative_logits])) - target_logit
    loss = sampled_softmax(users, targets, negatives, log_q, Excluded(*torch.nonzero(is_target).T))
    assert float(loss) == pytest.approx(total / 4, rel=1e-5)


def dense_softmax(
    users: torch.Tensor,
    targets: torch.Tensor,
    negatives: torch.Tensor,
    log_q: tuple[torch.Tensor, torch.Tensor],
    is_excluded: torch.Tensor,
) -> torch.Tensor:
    """The same loss from all logits at once."""
    positive = (users * targets).sum(-1) - log_q[0]
    negative = (users @ negatives.T - log_q[1]).masked_fill(is_excluded, -torch.inf)
    return (torch.cat([positive[:, None], negative], 1).logsumexp(1) - positive).mean()


@pytest.mark.parametrize("scale", [1, 300])  # with the larger one most targets have no chance that a float can hold
def test_loss_and_gradients_in_blocks_are_those_of_all_logits(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    monkeypatch.setattr(losses, "BLOCK_LOGITS", 5 * 31)  # five targets in a block, and two in the last
    torch.manual_seed(0)
    vectors = [torch.randn(22, 4) * scale, torch.randn(22, 4), torch.randn(30, 4)]
    target, negative = torch.randint(0, 9, (22,)), torch.randint(0, 9, (30,))
    of_another_time = torch.rand(22, 30) < 0.3
    log_q = (torch.randn(22), torch.randn(30))
    excluded = Excluded.equal(target, negative, lambda block: of_another_time[block])
    results = []
    for loss_of, what in (
        (sampled_softmax, excluded),
        (losses._softmax_at_once, excluded),  # what a GPU computes
        (dense_softmax, (target[:, None] == negative) | of_another_time),
    ):
        inputs = [vector.clone().requires_grad_() for vector in vectors]
        loss = loss_of(*inputs, log_q, what)
        results.append([loss.detach(), *torch.autograd.grad(2 * loss, inputs)])
    for others in results[1:]:
        for ours, expected in zip(results[0], others, strict=True):
            assert torch.allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_pairs_of_a_target_and_an_equal_negative() -> None:
    excluded = Excluded.equal(torch.tensor([7, 3, 9, 3]), torch.tensor([3, 8, 3, 7]))
    pairs = {(int(row), int(column)) for row, column in zip(excluded.rows, excluded.columns, strict=True)}
    assert pairs == {(0, 3), (1, 0), (1, 2), (3, 0), (3, 2)}
    assert excluded.rows.tolist() == sorted(excluded.rows.tolist())
    assert excluded.bounds(range(0, 4, 2)) == [0, 3, 5]


def test_a_target_among_its_own_negatives_gives_no_loss() -> None:
    users, target = torch.ones(1, 2), torch.ones(1, 2)
    log_q = (torch.zeros(1), torch.zeros(3))
    loss = sampled_softmax(users, target, target.expand(3, 2), log_q, Excluded.equal(torch.ones(1), torch.ones(3)))
    assert loss.item() == 0


# --- prototypical loss -----------------------------------------------------------------------------------------------


def audience_parts(users: int, audiences: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Seed, targets and excluded users at random, each [users, audiences]; no user is in two of an audience's parts."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(users, audiences, generator=generator)
    return draw < 0.2, (draw >= 0.2) & (draw < 0.45), (draw >= 0.45) & (draw < 0.6)


def unit_vectors(users: int, dim: int = 5) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(users, dim), dim=-1)


def prototypical_loss_in_loops(users: torch.Tensor, parts: tuple[torch.Tensor, ...], scale: float) -> float:
    """Snell et al., eq. 2, one target after the other."""
    seed, targets, excluded = parts
    terms = []
    for group in range(seed.shape[1]):
        members = [users[u] for u in range(len(users)) if seed[u, group]]
        if not members:
            continue
        total = sum(members[1:], members[0])
        centre = total / total.norm()
        background = [
            float(users[u] @ centre) * scale
            for u in range(len(users))
            if not (seed[u, group] or targets[u, group] or excluded[u, group])
        ]
        for u in range(len(users)):
            if targets[u, group]:
                logit = float(users[u] @ centre) * scale
                terms.append(math.log(sum(math.exp(z) for z in [logit, *background])) - logit)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prototypical_loss_is_the_formula(seed: int) -> None:
    users, parts = unit_vectors(14), audience_parts(14, 4, seed)
    loss = prototypical_loss(users, *parts, SCALE)
    assert float(loss) == pytest.approx(prototypical_loss_in_loops(users, parts, 3.0), rel=1e-5)


def test_an_audience_without_seed_or_without_targets_is_ignored() -> None:
    users, (seed, targets, excluded) = unit_vectors(14), audience_parts(14, 4)
    usable = prototypical_loss(users, seed[:, 2:], targets[:, 2:], excluded[:, 2:], SCALE)
    seed[:, 0] = False
    targets[:, 1] = False
    loss = prototypical_loss(users, seed, targets, excluded, SCALE)
    assert float(loss) == pytest.approx(float(usable), rel=1e-6)
    nobody = torch.zeros_like(seed)
    users.requires_grad_()
    for parts in ((nobody, targets), (seed, nobody), (nobody, nobody)):
        loss = prototypical_loss(users, *parts, excluded, SCALE)
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, users)
        assert not gradient.any()


def test_excluded_users_do_not_change_the_loss() -> None:
    users, (seed, targets, excluded) = unit_vectors(14), audience_parts(14, 1)
    moved = torch.where(excluded, -users, users)
    assert excluded.any()
    losses = [prototypical_loss(vectors, seed, targets, excluded, SCALE) for vectors in (users, moved)]
    assert torch.equal(losses[0], losses[1])


def test_an_audience_without_background_has_no_loss_and_a_finite_gradient() -> None:
    users = unit_vectors(6).requires_grad_()
    seed = torch.arange(6).unsqueeze(1) < 3
    loss = prototypical_loss(users, seed, ~seed, torch.zeros_like(seed), SCALE)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, users)
    assert torch.isfinite(gradient).all()

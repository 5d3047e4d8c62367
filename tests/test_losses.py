"""The losses, against the formulas written out, and for what they are meant to do."""

import math

import pytest
import torch

from lookalike.encoder.losses import prototypical_loss, sampled_softmax


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
    assert loss.item() == 0


# --- prototypes ------------------------------------------------------------------------------------------------------


def sides(users: int, audiences: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Seed, rest and left out at random; no user is both seed and rest of one audience."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(users, audiences, generator=generator)
    return drawn < 0.2, (drawn >= 0.2) & (drawn < 0.45), (drawn >= 0.45) & (drawn < 0.6)


def unit_vectors(users: int, dim: int = 5) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(users, dim), dim=-1)


def prototypes_in_loops(users: torch.Tensor, parts: tuple[torch.Tensor, ...], scale: float) -> float:
    """Snell et al., eq. 2, one member of the rest after the other."""
    seed, rest, left_out = parts
    terms = []
    for group in range(seed.shape[1]):
        teachers = [users[u] for u in range(len(users)) if seed[u, group]]
        if not teachers:
            continue
        total = sum(teachers[1:], teachers[0])
        centre = total / total.norm()
        others = [
            float(users[u] @ centre) * scale
            for u in range(len(users))
            if not (seed[u, group] or rest[u, group] or left_out[u, group])
        ]
        for u in range(len(users)):
            if rest[u, group]:
                own = float(users[u] @ centre) * scale
                terms.append(math.log(sum(math.exp(z) for z in [own, *others])) - own)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prototypes_are_the_formula_written_out(seed: int) -> None:
    users, parts = unit_vectors(14), sides(14, 4, seed)
    found = prototypical_loss(users, *parts, torch.tensor(3.0))
    assert float(found) == pytest.approx(prototypes_in_loops(users, parts, 3.0), rel=1e-5)


def test_an_audience_without_seed_or_without_rest_teaches_nothing() -> None:
    users, (seed, rest, left_out) = unit_vectors(14), sides(14, 4)
    alone = prototypical_loss(users, seed[:, 2:], rest[:, 2:], left_out[:, 2:], torch.tensor(3.0))
    seed[:, 0] = False
    rest[:, 1] = False
    assert float(prototypical_loss(users, seed, rest, left_out, torch.tensor(3.0))) == pytest.approx(
        float(alone), rel=1e-6
    )
    nobody = torch.zeros_like(seed)
    users.requires_grad_()
    for parts in ((nobody, rest), (seed, nobody), (nobody, nobody)):
        loss = prototypical_loss(users, *parts, left_out, torch.tensor(3.0))
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, users)
        assert not gradient.any()


def test_those_left_out_of_an_audience_change_nothing_of_it() -> None:
    users, (seed, rest, left_out) = unit_vectors(14), sides(14, 1)
    moved = torch.where(left_out, -users, users)
    assert left_out.any()
    scale = torch.tensor(3.0)
    assert torch.equal(
        prototypical_loss(users, seed, rest, left_out, scale), prototypical_loss(moved, seed, rest, left_out, scale)
    )


def test_an_audience_of_everybody_has_nobody_to_be_told_from_and_a_finite_gradient() -> None:
    users = unit_vectors(6).requires_grad_()
    seed = torch.arange(6).unsqueeze(1) < 3
    loss = prototypical_loss(users, seed, ~seed, torch.zeros_like(seed), torch.tensor(3.0))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, users)
    assert torch.isfinite(gradient).all()

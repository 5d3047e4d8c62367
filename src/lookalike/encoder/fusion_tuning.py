"""Chooses how much each part of the user embedding counts.

Among users, the weights are tuned on audiences drawn from the log (`pseudo_audiences`) by the loss of prototypical
networks: a few members are a seed, the others should be near its mean. Between users and items, they are chosen by
held-out recommendation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookalike.data.arrays import Flags, Floats, Rows
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS
from lookalike.encoder import losses, next_item_metrics
from lookalike.encoder.fusion import Centring, Fusion, FusionTensors, ItemParts, RawParts, fuse, part_tensors
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import SEED_SIZES, PseudoAudience
from lookalike.encoder.run_files import FusionWeights
from lookalike.workspace.random_streams import Stream, generator

# The prior is near what three public logs gave; audiences move the weights away from it as far as they say more.
PRIOR_TASTE, PRIOR_BAG, PRIOR_ACTIVITY = 0.7, 1.2, 0.12
PRIOR_STRENGTH = 0.002
STEPS, AUDIENCES_PER_EPISODE, LEARNING_RATE = 100, 16, 0.05
BACKGROUND_USERS = 4_000  # of one episode

BAG_SHARES = (0.1, 0.25, 0.5)
POPULARITY_SHARES = (0.25, 1.0, 3.0, 8.0)
POPULARITY_DAYS = (None, *next_item_metrics.RECENT_DAYS[::-1])  # of equally good ones the longest
MAX_ITEM_SIDE_USERS = 1_500  # held-out users that choose the item side
MIN_GAIN = 1.03  # NDCG with a part / NDCG without it; a smaller gain may be noise
CLEAR_ERRORS = 3.0  # … unless it is so many standard errors over the held-out users: many candidates are compared
SPREAD_USERS = 100  # of them, from whom the spread of scores is estimated


def prior_weights() -> FusionWeights:
    """The weights of a log without audiences."""
    columns = len(ACTIVITY_COLUMNS)
    return FusionWeights(
        taste=PRIOR_TASTE,
        bag=PRIOR_BAG,
        activity=(PRIOR_ACTIVITY,) * columns,
        taste_mean=0.0,
        bag_mean=0.0,
        offset=(0.0,) * columns,
    )


def tune_user_weights(
    parts: RawParts, centring: Centring, audiences: list[PseudoAudience], users: Rows, random_seed: int
) -> FusionWeights:
    """The user side's maximum a posteriori weights; without audiences those of the prior.

    `users` are ascending rows, and `parts` are theirs.
    """
    rng = generator(random_seed, Stream.FUSION_EPISODES)
    inputs, prior = part_tensors(parts, centring), FusionTensors.of(prior_weights())
    tuned = FusionTensors(
        *(value.clone().requires_grad_() for value in (prior.log_weights, prior.kept_means, prior.offset))
    )
    log_scale = torch.tensor(1.5, requires_grad=True)
    variables = [tuned.log_weights, tuned.kept_means, tuned.offset, log_scale]
    optimiser = torch.optim.Adam(variables, lr=LEARNING_RATE)
    for _ in range(STEPS if audiences else 0):
        chosen = [audiences[number] for number in rng.permutation(len(audiences))[:AUDIENCES_PER_EPISODE]]
        episode = _draw_episode(chosen, users, rng)
        vectors = fuse(inputs[episode.users], tuned)
        loss = losses.prototypical_loss(vectors, episode.seeds, episode.members, episode.excluded, log_scale.exp())
        optimiser.zero_grad()
        (loss + PRIOR_STRENGTH * _distance(tuned, prior)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return tuned.to_weights()


def _distance(tuned: FusionTensors, prior: FusionTensors) -> Tensor:
    """Squared distance from the prior, whose means and offsets are 0."""
    weights = (tuned.log_weights - prior.log_weights).square().sum()
    return weights + tuned.kept_means.square().sum() + tuned.offset.square().sum()


@dataclass(frozen=True)
class _Episode:
    """Users of one step, [n] places in `users`, and their roles in each of G audiences, [n, G]."""

    users: Tensor
    seeds: Tensor
    members: Tensor  # to be found from the seeds
    excluded: Tensor  # neither members to find nor background


def _draw_episode(audiences: list[PseudoAudience], users: Rows, rng: np.random.Generator) -> _Episode:
    shuffled = [rng.permutation(audience.members) for audience in audiences]
    seeds = [members[: min(int(rng.choice(SEED_SIZES)), len(members) // 2)] for members in shuffled]
    to_find = [
        members[len(seed) :][: BACKGROUND_USERS // AUDIENCES_PER_EPISODE]
        for members, seed in zip(shuffled, seeds, strict=True)
    ]
    background = rng.permutation(users)[:BACKGROUND_USERS]
    rows = np.unique(np.concatenate([background, *seeds, *to_find]))
    is_seed, is_member = _indicator(rows, seeds), _indicator(rows, to_find)
    touched = _indicator(rows, [np.union1d(audience.members, audience.met) for audience in audiences])
    # users who are here only as members of another audience are not a fair background
    excluded = (touched | ~np.isin(rows, background)[:, None]) & ~is_seed & ~is_member
    places = np.searchsorted(users, rows)
    return _Episode(*map(torch.from_numpy, (places, is_seed, is_member, excluded)))


def _indicator(rows: Rows, groups: Sequence[Rows]) -> Flags:
    """Which row is in which group, [n, G]."""
    return np.stack([np.isin(rows, group) for group in groups], 1)


def tune_item_weights(fusion: Fusion, items: ItemParts, parts: RawParts, held_out: HeldOutUsers) -> FusionWeights:
    """The weights completed by the item side's: first bag, then popularity, each by the best held-out NDCG.

    `parts` are those of the held-out users, in their order.
    """
    if not len(held_out.users):
        return fusion.weights
    by_place = replace(held_out, users=np.arange(len(held_out.users)))
    users = fusion.users(parts)
    unit = _bag_unit(fusion, items, users[:SPREAD_USERS])

    def ndcg(weights: FusionWeights) -> Floats:
        vectors = items.vectors(Fusion(fusion.centring, weights))
        return next_item_metrics.ndcg_of_each(by_place, lambda places: users[places] @ vectors.T)

    def better(weights: FusionWeights, candidates: list[FusionWeights]) -> FusionWeights:
        figures = [ndcg(candidate) for candidate in candidates]
        best = int(np.argmax([figure.mean() for figure in figures]))
        return candidates[best] if _is_gain(ndcg(weights), figures[best]) else weights

    weights = better(fusion.weights, [_changed(fusion.weights, item_bag=share * unit) for share in BAG_SHARES])
    options = [(share, days) for share in POPULARITY_SHARES for days in POPULARITY_DAYS]
    return better(weights, [_changed(weights, item_popularity=share, popularity_days=days) for share, days in options])


def _is_gain(before: Floats, after: Floats) -> bool:
    """Whether figures of the same users [n] have become better by more than noise."""
    gains = after - before
    error = float(gains.std()) / len(gains) ** 0.5
    return bool(after.mean() > MIN_GAIN * before.mean() or gains.mean() > CLEAR_ERRORS * max(error, 1e-12))


def _changed(weights: FusionWeights, **changes: float | None) -> FusionWeights:
    return weights.model_copy(update=changes)


def _bag_unit(fusion: Fusion, items: ItemParts, users: NDArray[np.float32]) -> float:
    """Standard deviation of the items' scores by taste / that of their scores by bag."""
    with_and_without = [
        items.vectors(Fusion(fusion.centring, _changed(fusion.weights, item_bag=share))) for share in (0.0, 1.0)
    ]
    taste, both = (users @ vectors.T for vectors in with_and_without)
    return float(taste.std() / max(float((both - taste).std()), 1e-9))

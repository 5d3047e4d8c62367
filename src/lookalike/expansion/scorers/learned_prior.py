"""The prior of the `transfer` scorer: what scorers' weights are like in this log, learned once at training.

Users are embedded from their events before an earlier cut, and audiences are drawn of those who newly met an item or an
attribute after it. Each audience is told from all users by a ridge regression; the mean of the weights and the directions
in which they differ are the prior. So a seed of 25 need not learn again what hundreds of past audiences have in common
(empirical Bayes).
"""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data import sequence_queries
from lookalike.data.arrays import Flags, Floats
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.linear import Standardised, ridge_logistic
from lookalike.encoder import fit_plan, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.run_arrays import Arrays
from lookalike.expansion.scorers.logistic import (
    PRIOR_PREFIX,
    Prior,
    deviations_by_strength,
    head_depths,
    reliable_strength,
)
from lookalike.workspace.random_streams import Stream, generator

BLOCKS = ("sequence", "aggregates")
LATER_SHARE = 0.25  # of the events are after the cut: a campaign looks further ahead than the holdout of a training
EARLIER_SHARE = 0.5  # after the cut of the period before that
TOLD_BY, TOLD_SEED, TOLD_AMONG = 60, 50, 3_000  # audiences, seeds of each, and others, that tell the strength
TOLD_RELIABLE = 1  # standard errors: audiences of a log differ little in this
MAX_USERS = 10_000
MIN_AUDIENCES = 20
MIN_MEMBERS = 5
RIDGE = 1_000.0
MAX_DIRECTIONS = 64


def learn_prior(embedder: Embedder, sequences: Sequences, vocabulary: Vocabulary, random_seed: int) -> Prior | None:
    """The prior over the columns of `sequence` and `aggregates`, or None when the log has too few audiences.

    Its strength is told across time: by how well the prior of an earlier period finds the audiences of the later one. In
    some logs what audiences had in common does not last (docs/log.md).
    """
    rng = generator(random_seed, Stream.LEARNED_PRIOR)
    sample = sequences.take(np.sort(rng.permutation(sequences.users)[:MAX_USERS]))
    before, earlier = (
        sequence_queries.events_before(sample, fit_plan.holdout_cut(sequences, share))
        for share in (LATER_SHARE, EARLIER_SHARE)
    )
    period = Period.of(embedder, before, sample, vocabulary, rng)
    if period is None:
        return None
    prior, past = period.prior(), Period.of(embedder, earlier, before, vocabulary, rng)
    return replace(prior, strength=told_strength(past.prior(), period, rng)) if past else prior


@dataclass(frozen=True)
class Period:
    """Users as they were at a moment, and the audiences that formed after it."""

    x: Floats  # [n, W], standardised
    is_member: Flags  # [Q, n]
    is_eligible: Flags  # [Q, n]

    @classmethod
    def of(
        cls, embedder: Embedder, before: Sequences, after: Sequences, vocabulary: Vocabulary, rng: np.random.Generator
    ) -> "Period | None":
        """`after` has the events of `before` and later ones. None when too few audiences formed."""
        users = np.flatnonzero(np.diff(before.offsets) > 0)
        audiences = pseudo_audiences.draw_audiences(before, after, vocabulary, users, rng)
        audiences = [audience for audience in audiences if np.isin(audience.members, users).sum() >= MIN_MEMBERS]
        if len(audiences) < MIN_AUDIENCES:
            return None
        blocks = embedder.blocks(before.take(users))
        columns = np.hstack([blocks[name] for name in BLOCKS])
        is_member = np.stack([np.isin(users, audience.members) for audience in audiences])
        has_met = np.stack([np.isin(users, audience.met) for audience in audiences])
        return cls(Standardised.of(columns)(columns), is_member, is_member | ~has_met)

    def prior(self) -> Prior:
        return prior_from_audiences(self.x, self.is_member, self.is_eligible)


def told_strength(prior: Prior, period: Period, rng: np.random.Generator) -> float:
    """The strength with which the prior of an earlier period ranks the audiences of this one best, given seeds of them."""
    x, offset, root = period.x.astype(np.float32), period.x @ prior.mean, prior.root.astype(np.float32)
    transformed, depths = x @ root, []
    for number in rng.permutation(len(period.is_member))[:TOLD_BY]:
        members = rng.permutation(np.flatnonzero(period.is_member[number]))
        others = rng.permutation(np.flatnonzero(period.is_eligible[number] & ~period.is_member[number]))[:TOLD_AMONG]
        seed, to_find = members[: len(members) // 2][:TOLD_SEED], members[len(members) // 2 :]
        contrasted, ranked = np.array_split(others, 2)
        rows = np.concatenate([seed, contrasted])
        y = (np.arange(len(rows)) < len(seed)).astype(float)
        one = np.ones((1, len(rows)))
        deviations = deviations_by_strength(transformed[rows], y, one, offset[rows], prior.strengths)[0]
        scores = transformed @ deviations.T.astype(np.float32) + offset[:, None]  # [n, strengths]
        depths.append([head_depths(by[to_find], by[ranked]).mean() for by in scores.T])
    return float(prior.strengths[reliable_strength(np.array(depths).T, TOLD_RELIABLE)])


def prior_from_audiences(x: Floats, is_member: Flags, is_eligible: Flags) -> Prior:
    """The prior that audiences of n users teach: standardised columns [n, W], who belongs to each and who could [Q, n]."""
    ridges = np.full(len(is_member), RIDGE)
    weights = ridge_logistic(x, is_member.astype(float), is_eligible.astype(float), ridges)  # [Q, W]
    mean = weights.mean(axis=0)
    _, values, directions = np.linalg.svd((weights - mean) / np.sqrt(len(weights)), full_matrices=False)
    kept = slice(0, MAX_DIRECTIONS)
    return Prior(mean, directions[kept].T * values[kept])


def prior_arrays(prior: Prior | None) -> Arrays:
    """The prior as arrays of a run; none without a prior."""
    return {f"{PRIOR_PREFIX}{name}": values for name, values in prior.arrays.items()} if prior else {}

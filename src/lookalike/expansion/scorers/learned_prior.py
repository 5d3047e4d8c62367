"""The prior of the `transfer` scorer: what scorers' weights are like in this log, learned once at training.

Users are embedded from their events before an earlier cut, and audiences are drawn of those who newly met an item or an
attribute after it. Each audience is told from all users by a ridge regression; the mean of the weights and the directions
in which they differ are the prior. So a seed of 25 need not learn again what hundreds of past audiences have in common
(empirical Bayes).
"""

from dataclasses import asdict

import numpy as np

from lookalike.data import sequence_queries
from lookalike.data.arrays import Flags, Floats
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import fit_plan, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.run_arrays import Arrays
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior, Standardised, ridge_logistic
from lookalike.workspace.random_streams import Stream, generator

BLOCKS = ("sequence", "aggregates")
LATER_SHARE = 0.25  # of the events are after the cut: a campaign looks further ahead than the holdout of a training
MAX_USERS = 10_000
MIN_AUDIENCES = 20
MIN_MEMBERS = 5
RIDGE = 1_000.0
MAX_DIRECTIONS = 64


def learn_prior(embedder: Embedder, sequences: Sequences, vocabulary: Vocabulary, random_seed: int) -> Prior | None:
    """The prior over the columns of `sequence` and `aggregates`, or None when the log has too few audiences."""
    rng = generator(random_seed, Stream.LEARNED_PRIOR)
    sample = sequences.take(np.sort(rng.permutation(sequences.users)[:MAX_USERS]))
    before = sequence_queries.events_before(sample, fit_plan.holdout_cut(sequences, LATER_SHARE))
    users = np.flatnonzero(np.diff(before.offsets) > 0)
    audiences = pseudo_audiences.draw_audiences(before, sample, vocabulary, users, rng)
    audiences = [audience for audience in audiences if np.isin(audience.members, users).sum() >= MIN_MEMBERS]
    if len(audiences) < MIN_AUDIENCES:
        return None
    blocks = embedder.blocks(before.take(users))
    columns = np.hstack([blocks[name] for name in BLOCKS])
    is_member = np.stack([np.isin(users, audience.members) for audience in audiences])
    has_met = np.stack([np.isin(users, audience.met) for audience in audiences])
    return prior_from_audiences(Standardised.of(columns)(columns), is_member, is_member | ~has_met)


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
    return {f"{PRIOR_PREFIX}{name}": value for name, value in asdict(prior).items()} if prior else {}

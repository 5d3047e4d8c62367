"""What scorers' weights are like in this log: learnt once, at training, from audiences drawn from the log itself.

Users are embedded as they were at an earlier cut, and audiences are drawn of who newly met something after it. Each is
told from everybody by a ridge; the mean and the directions of the weights found are the prior of `transfer`, so that a
seed of 25 need not find out anew what hundreds of past audiences have in common (empirical Bayes).
"""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from lookalike.data import sequence_queries
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import fit_plan, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.run_arrays import Arrays
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior, Standardised, ridge_logistic

LATER_SHARE = 0.25  # share of the last events after the cut: a campaign looks ahead further than a held-out day


MAX_USERS = 10_000


MIN_AUDIENCES = 20


MIN_MEMBERS = 5


RIDGE = 1_000.0


MAX_DIRECTIONS = 64


BLOCKS = ("sequence", "aggregates")


def learn_prior(made: Embedder, everything: Sequences, vocabulary: Vocabulary, seed: int) -> Prior | None:
    """The prior over the columns of `sequence` and `aggregates`; None in a log that shows too few audiences."""
    rng = np.random.default_rng([seed, 20])
    some = everything.take(np.sort(rng.permutation(everything.users)[:MAX_USERS]))
    known = sequence_queries.events_before(some, fit_plan.holdout_cut(everything, LATER_SHARE))
    users = np.flatnonzero(np.diff(known.offsets) > 0)
    audiences = pseudo_audiences.draw_audiences(known, some, vocabulary, users, rng)
    audiences = [one for one in audiences if np.isin(one.members, users).sum() >= MIN_MEMBERS]
    if len(audiences) < MIN_AUDIENCES:
        return None
    blocks = made.blocks(known.take(users))
    columns = np.hstack([blocks[name] for name in BLOCKS])
    member = np.stack([np.isin(users, one.members) for one in audiences])
    met = np.stack([np.isin(users, one.met) for one in audiences])
    return _prior_from(Standardised.of(columns)(columns), member, member | ~met)


def _prior_from(x: NDArray[np.float64], member: NDArray[np.bool_], asked: NDArray[np.bool_]) -> Prior:
    """From standardised columns [n, W], and who belongs to each audience and who could have, both [Q, n]."""
    ridges = np.full(len(member), RIDGE)
    weights = ridge_logistic(x, member.astype(float), asked.astype(float), ridges)  # [Q, W]
    mean = weights.mean(axis=0)
    _, values, directions = np.linalg.svd((weights - mean) / np.sqrt(len(weights)), full_matrices=False)
    kept = slice(0, MAX_DIRECTIONS)
    return Prior(mean, directions[kept].T * values[kept])


def prior_arrays(prior: Prior | None) -> Arrays:
    """As a run keeps it."""
    return {f"{PRIOR_PREFIX}{name}": value for name, value in asdict(prior).items()} if prior else {}

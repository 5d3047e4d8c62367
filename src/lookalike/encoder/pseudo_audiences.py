"""Audiences drawn from the log itself: who newly met an item, or an attribute of one, after a cut.

They stand in for campaigns nobody has run yet: a representation is tuned on some, and judged on the others, by what the
product does with it: from few members find the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lookalike.data.arrays import Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.interactions import item_counts, item_indicator

MAX_AUDIENCES = 200


MIN_MEMBERS = 20


SHARES = (0.002, 0.15)  # of the eligible users: smaller ones are noise, larger ones are everybody


SEEDS = (25, 100)


SAME_AUDIENCE_JACCARD = 0.3  # share of members in common (Jaccard) from which on two audiences count as one


LIFT_SHARE = 0.05


@dataclass(frozen=True)
class PseudoAudience:
    """`members` newly met something after the cut; `met` had met it before, and are no candidates. User rows."""

    members: Rows
    met: Rows


def draw_audiences(
    before: Sequences, after: Sequences, vocabulary: Vocabulary, users: Rows, rng: np.random.Generator
) -> list[PseudoAudience]:
    """At most 200 audiences among `users` (ascending rows); `after` holds the events of `before` and later ones."""
    groups = sparse.hstack(
        [item_indicator(vocabulary), sparse.eye(len(vocabulary.items), vocabulary.common, format="csr")], format="csr"
    )
    had = _touched(item_counts(before.take(users), len(vocabulary.items)) @ groups)
    have = _touched(item_counts(after.take(users), len(vocabulary.items)) @ groups)
    new = (have - had).tocsc()
    new.eliminate_zeros()
    size, least = np.diff(new.indptr), max(MIN_MEMBERS, SHARES[0] * len(users))
    able = np.flatnonzero((size >= least) & (size <= SHARES[1] * len(users)))
    # what has two names is one audience: else one half would choose the weights by what the other reports
    distinct = np.array(list({_column(new, group).tobytes(): group for group in able[::-1]}.values())[::-1], np.int64)
    chosen = np.sort(rng.permutation(distinct)[:MAX_AUDIENCES])
    had = had.tocsc()
    return [PseudoAudience(users[_column(new, group)], users[_column(had, group)]) for group in chosen]


def halves(audiences: list[PseudoAudience]) -> tuple[list[PseudoAudience], list[PseudoAudience]]:
    """Two parts that do not share an audience under two names: those with much the same members stay together."""
    if not audiences:
        return [], []
    users, place = np.unique(np.concatenate([one.members for one in audiences]), return_inverse=True)
    owner = np.repeat(np.arange(len(audiences)), [len(one.members) for one in audiences])
    member = sparse.csr_matrix((np.ones(len(place)), (owner, place)), shape=(len(audiences), len(users)))
    both = (member @ member.T).toarray()
    size = np.diag(both)
    alike = both / (size[:, None] + size - both) > SAME_AUDIENCE_JACCARD
    _, group = csgraph.connected_components(sparse.csr_matrix(alike), directed=False)
    parts: tuple[list[PseudoAudience], list[PseudoAudience]] = ([], [])
    for one in np.argsort(-np.bincount(group), kind="stable"):  # the largest groups first, each to the smaller part
        min(parts, key=len).extend(audiences[number] for number in np.flatnonzero(group == one))
    return parts


def mean_lift(
    audiences: list[PseudoAudience], users: Rows, score: Callable[[Rows, Rows], NDArray[Any]], seed: int
) -> float:
    """Geometric mean over the audiences of lift@5 % among `users`; NaN when there is none."""
    logs = log_lifts(audiences, users, score, seed)
    return math.exp(float(np.mean(logs))) if len(logs) else math.nan


def log_lifts(
    audiences: list[PseudoAudience], users: Rows, score: Callable[[Rows, Rows], NDArray[Any]], seed: int
) -> NDArray[np.float64]:
    """The log of each audience's lift@5 % among `users`; seeds come from all its members.

    `score(seed rows, candidate rows)` gives the candidates' scores. Half a hit is added to both sides, so that an
    audience without hits has a logarithm. An audience with nobody left to find is left out.
    """
    logs = []
    for number, audience in enumerate(audiences):
        rng = np.random.default_rng([seed, 12, number])
        members = rng.permutation(audience.members)
        taught = members[: min(SEEDS[number % len(SEEDS)], len(members) // 2)]
        rest = np.intersect1d(members[len(taught) :], users)
        candidates = rng.permutation(np.setdiff1d(users, np.concatenate([taught, audience.met])))  # ties by lot
        if not len(rest):
            continue
        first = max(1, round(LIFT_SHARE * len(candidates)))
        top = candidates[np.argsort(-score(taught, candidates), kind="stable")[:first]]
        expected = first * len(rest) / len(candidates)
        logs.append(math.log((np.isin(top, rest).sum() + 0.5) / (expected + 0.5)))
    return np.array(logs)


def by_centroid(vectors: NDArray[Any]) -> Callable[[Rows, Rows], NDArray[Any]]:
    """The score of the plain centroid of vectors [N, W]: what `centroid` does with the sequence block."""
    return lambda taught, candidates: vectors[candidates] @ vectors[taught].mean(0)


def _touched(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    counts.data[:] = 1
    return counts


def _column(matrix: sparse.csc_matrix, number: int) -> Rows:
    return np.sort(matrix.indices[matrix.indptr[number] : matrix.indptr[number + 1]])

"""Audiences drawn from the log: the users who newly met an item, or an attribute of items, after a cut.

They stand in for campaigns that nobody has run yet. A representation is tuned on some of them and evaluated on the
others by what the product does: from a few members, find the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.interactions import item_counts, item_indicator
from lookalike.workspace.random_streams import Stream, generator

MAX_AUDIENCES = 200
MIN_MEMBERS = 20
MEMBER_SHARES = (0.002, 0.15)  # of the eligible users: fewer members are noise, more are nearly everybody
SEED_SIZES = (25, 100)
SAME_AUDIENCE_JACCARD = 0.3  # audiences with a larger Jaccard index of their members count as the same
LIFT_SHARE = 0.05

UserScorer = Callable[[Rows, Rows], Matrix]  # seed rows [M], candidate rows [N] -> scores of the candidates [N]


@dataclass(frozen=True)
class PseudoAudience:
    """User rows: `members` first met something after the cut; `met` had met it before, so they are no candidates."""

    members: Rows
    met: Rows


def draw_audiences(
    before: Sequences, after: Sequences, vocabulary: Vocabulary, users: Rows, rng: np.random.Generator
) -> list[PseudoAudience]:
    """At most 200 audiences among `users` (ascending rows). `after` has the events of `before` and later ones."""
    groups = sparse.hstack(
        [item_indicator(vocabulary), sparse.eye(len(vocabulary.items), vocabulary.common, format="csr")], format="csr"
    )
    met_before = _nonzero(item_counts(before.take(users), len(vocabulary.items)) @ groups)
    met_after = _nonzero(item_counts(after.take(users), len(vocabulary.items)) @ groups)
    new = (met_after - met_before).tocsc()
    new.eliminate_zeros()
    size, min_size = np.diff(new.indptr), max(MIN_MEMBERS, MEMBER_SHARES[0] * len(users))
    eligible = np.flatnonzero((size >= min_size) & (size <= MEMBER_SHARES[1] * len(users)))
    # of groups with the same members the first is kept: otherwise one half could tune on what the other reports
    first_of_members = {_rows_of_column(new, group).tobytes(): group for group in eligible[::-1]}
    distinct = np.array(list(first_of_members.values())[::-1], np.int64)
    chosen = np.sort(rng.permutation(distinct)[:MAX_AUDIENCES])
    met_before = met_before.tocsc()
    return [
        PseudoAudience(users[_rows_of_column(new, group)], users[_rows_of_column(met_before, group)])
        for group in chosen
    ]


def halves(audiences: list[PseudoAudience]) -> tuple[list[PseudoAudience], list[PseudoAudience]]:
    """Two parts that share no audience: those with much the same members stay together."""
    parts: tuple[list[PseudoAudience], list[PseudoAudience]] = ([], [])
    if not audiences:
        return parts
    _, cluster = csgraph.connected_components(sparse.csr_matrix(_same_audience(audiences)), directed=False)
    for number in np.argsort(-np.bincount(cluster), kind="stable"):  # largest first, each to the smaller part
        min(parts, key=len).extend(audiences[place] for place in np.flatnonzero(cluster == number))
    return parts


def _same_audience(audiences: list[PseudoAudience]) -> NDArray[np.bool_]:
    """Which audiences have much the same members, [n, n]."""
    users, place = np.unique(np.concatenate([audience.members for audience in audiences]), return_inverse=True)
    owner = np.repeat(np.arange(len(audiences)), [len(audience.members) for audience in audiences])
    is_member = sparse.csr_matrix((np.ones(len(place)), (owner, place)), shape=(len(audiences), len(users)))
    shared = (is_member @ is_member.T).toarray()
    size = np.diag(shared)
    same: NDArray[np.bool_] = shared / (size[:, None] + size - shared) > SAME_AUDIENCE_JACCARD
    return same


def mean_lift(audiences: list[PseudoAudience], users: Rows, score: UserScorer, random_seed: int) -> float | None:
    """Geometric mean over the audiences of lift@5 % among `users`; None when no audience can be evaluated."""
    logs = log_lifts(audiences, users, score, random_seed)
    return math.exp(float(np.mean(logs))) if len(logs) else None


def log_lifts(audiences: list[PseudoAudience], users: Rows, score: UserScorer, random_seed: int) -> Floats:
    """Log of each audience's lift@5 % among `users`; seeds are drawn from all its members.

    Half a hit is added to both sides, so that an audience without hits has a logarithm. Audiences without a member to
    find are left out.
    """
    logs = []
    for number, audience in enumerate(audiences):
        rng = generator(random_seed, Stream.PSEUDO_AUDIENCE_SEED, number)
        members = rng.permutation(audience.members)
        seed = members[: min(SEED_SIZES[number % len(SEED_SIZES)], len(members) // 2)]
        to_find = np.intersect1d(members[len(seed) :], users)
        # shuffled, so that ties are broken at random
        candidates = rng.permutation(np.setdiff1d(users, np.concatenate([seed, audience.met])))
        if not len(to_find):
            continue
        k = max(1, round(LIFT_SHARE * len(candidates)))
        top = candidates[np.argsort(-score(seed, candidates), kind="stable")[:k]]
        expected = k * len(to_find) / len(candidates)
        logs.append(math.log((np.isin(top, to_find).sum() + 0.5) / (expected + 0.5)))
    return np.array(logs)


def centroid_scorer(vectors: Matrix, users: Rows | None = None) -> UserScorer:
    """Scores by the dot product with the mean of the seed, as the scorer `centroid` does.

    vectors [n, W] are those of `users` (ascending rows), or of all user rows.
    """

    def vectors_of(rows: Rows) -> Matrix:
        return vectors[rows if users is None else np.searchsorted(users, rows)]

    return lambda seed, candidates: vectors_of(candidates) @ vectors_of(seed).mean(0)


def _nonzero(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Every stored count as 1."""
    counts.data[:] = 1
    return counts


def _rows_of_column(matrix: sparse.csc_matrix, column: int) -> Rows:
    return np.sort(matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]])

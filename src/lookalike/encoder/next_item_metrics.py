"""How well items to come are foreseen: full-catalogue recall and NDCG of held-out items, for a model and its baselines.

Nothing is sampled: every item the user has not met before competes (Krichene and Rendle, KDD 2020, on why). Of a
catalogue past half a million items only the common ones do, as `items_judged` says; events of others count for nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data import sequence_queries
from lookalike.data.arrays import Floats
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.interactions import item_counts, unit_rows

TOP_K = 20


SCORES_PER_BATCH = 8_000_000  # which bounds the memory, whatever the catalogue


MAX_USERS = 5_000


MAX_SCORES = 100_000_000  # users times items, which is what one measurement costs


NEIGHBOUR_USERS = 50_000


NEIGHBOUR_ITEMS = 20_000


Scores = Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]]  # user rows [n] -> [n, V]


@dataclass(frozen=True)
class HeldOutUsers:
    """Users who acted on both sides of the cut, what they had met, and the new items they met after it."""

    users: NDArray[np.int64]
    past: sparse.csr_matrix  # [users, V]
    coming: sparse.csr_matrix  # [users, V]


def halves(held: HeldOutUsers) -> tuple[HeldOutUsers, HeldOutUsers]:
    """Two parts of the users: one to choose by, one to report."""
    first, second = (HeldOutUsers(held.users[k::2], held.past[k::2], held.coming[k::2]) for k in (0, 1))
    return first, second


def hold_out(known: Sequences, everything: Sequences, items: int, rng: np.random.Generator) -> HeldOutUsers:
    """A sample of at most 5,000 such users, fewer where the catalogue is large; `known` ends at the cut, `everything` goes on."""
    most = int(np.clip(MAX_SCORES / max(1, items), 500, MAX_USERS))
    both = np.flatnonzero((np.diff(known.offsets) > 0) & (np.diff(everything.offsets) > np.diff(known.offsets)))
    users = np.sort(rng.permutation(both)[: 4 * most])  # not all of them met something new
    before, after = item_counts(known.take(users), items), item_counts(everything.take(users), items)
    before.data[:] = 1
    after.data[:] = 1
    coming = (after - before).tocsr()
    coming.eliminate_zeros()
    able = np.flatnonzero((np.diff(before.indptr) > 0) & (np.diff(coming.indptr) > 0))
    chosen = np.sort(rng.permutation(able)[:most])
    return HeldOutUsers(users[chosen], before[chosen], coming[chosen])


def hold_out_newcomers(known: Sequences, everything: Sequences, items: int, rng: np.random.Generator) -> HeldOutUsers:
    """A sample of users who came only after the cut: of them no event is known."""
    most = int(np.clip(MAX_SCORES / max(1, items), 500, MAX_USERS))
    new = np.flatnonzero((np.diff(known.offsets) == 0) & (np.diff(everything.offsets) > 0))
    users = np.sort(rng.permutation(new)[:most])
    coming = item_counts(everything.take(users), items)
    coming.data[:] = 1
    able = np.flatnonzero(np.diff(coming.indptr) > 0)
    return HeldOutUsers(users[able], sparse.csr_matrix((len(able), items)), coming[able])


def subset(held: HeldOutUsers, which: NDArray[np.bool_]) -> HeldOutUsers:
    return HeldOutUsers(held.users[which], held.past[which], held.coming[which])


def only_new_items(held: HeldOutUsers, known: Sequences) -> tuple[HeldOutUsers, NDArray[np.int64]]:
    """The held-out users with only the items nobody had met before the cut to find; and those items' rows."""
    new = np.flatnonzero(sequence_queries.popularity(known, held.coming.shape[1]) == 0)
    coming = held.coming[:, new]
    able = np.diff(coming.indptr) > 0
    return HeldOutUsers(held.users[able], sparse.csr_matrix((int(able.sum()), len(new))), coming[able]), new


def measure(held: HeldOutUsers, scores: Scores) -> dict[str, float]:
    """Each metric of the first 20 items by score, met ones left out."""
    hits = [_hits(scores(held.users[part]), held.past[part], held.coming[part]) for part in _parts(held)]
    found = np.vstack(hits) if hits else np.zeros((0, TOP_K))
    relevant = np.diff(held.coming.indptr).astype(float)
    return {name: metric(found, relevant) for name, metric in ITEM_METRICS.items()}


def popularity(known: Sequences, items: int, days: int | None = None) -> Scores:
    """Everybody gets the items with most events; with `days`, of that time before the cut."""
    counts = sequence_queries.popularity(
        known, items, None if days is None else known.as_of - days * SECONDS_PER_DAY
    ).astype(float)
    return lambda users: np.broadcast_to(counts, (len(users), items))


def item_neighbours(known: Sequences, held: HeldOutUsers, items: int) -> Scores:
    """Item-to-item collaborative filter: cosine of TF-IDF columns, summed over the items the user has met."""
    if not items:  # a log of events about nothing
        return popularity(known, items)
    users = np.linspace(0, known.users - 1, min(known.users, NEIGHBOUR_USERS)).astype(int)
    matrix = item_counts(known.take(np.unique(users)), items)
    matrix.data = np.log1p(matrix.data)
    support = np.asarray((matrix > 0).sum(0)).ravel()
    idf = np.log((1 + matrix.shape[0]) / (1 + support)) + 1
    rare = np.argsort(-support, kind="stable")[NEIGHBOUR_ITEMS:]
    idf[rare] = 0
    matrix = unit_rows(matrix @ sparse.diags(idf))
    columns = unit_rows(matrix.T).T.tocsc()
    row = {user: position for position, user in enumerate(held.users)}
    rows_of = np.vectorize(row.__getitem__, otypes=[int])

    def scores(users: NDArray[np.int64]) -> NDArray[np.float64]:
        taste = held.past[rows_of(users)] @ sparse.diags(idf)
        return np.asarray(((taste @ columns.T) @ columns).todense())

    return scores


def _hits(scores: NDArray[np.floating[Any]], past: sparse.csr_matrix, coming: sparse.csr_matrix) -> NDArray[np.float64]:
    """Which of the first 20 came true, [n, 20] in rank order."""
    open_to = np.array(scores, np.float64)
    open_to[past.nonzero()] = -np.inf
    first = min(TOP_K, open_to.shape[1])
    top = _first(_untied(open_to), first) if first else np.zeros((len(scores), 0), np.int64)
    truth = np.zeros(scores.shape, np.int8)
    truth[coming.nonzero()] = 1
    hits = np.take_along_axis(truth, top, 1).astype(float)
    return np.pad(hits, ((0, 0), (0, TOP_K - first)))


def tie_order(items: int) -> NDArray[np.int64]:
    """The order of items with equal scores, [V]: by lot. Rows go by how common items are, the held-out days included."""
    return np.random.default_rng(items).permutation(items)


def _untied(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores without ties, in an order that no block size changes."""
    most = np.abs(scores, where=np.isfinite(scores), out=np.zeros_like(scores)).max(initial=1e-12)
    untied: NDArray[np.float64] = scores - tie_order(scores.shape[1]) * (1e-14 * most)
    return untied


def _first(scores: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The columns of each row's first `count` scores, best first."""
    top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)


def _parts(held: HeldOutUsers) -> Iterator[slice]:
    users = max(1, SCORES_PER_BATCH // max(1, held.coming.shape[1]))
    for first in range(0, len(held.users), users):
        yield slice(first, first + users)


def recall_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of hits among the first k / relevant items. hits [n, k] of 0 and 1 in rank order, relevant [n]."""
    return float(np.mean(hits.sum(1) / relevant)) if len(hits) else 0.0


def ndcg_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of the discounted gain / the best possible (Järvelin and Kekäläinen 2002, binary gains)."""
    if not len(hits):
        return 0.0
    discounts = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.cumsum(discounts)[np.minimum(relevant, hits.shape[1]).astype(int) - 1]
    return float(np.mean(hits @ discounts / best))


ITEM_METRICS: dict[str, Callable[[Floats, Floats], float]] = {"recall@20": recall_at, "ndcg@20": ndcg_at}

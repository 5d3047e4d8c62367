"""Next-item recommendation over the full catalogue: recall and NDCG of held-out items, for a model and its baselines.

Nothing is sampled: every item that the user has not met competes (Krichene and Rendle, KDD 2020, on why). Of a
catalogue of more than half a million items only the common ones compete, and events of other items are ignored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lookalike.data import sequence_queries
from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.data.sequences import SECONDS_PER_DAY, Sequences
from lookalike.embeddings.interactions import item_counts, unit_rows
from lookalike.encoder.results import Metrics

TOP_K = 20
SCORES_PER_BATCH = 8_000_000  # bounds the memory, however large the catalogue
MIN_USERS, MAX_USERS = 500, 5_000  # of a sample of held-out users
RECENT_DAYS = (1 / 24, 3 / 24, 6 / 24, 12 / 24, 1, 7, 30)  # popularity of late: news is read for hours
MAX_SCORES = 100_000_000  # users times items: the cost of one measurement
NEIGHBOUR_USERS = 50_000
NEIGHBOUR_ITEMS = 20_000

ItemScorer = Callable[[Rows], Matrix]  # user rows [n] -> scores of all items [n, V]


@dataclass(frozen=True)
class HeldOutUsers:
    """Users with events on both sides of the cut: the items met before it, and the new ones met after it."""

    users: Rows
    past: sparse.csr_matrix  # [n, V]
    future: sparse.csr_matrix  # [n, V]


def halves(held_out: HeldOutUsers) -> tuple[HeldOutUsers, HeldOutUsers]:
    """Two parts of the users: one to choose by, one to report."""
    first, second = (HeldOutUsers(held_out.users[k::2], held_out.past[k::2], held_out.future[k::2]) for k in (0, 1))
    return first, second


def hold_out(known: Sequences, everything: Sequences, items: int, rng: np.random.Generator) -> HeldOutUsers:
    """A sample of at most 5,000 users, fewer for a large catalogue. `known` ends at the cut, `everything` goes on."""
    sample_size = _sample_size(items)
    on_both_sides = (np.diff(known.offsets) > 0) & (np.diff(everything.offsets) > np.diff(known.offsets))
    # more than needed, because not every user met something new
    users = np.sort(rng.permutation(np.flatnonzero(on_both_sides))[: 4 * sample_size])
    past, total = item_counts(known.take(users), items), item_counts(everything.take(users), items)
    past.data[:] = 1
    total.data[:] = 1
    future = (total - past).tocsr()
    future.eliminate_zeros()
    eligible = np.flatnonzero((np.diff(past.indptr) > 0) & (np.diff(future.indptr) > 0))
    chosen = np.sort(rng.permutation(eligible)[:sample_size])
    return HeldOutUsers(users[chosen], past[chosen], future[chosen])


def hold_out_newcomers(known: Sequences, everything: Sequences, items: int, rng: np.random.Generator) -> HeldOutUsers:
    """A sample of users without events before the cut."""
    newcomers = np.flatnonzero((np.diff(known.offsets) == 0) & (np.diff(everything.offsets) > 0))
    users = np.sort(rng.permutation(newcomers)[: _sample_size(items)])
    future = item_counts(everything.take(users), items)
    future.data[:] = 1
    eligible = np.flatnonzero(np.diff(future.indptr) > 0)
    return HeldOutUsers(users[eligible], sparse.csr_matrix((len(eligible), items)), future[eligible])


def _sample_size(items: int) -> int:
    return int(np.clip(MAX_SCORES / max(1, items), MIN_USERS, MAX_USERS))


def subset(held_out: HeldOutUsers, chosen: Flags) -> HeldOutUsers:
    return HeldOutUsers(held_out.users[chosen], held_out.past[chosen], held_out.future[chosen])


def only_new_items(held_out: HeldOutUsers, known: Sequences) -> tuple[HeldOutUsers, Rows]:
    """The users who met an item that nobody had met before the cut, with those items only; and the items' rows."""
    new = np.flatnonzero(sequence_queries.popularity(known, held_out.future.shape[1]) == 0)
    future = held_out.future[:, new]
    eligible = np.diff(future.indptr) > 0
    past = sparse.csr_matrix((int(eligible.sum()), len(new)))
    return HeldOutUsers(held_out.users[eligible], past, future[eligible]), new


def measure(held_out: HeldOutUsers, scorer: ItemScorer) -> Metrics:
    """Each metric of the top 20 items, without those met before the cut."""
    hits, relevant = _hits(held_out, scorer)
    return {name: metric(hits, relevant) for name, metric in ITEM_METRICS.items()}


def ndcg_of_each(held_out: HeldOutUsers, scorer: ItemScorer) -> Floats:
    """NDCG@20 of each user, [n]."""
    return _ndcg(*_hits(held_out, scorer))


def _hits(held_out: HeldOutUsers, scorer: ItemScorer) -> tuple[Floats, Floats]:
    """Which of each user's top 20 items were met, [n, 20], and how many there were to find, [n]."""
    hits = [
        top_k_hits(scorer(held_out.users[part]), held_out.past[part], held_out.future[part])
        for part in _batches(held_out)
    ]
    return np.vstack(hits) if hits else np.zeros((0, TOP_K)), np.diff(held_out.future.indptr).astype(float)


def popularity(known: Sequences, items: int, days: float | None = None) -> ItemScorer:
    """Scores items by their number of events; with `days`, in that time before the cut."""
    counts = sequence_queries.popularity(
        known, items, None if days is None else known.as_of - round(days * SECONDS_PER_DAY)
    ).astype(float)
    return lambda users: np.broadcast_to(counts, (len(users), items))


def item_neighbours(known: Sequences, held_out: HeldOutUsers, items: int) -> ItemScorer:
    """Item-to-item collaborative filter: cosine of TF-IDF columns, summed over the items that the user has met."""
    if not items:  # every event is without an item
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
    place = {user: position for position, user in enumerate(held_out.users)}
    places_of = np.vectorize(place.__getitem__, otypes=[int])

    def scorer(users: Rows) -> Floats:
        taste = held_out.past[places_of(users)] @ sparse.diags(idf)
        return np.asarray(((taste @ columns.T) @ columns).todense())

    return scorer


def _batches(held_out: HeldOutUsers) -> Iterator[slice]:
    users = max(1, SCORES_PER_BATCH // max(1, held_out.future.shape[1]))
    for first in range(0, len(held_out.users), users):
        yield slice(first, first + users)


def top_k_hits(scores: Matrix, past: sparse.csr_matrix, future: sparse.csr_matrix) -> Floats:
    """1 for each of the top 20 items that the user met, else 0; [n, 20] in rank order."""
    candidates = np.array(scores, np.float64)
    candidates[past.nonzero()] = -np.inf
    k = min(TOP_K, candidates.shape[1])
    top = _top_columns(_without_ties(candidates), k) if k else np.zeros((len(scores), 0), np.int64)
    truth = np.zeros(scores.shape, np.int8)
    truth[future.nonzero()] = 1
    hits = np.take_along_axis(truth, top, 1).astype(float)
    return np.pad(hits, ((0, 0), (0, TOP_K - k)))


def tie_order(items: int) -> Rows:
    """A random order of items with equal scores, [V].

    Not the order of rows: those go by how common items are, with the held-out days included.
    """
    return np.random.default_rng(items).permutation(items)


def _without_ties(scores: Floats) -> Floats:
    """Scores with ties broken in an order that no batch size changes."""
    largest = np.abs(scores, where=np.isfinite(scores), out=np.zeros_like(scores)).max(initial=1e-12)
    untied: Floats = scores - tie_order(scores.shape[1]) * (1e-14 * largest)
    return untied


def _top_columns(scores: Floats, k: int) -> Rows:
    """The columns of each row's k largest scores, [n, k], largest first."""
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)


def recall_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of hits among the top k / relevant items. hits [n, k] of 0 and 1 in rank order, relevant [n]."""
    return float(np.mean(hits.sum(1) / relevant)) if len(hits) else 0.0


def ndcg_at(hits: Floats, relevant: Floats) -> float:
    """Mean over users of discounted gain / best possible gain (Järvelin and Kekäläinen 2002, binary gains)."""
    return float(np.mean(_ndcg(hits, relevant))) if len(hits) else 0.0


def _ndcg(hits: Floats, relevant: Floats) -> Floats:
    discounts = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.cumsum(discounts)[np.minimum(relevant, hits.shape[1]).astype(int) - 1]
    return np.asarray(hits @ discounts / best)


# To add a metric: one function, and one line here.
ITEM_METRICS: dict[str, Callable[[Floats, Floats], float]] = {"recall@20": recall_at, "ndcg@20": ndcg_at}

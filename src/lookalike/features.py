"""The two blocks that need no training of weights: `aggregates` (plain, named columns) and `content` (TF-IDF, SVD).

Both are fitted once (which columns, which directions) and then computed for any block of users from their events.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lookalike.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences, Vocabulary

RECENT_DAYS = (7, 30, 90)
MOST_SAMPLED, MOST_EVENTS = 100_000, 10_000_000
HOUR_BINS = 8
NEGLIGIBLE = 1e-6  # beside lengths and singular values of about 1
MOST_CODES = 16  # values of a coded field (event type, country, a declared column …) that get a column of their own
Matrix = NDArray[np.floating[Any]]


def sample(sequences: Sequences, seed: int) -> Sequences:
    """At most 100,000 users, with at most ten million events if they are more than one, to fit columns and directions on."""
    rows = np.random.default_rng([seed, 7]).permutation(sequences.users)[:MOST_SAMPLED]
    events = np.cumsum(np.diff(sequences.offsets)[rows])
    return sequences.take(np.sort(rows[: max(1, int(np.searchsorted(events, MOST_EVENTS, side="right")))]))


# --- aggregates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aggregates:
    """Which columns there are. `groups` are attribute codes counted per user, the most common first."""

    names: list[str]
    groups: NDArray[np.int32]
    item_groups: sparse.csr_matrix  # [V, groups]
    codes: dict[str, int]  # columns of each coded field
    profile: int

    def transform(self, users: Sequences) -> Matrix:
        """The named columns of a block of users, [n, W]. Counts and amounts are logarithms, times are log days."""
        parts = [_activity(users), _money(users), _clock(users)]
        parts += [_code_counts(users, field, width) for field, width in self.codes.items()]
        parts += [_profile(users, self.profile)]
        parts += [np.log1p((item_counts(users, self.item_groups.shape[0]) @ self.item_groups).toarray())]
        return np.hstack(parts).astype(np.float32)


def fit_aggregates(sample: Sequences, vocabulary: Vocabulary, columns: int) -> Aggregates:
    """The columns for a log: those of activity, value and time, and a count for each of the most common groups."""
    indicator = item_indicator(vocabulary)
    counts = item_counts(sample, len(vocabulary.items))
    names = [f"{attribute}={value}" for attribute, value in vocabulary.attributes]
    if indicator.shape[1] == 0:  # a log without an items table: the most common items are their own groups
        indicator = sparse.eye(len(vocabulary.items), vocabulary.common, format="csr")
        names = [f"item={item}" for item in vocabulary.items[: vocabulary.common]]
    support = np.asarray((counts @ indicator > 0).sum(axis=0)).ravel()
    groups = np.argsort(-support, kind="stable")[:columns]
    groups = groups[support[groups] > 0]
    codes = {field: min(len(values), MOST_CODES) for field, values in vocabulary.codes.items() if len(values) > 1}
    named = [*ACTIVITY, *MONEY, *CLOCK]
    named += [f"{field}={vocabulary.codes[field][code]}" for field, width in codes.items() for code in range(width)]
    named += [f"{attribute}={value}" for attribute, value in vocabulary.profile]
    named += [names[group] for group in groups]
    return Aggregates(named, groups.astype(np.int32), grouped(vocabulary, groups), codes, len(vocabulary.profile))


def grouped(vocabulary: Vocabulary, groups: NDArray[np.integer]) -> sparse.csr_matrix:
    """Which item counts for which of the groups, [V, groups]; of a log without item attributes items are the groups."""
    if vocabulary.attributes:
        return item_indicator(vocabulary)[:, groups].tocsr()
    return sparse.identity(len(vocabulary.items), format="csr")[:, groups].tocsr()


ACTIVITY = [
    "log_events",
    "log_visits",
    "log_days",
    "log_items",
    "log_recency_days",
    "log_tenure_days",
    "log_days_between_visits",
    *(f"log_events_last_{days}_days" for days in RECENT_DAYS),
]
MONEY = ["log_value", "log_value_per_event", "log_quantity"]
CLOCK = [f"hour_{3 * i:02d}_{3 * i + 3:02d}" for i in range(HOUR_BINS)] + [f"weekday_{i + 1}" for i in range(7)]


def _activity(users: Sequences) -> Matrix:
    time, owner, n = np.asarray(users["time"]), users.owner, users.users
    count = np.diff(users.offsets)
    starts = np.ones(len(time), bool)
    starts[1:] = (owner[1:] != owner[:-1]) | (np.diff(time) > BASKET_GAP)
    new_day = np.ones(len(time), bool)
    new_day[1:] = (owner[1:] != owner[:-1]) | (time[1:] // SECONDS_PER_DAY != time[:-1] // SECONDS_PER_DAY)
    visits, days = _count(owner, n, starts), _count(owner, n, new_day)
    first, last = np.full(n, users.as_of), np.full(n, users.as_of)
    has = count > 0
    first[has], last[has] = time[users.offsets[:-1][has]], time[users.offsets[1:][has] - 1]
    recency, tenure = (users.as_of - last) / SECONDS_PER_DAY, (users.as_of - first) / SECONDS_PER_DAY
    between = (last - first) / SECONDS_PER_DAY / np.maximum(visits - 1, 1)
    recent = [_count(owner, n, time >= users.as_of - d * SECONDS_PER_DAY) for d in RECENT_DAYS]
    distinct = np.diff(item_counts(users).indptr)
    return cast(Matrix, np.log1p(np.column_stack([count, visits, days, distinct, recency, tenure, between, *recent])))


def _money(users: Sequences) -> Matrix:
    owner, n = users.owner, users.users
    value = np.bincount(owner, np.nan_to_num(np.asarray(users["value"], np.float64)), n)
    quantity = np.bincount(owner, np.nan_to_num(np.asarray(users["quantity"], np.float64)), n)
    each = value / np.maximum(np.diff(users.offsets), 1)
    columns = np.column_stack([value, each, quantity])
    return np.sign(columns) * np.log1p(np.abs(columns))


def _clock(users: Sequences) -> Matrix:
    """Shares of the user's events by three hours of the day and by weekday."""
    time, owner, n = np.asarray(users["time"]), users.owner, users.users
    hours = time % SECONDS_PER_DAY // (SECONDS_PER_DAY // HOUR_BINS)
    weekdays = (time // SECONDS_PER_DAY + 3) % 7  # 1970-01-01 was a Thursday
    shares = np.zeros((n, HOUR_BINS + 7))
    np.add.at(shares, (owner, hours), 1)
    np.add.at(shares, (owner, HOUR_BINS + weekdays), 1)
    return cast(Matrix, shares / np.maximum(np.diff(users.offsets), 1)[:, None])


def _code_counts(users: Sequences, field: str, width: int) -> Matrix:
    codes = np.asarray(users[field]).astype(np.int64)
    known = (codes > 0) & (codes <= width)
    counts = np.zeros((users.users, width))
    np.add.at(counts, (users.owner[known], codes[known] - 1), 1)
    return np.log1p(counts)


def _profile(users: Sequences, width: int) -> Matrix:
    offsets, codes = users.profile
    flags = sparse.csr_matrix((np.ones(len(codes)), codes, offsets), shape=(users.users, width))
    return cast(Matrix, flags.toarray())


def _count(owner: NDArray[np.int64], n: int, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.bincount(owner[which], minlength=n)


# --- content ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """TF-IDF of items and their attributes, each half of unit length, reduced by a truncated SVD.

    Of the catalogue's V items the first I have weights and directions of their own; the others are their attributes.
    """

    indicator: sparse.csr_matrix  # [V, A]
    idf: NDArray[np.float32]  # [I + A]
    components: NDArray[np.float32]  # [I + A, D]

    @property
    def items(self) -> int:
        """I, the items with directions of their own."""
        return len(self.idf) - int(self.indicator.shape[1])

    @property
    def width(self) -> int:
        return int(self.components.shape[1])

    def transform(self, users: Sequences) -> Matrix:
        """Unit vectors [n, D]; zeros for users without items."""
        if not users.users:
            return np.zeros((0, self.width), np.float32)
        reduced = _tfidf(users, self.indicator, self.idf) @ self.components
        # a user of whom the directions know nothing: made unit length, rounding errors would be a place in the space
        reduced[np.linalg.norm(reduced, axis=1) < NEGLIGIBLE] = 0
        return cast(Matrix, unit_rows(reduced).astype(np.float32))


def fit_content(sample: Sequences, vocabulary: Vocabulary, width: int, seed: int) -> Content:
    """The weights and directions of the content block, from a sample of users."""
    indicator = item_indicator(vocabulary)
    terms = vocabulary.common + indicator.shape[1]
    counts = item_counts(sample, len(vocabulary.items))
    halves = (counts[:, : vocabulary.common], counts @ indicator)
    support = np.concatenate([np.asarray((half > 0).sum(axis=0)).ravel() for half in halves])
    idf = np.log((1 + sample.users) / (1 + support)) + 1
    weighted = _tfidf(sample, indicator, idf)
    width = min(width, terms - 1, sample.users - 1)
    if width < 2 or not weighted.nnz:  # nothing to reduce: too few items, users or events
        return Content(indicator, idf.astype(np.float32), np.zeros((terms, 1), np.float32))
    from sklearn.decomposition import TruncatedSVD  # slow to import, and of no use to who only embeds

    svd = TruncatedSVD(width, n_iter=4, random_state=seed).fit(weighted)
    # fewer independent terms than columns: the directions left over are arbitrary
    meant = svd.singular_values_ >= NEGLIGIBLE * svd.singular_values_.max()
    # in the precision it is stored in, so that a loaded run gives the same bytes
    return Content(indicator, idf.astype(np.float32), svd.components_[meant].T.astype(np.float32))


def unit_rows(rows: Any) -> Any:
    """The rows of a dense or sparse matrix at length 1; rows of noughts stay."""
    lengths = sparse.linalg.norm(rows, axis=1) if sparse.issparse(rows) else np.linalg.norm(rows, axis=1)
    scale = 1 / np.where(lengths > 0, lengths, 1)
    return sparse.diags(scale) @ rows if sparse.issparse(rows) else rows * scale[:, None]


def item_indicator(vocabulary: Vocabulary) -> sparse.csr_matrix:
    """Which item has which attribute, [V, A]."""
    offsets, codes = vocabulary.item_attributes
    shape = (len(vocabulary.items), len(vocabulary.attributes))
    return sparse.csr_matrix((np.ones(len(codes)), codes, offsets), shape=shape)


def item_counts(users: Sequences, items: int | None = None) -> sparse.csr_matrix:
    """How often each user met each item, [n, V]; with `items` each of the first so many."""
    item = np.asarray(users["item"])
    known = item >= 0 if items is None else (item >= 0) & (item < items)
    width = items if items is not None else (int(item.max(initial=-1)) + 1)
    owner = users.owner[known]
    counts = sparse.csr_matrix((np.ones(len(owner)), (owner, item[known])), shape=(users.users, width))
    counts.sum_duplicates()
    return counts


def _tfidf(users: Sequences, indicator: sparse.csr_matrix, idf: NDArray[np.floating[Any]]) -> sparse.csr_matrix:
    """Log counts times idf; items and attributes each made unit length, so that neither drowns the other."""
    counts = item_counts(users, indicator.shape[0])
    halves, split = [], len(idf) - indicator.shape[1]
    for part, weights in ((counts[:, :split], idf[:split]), (counts @ indicator, idf[split:])):
        weighted = part.astype(np.float64)
        weighted.data = np.log1p(weighted.data)
        weighted = weighted @ sparse.diags(weights)
        halves.append(unit_rows(weighted))
    return sparse.hstack(halves, format="csr")

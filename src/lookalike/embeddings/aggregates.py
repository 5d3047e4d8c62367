"""The two blocks that need no training of weights: `aggregates` (plain, named columns) and `content` (TF-IDF, SVD).

Both are fitted once (which columns, which directions) and then computed for any block of users from their events.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data.arrays import Matrix
from lookalike.data.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences, Vocabulary
from lookalike.embeddings.interactions import item_counts, item_indicator

RECENT_DAYS = (7, 30, 90)


HOUR_BINS = 8


MAX_CODE_COLUMNS = (
    16  # values of a coded field (event type, country, a declared column …) that get a column of their own
)


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
    codes = {field: min(len(values), MAX_CODE_COLUMNS) for field, values in vocabulary.codes.items() if len(values) > 1}
    named = [*ACTIVITY_COLUMNS, *VALUE_COLUMNS, *CLOCK_COLUMNS]
    named += [f"{field}={vocabulary.codes[field][code]}" for field, width in codes.items() for code in range(width)]
    named += [f"{attribute}={value}" for attribute, value in vocabulary.profile]
    named += [names[group] for group in groups]
    return Aggregates(
        named, groups.astype(np.int32), item_group_indicator(vocabulary, groups), codes, len(vocabulary.profile)
    )


def item_group_indicator(vocabulary: Vocabulary, groups: NDArray[np.integer]) -> sparse.csr_matrix:
    """Which item counts for which of the groups, [V, groups]; of a log without item attributes items are the groups."""
    if vocabulary.attributes:
        return item_indicator(vocabulary)[:, groups].tocsr()
    return sparse.identity(len(vocabulary.items), format="csr")[:, groups].tocsr()


ACTIVITY_COLUMNS = [
    "log_events",
    "log_visits",
    "log_days",
    "log_items",
    "log_recency_days",
    "log_tenure_days",
    "log_days_between_visits",
    *(f"log_events_last_{days}_days" for days in RECENT_DAYS),
]


VALUE_COLUMNS = ["log_value", "log_value_per_event", "log_quantity"]


CLOCK_COLUMNS = [f"hour_{3 * i:02d}_{3 * i + 3:02d}" for i in range(HOUR_BINS)] + [f"weekday_{i + 1}" for i in range(7)]


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

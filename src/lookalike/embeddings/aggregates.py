"""The `aggregates` block: plain, named columns such as counts, recency, value, and shares by hour and weekday.

Which columns exist is fitted once; they are then computed for any block of users from their events.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data.arrays import Flags, Matrix, Rows
from lookalike.data.sequences import BASKET_GAP, SECONDS_PER_DAY, Sequences, Vocabulary
from lookalike.embeddings.interactions import item_counts, item_indicator

RECENT_DAYS = (7, 30, 90)
NEVER_DAYS = 3_650  # since the first and the last event of whoever has none: long ago, not today
HOUR_BINS = 8
MAX_CODE_COLUMNS = 16  # values of one coded field (event type, country, a declared column …) that have a column

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


@dataclass(frozen=True)
class Aggregates:
    """Which columns there are.

    Groups are item attributes whose events are counted per user, the most common first; in a log without item
    attributes every item is a group of its own.
    """

    names: list[str]
    groups: NDArray[np.int32]  # attribute codes, or item rows
    item_groups: sparse.csr_matrix  # [V, groups]
    codes: dict[str, int]  # how many columns each coded field has
    profile: int  # how many columns the users' attributes have

    def transform(self, users: Sequences) -> Matrix:
        """The columns of a block of users, [users, W]. Counts and amounts are logarithms, durations are log days."""
        parts = [_activity(users), _value(users), _clock(users)]
        parts += [_code_counts(users, field, width) for field, width in self.codes.items()]
        parts += [_profile(users, self.profile)]
        parts += [np.log1p((item_counts(users, self.item_groups.shape[0]) @ self.item_groups).toarray())]
        return np.hstack(parts).astype(np.float32)


def fit_aggregates(sample: Sequences, vocabulary: Vocabulary, max_groups: int) -> Aggregates:
    """The columns for a log. Groups are those that most users of the sample have met."""
    groups, group_names = _common_groups(sample, vocabulary, max_groups)
    codes = {field: min(len(values), MAX_CODE_COLUMNS) for field, values in vocabulary.codes.items() if len(values) > 1}
    names = [*ACTIVITY_COLUMNS, *VALUE_COLUMNS, *CLOCK_COLUMNS]
    names += [f"{field}={vocabulary.codes[field][code]}" for field, width in codes.items() for code in range(width)]
    names += [f"{attribute}={value}" for attribute, value in vocabulary.profile]
    names += group_names
    item_groups = item_group_indicator(vocabulary, groups)
    return Aggregates(names, groups.astype(np.int32), item_groups, codes, len(vocabulary.profile))


def _common_groups(sample: Sequences, vocabulary: Vocabulary, max_groups: int) -> tuple[Rows, list[str]]:
    """The groups that most users have met, and the names of their columns."""
    indicator = item_indicator(vocabulary)
    names = [f"{attribute}={value}" for attribute, value in vocabulary.attributes]
    if indicator.shape[1] == 0:
        indicator = sparse.eye(len(vocabulary.items), vocabulary.common, format="csr")
        names = [f"item={item}" for item in vocabulary.items[: vocabulary.common]]
    counts = item_counts(sample, len(vocabulary.items))
    support = np.asarray((counts @ indicator > 0).sum(axis=0)).ravel()
    groups = np.argsort(-support, kind="stable")[:max_groups]
    groups = groups[support[groups] > 0]
    return groups, [names[group] for group in groups]


def item_group_indicator(vocabulary: Vocabulary, groups: NDArray[np.integer]) -> sparse.csr_matrix:
    """1 where an item belongs to a group, [V, groups]."""
    if vocabulary.attributes:
        return item_indicator(vocabulary)[:, groups].tocsr()
    return sparse.identity(len(vocabulary.items), format="csr")[:, groups].tocsr()


def _activity(users: Sequences) -> Matrix:
    time, owner, n = np.asarray(users["time"]), users.owner, users.users
    count = np.diff(users.offsets)
    new_visit = np.ones(len(time), bool)
    new_visit[1:] = (owner[1:] != owner[:-1]) | (np.diff(time) > BASKET_GAP)
    new_day = np.ones(len(time), bool)
    new_day[1:] = (owner[1:] != owner[:-1]) | (time[1:] // SECONDS_PER_DAY != time[:-1] // SECONDS_PER_DAY)
    visits, days = _count(owner, n, new_visit), _count(owner, n, new_day)
    never = users.as_of - NEVER_DAYS * SECONDS_PER_DAY
    first, last = np.full(n, never), np.full(n, never)
    active = count > 0
    first[active], last[active] = time[users.offsets[:-1][active]], time[users.offsets[1:][active] - 1]
    recency, tenure = (users.as_of - last) / SECONDS_PER_DAY, (users.as_of - first) / SECONDS_PER_DAY
    between = (last - first) / SECONDS_PER_DAY / np.maximum(visits - 1, 1)
    recent = [_count(owner, n, time >= users.as_of - days * SECONDS_PER_DAY) for days in RECENT_DAYS]
    distinct = np.diff(item_counts(users).indptr)
    return cast(Matrix, np.log1p(np.column_stack([count, visits, days, distinct, recency, tenure, between, *recent])))


def _value(users: Sequences) -> Matrix:
    """Signed logarithms: refunds make an amount negative."""
    owner, n = users.owner, users.users
    value = np.bincount(owner, np.nan_to_num(np.asarray(users["value"], np.float64)), n)
    quantity = np.bincount(owner, np.nan_to_num(np.asarray(users["quantity"], np.float64)), n)
    per_event = value / np.maximum(np.diff(users.offsets), 1)
    columns = np.column_stack([value, per_event, quantity])
    return np.sign(columns) * np.log1p(np.abs(columns))


def _clock(users: Sequences) -> Matrix:
    """Shares of the user's events by three hours of the day and by weekday, in UTC."""
    time, owner, n = np.asarray(users["time"]), users.owner, users.users
    hours = time % SECONDS_PER_DAY // (SECONDS_PER_DAY // HOUR_BINS)
    weekdays = (time // SECONDS_PER_DAY + 3) % 7  # 1970-01-01 was a Thursday
    shares = np.zeros((n, HOUR_BINS + 7))
    np.add.at(shares, (owner, hours), 1)
    np.add.at(shares, (owner, HOUR_BINS + weekdays), 1)
    return cast(Matrix, shares / np.maximum(np.diff(users.offsets), 1)[:, None])


def _code_counts(users: Sequences, field: str, width: int) -> Matrix:
    codes = np.asarray(users[field]).astype(np.int64)
    counted = (codes > 0) & (codes <= width)
    counts = np.zeros((users.users, width))
    np.add.at(counts, (users.owner[counted], codes[counted] - 1), 1)
    return np.log1p(counts)


def _profile(users: Sequences, width: int) -> Matrix:
    offsets, codes = users.profile
    flags = sparse.csr_matrix((np.ones(len(codes)), codes, offsets), shape=(users.users, width))
    return cast(Matrix, flags.toarray())


def _count(owner: Rows, n: int, which: Flags) -> Rows:
    return np.bincount(owner[which], minlength=n)

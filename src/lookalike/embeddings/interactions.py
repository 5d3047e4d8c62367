"""TODO"""

from typing import Any

import numpy as np
from scipy import sparse

from lookalike.data.sequences import Sequences, Vocabulary

MAX_SAMPLED_USERS, MAX_SAMPLED_EVENTS = 100_000, 10_000_000


NEGLIGIBLE = 1e-6  # beside lengths and singular values of about 1


def sample_users(sequences: Sequences, seed: int) -> Sequences:
    """At most 100,000 users, with at most ten million events if they are more than one, to fit columns and directions on."""
    rows = np.random.default_rng([seed, 7]).permutation(sequences.users)[:MAX_SAMPLED_USERS]
    events = np.cumsum(np.diff(sequences.offsets)[rows])
    return sequences.take(np.sort(rows[: max(1, int(np.searchsorted(events, MAX_SAMPLED_EVENTS, side="right")))]))


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

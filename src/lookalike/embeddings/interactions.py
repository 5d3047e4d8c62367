"""Who met which item: the sparse matrices that content, aggregates and baselines are computed from."""

from typing import Any

import numpy as np
from scipy import sparse

from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.workspace.random_streams import Stream, generator

MAX_SAMPLED_USERS, MAX_SAMPLED_EVENTS = 100_000, 10_000_000
NEGLIGIBLE = 1e-6  # compared with lengths and singular values of about 1


def sample_users(sequences: Sequences, random_seed: int) -> Sequences:
    """A random sample of users to fit columns and directions on: at most 100,000 users and ten million events.

    A single user may have more events than that.
    """
    rows = generator(random_seed, Stream.FEATURE_SAMPLE).permutation(sequences.users)[:MAX_SAMPLED_USERS]
    events = np.cumsum(np.diff(sequences.offsets)[rows])
    count = max(1, int(np.searchsorted(events, MAX_SAMPLED_EVENTS, side="right")))
    return sequences.take(np.sort(rows[:count]))


def unit_rows(rows: Any) -> Any:
    """The rows of a dense or sparse matrix scaled to length 1; rows of zeros stay zero."""
    lengths = sparse.linalg.norm(rows, axis=1) if sparse.issparse(rows) else np.linalg.norm(rows, axis=1)
    scale = 1 / np.where(lengths > 0, lengths, 1)
    return sparse.diags(scale) @ rows if sparse.issparse(rows) else rows * scale[:, None]


def item_indicator(vocabulary: Vocabulary) -> sparse.csr_matrix:
    """1 where an item has an attribute, [V, attributes]."""
    offsets, codes = vocabulary.item_attributes
    shape = (len(vocabulary.items), len(vocabulary.attributes))
    return sparse.csr_matrix((np.ones(len(codes)), codes, offsets), shape=shape)


def item_counts(users: Sequences, items: int | None = None) -> sparse.csr_matrix:
    """How often each user met each item, [users, V]; with `items` only the first so many items have a column."""
    item = np.asarray(users["item"])
    counted = item >= 0 if items is None else (item >= 0) & (item < items)
    width = items if items is not None else (int(item.max(initial=-1)) + 1)
    owner = users.owner[counted]
    counts = sparse.csr_matrix((np.ones(len(owner)), (owner, item[counted])), shape=(users.users, width))
    counts.sum_duplicates()
    return counts

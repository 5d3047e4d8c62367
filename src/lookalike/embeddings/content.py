"""TODO"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lookalike.data.arrays import Matrix
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.interactions import NEGLIGIBLE, item_counts, item_indicator, unit_rows


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

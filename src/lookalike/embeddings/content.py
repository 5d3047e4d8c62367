"""The `content` block: TF-IDF of the items a user met and of their attributes, reduced by a truncated SVD."""

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
    """The fitted weights and directions. I items and A attributes are terms; D is the width.

    Of the catalogue's V items the first I, the most common, are terms of their own; the others count by their attributes.
    """

    indicator: sparse.csr_matrix  # [V, A]
    idf: NDArray[np.float32]  # [I + A]
    components: NDArray[np.float32]  # [I + A, D]

    @property
    def items(self) -> int:
        """I, the number of items that are terms."""
        return len(self.idf) - int(self.indicator.shape[1])

    @property
    def width(self) -> int:
        return int(self.components.shape[1])

    def transform(self, users: Sequences) -> Matrix:
        """Unit vectors [users, D]; zeros for users without a known term."""
        if not users.users:
            return np.zeros((0, self.width), np.float32)
        reduced = _tfidf(users, self.indicator, self.idf) @ self.components
        # scaled to unit length, the rounding errors of a user with no fitted term would be a random direction
        reduced[np.linalg.norm(reduced, axis=1) < NEGLIGIBLE] = 0
        return cast(Matrix, unit_rows(reduced).astype(np.float32))


def fit_content(sample: Sequences, vocabulary: Vocabulary, width: int, random_seed: int) -> Content:
    """Fits the weights and at most `width` directions to a sample of users."""
    indicator = item_indicator(vocabulary)
    terms = vocabulary.common + indicator.shape[1]
    counts = item_counts(sample, len(vocabulary.items))
    halves = (counts[:, : vocabulary.common], counts @ indicator)
    support = np.concatenate([np.asarray((half > 0).sum(axis=0)).ravel() for half in halves])
    idf = np.log((1 + sample.users) / (1 + support)) + 1
    weighted = _tfidf(sample, indicator, idf)
    width = min(width, terms - 1, sample.users - 1)
    if width < 2 or not weighted.nnz:  # too few items, users or events to reduce
        return Content(indicator, idf.astype(np.float32), np.zeros((terms, 1), np.float32))
    from sklearn.decomposition import TruncatedSVD  # slow to import, and embedding with a stored run does not need it

    with np.errstate(
        invalid="ignore", divide="ignore"
    ):  # of equal users no variance can be explained, and nobody asks for its share
        svd = TruncatedSVD(width, n_iter=4, random_state=random_seed).fit(weighted)
    # with fewer independent terms than columns, the directions beyond them are arbitrary
    significant = svd.singular_values_ >= NEGLIGIBLE * svd.singular_values_.max()
    # in the precision of the stored run, so that a loaded run gives the same bytes
    return Content(indicator, idf.astype(np.float32), svd.components_[significant].T.astype(np.float32))


def _tfidf(users: Sequences, indicator: sparse.csr_matrix, idf: NDArray[np.floating[Any]]) -> sparse.csr_matrix:
    """Log counts times idf, [users, I + A]; items and attributes are scaled to unit length each, to weigh the same."""
    counts = item_counts(users, indicator.shape[0])
    halves, items = [], len(idf) - indicator.shape[1]
    for part, weights in ((counts[:, :items], idf[:items]), (counts @ indicator, idf[items:])):
        weighted = part.astype(np.float64)
        weighted.data = np.log1p(weighted.data)
        weighted = weighted @ sparse.diags(weights)
        halves.append(unit_rows(weighted))
    return sparse.hstack(halves, format="csr")

"""Whether a seed is a picked part of those who have done it: buyers of one country, or the best customers.

The log names more doers than a client's list, and all of them teach. Where the list was picked, most of them are not what
is looked for: then they count a tenth. On picked parts of audiences at inner cuts the list became 1.17, 1.14 and 0.96 times
as good (online_retail, complete_journey, toys); parts at random are not taken for picked ones.
"""

import numpy as np

from lookalike.data.arrays import Floats, Matrix
from lookalike.embeddings.linear import Standardised, ridge_logistic
from lookalike.expansion.scorers.training_sample import Rng

MAX_COMPARED = 1_000  # of the seeds, and of the other doers
MIN_COMPARED = 25
FOLDS = 4
RIDGE = 300.0
# Standard errors of the rank sum; the largest of 90 parts at random had 3.1, the smallest of 57 picked ones 6.3
PICKED_FROM = 4.0
OTHERS_WEIGHT = 0.1  # of another doer beside a seed, if the seed is picked


def is_picked(seed: Matrix, others: Matrix, rng: Rng) -> bool:
    """Whether the seeds [M, W] are told from the other doers [T, W] by a logistic regression that has seen neither."""
    seed, others = (rows[rng.permutation(len(rows))[:MAX_COMPARED]] for rows in (seed, others))
    if min(len(seed), len(others)) < MIN_COMPARED:
        return False
    scores = _held_out_scores(Standardised.of(np.vstack([seed, others]))(np.vstack([seed, others])), len(seed), rng)
    # Mann and Whitney 1947; no two scores are equal
    won = np.searchsorted(np.sort(scores[len(seed) :]), scores[: len(seed)]).sum()
    pairs = len(seed) * len(others)
    deviation = np.sqrt(pairs * (len(seed) + len(others) + 1) / 12)
    return bool(won - pairs / 2 > PICKED_FROM * deviation)


def _held_out_scores(rows: Floats, seeds: int, rng: Rng) -> Floats:
    """Of each row, by weights that were fitted without its fold; the first rows are seeds. Both groups weigh the same."""
    count = len(rows)
    is_seed = np.arange(count) < seeds
    weight = np.where(is_seed, count / seeds, count / (count - seeds)) / 2
    fold = np.concatenate([rng.permutation(np.arange(n) % FOLDS) for n in (seeds, count - seeds)])
    fitted = fold != np.arange(FOLDS)[:, None]  # [FOLDS, n]
    weights = ridge_logistic(rows, is_seed.astype(float), fitted * weight, np.full(FOLDS, RIDGE))
    scores: Floats = np.einsum("nw,nw->n", rows, weights[fold])
    return scores

"""What a ranking of held-out people is worth, person by person: their parts of NDCG, and their log-losses.

Arrays in, arrays out; no randomness. A quantile is the share of all who are ranked that ranks before somebody.
"""

import numpy as np
from scipy.special import expit, logit

from lookalike.data.arrays import Flags, Floats

MAX_STEP = 1.0  # of Newton's method, in log odds
MAX_ODDS = 30.0  # people who are told apart without a fault
STEPS = 50
TOLERANCE = 1e-6


def ndcg_parts(quantiles: Floats, ranked: int, share: float) -> Floats:
    """What each of m held-out people adds to NDCG in the first `share` of all who are ranked, times m, [m]; the mean is NDCG.

    The gain of a held-out person is 1 and of anybody else 0; the discount of rank r is 1 / log2(1 + r) (Järvelin and
    Kekäläinen 2002).
    """
    held = len(quantiles)
    ideal = (1 / np.log2(2 + np.arange(max(1, min(held, round(share * ranked)))))).sum()
    discount = 1 / np.log2(2 + quantiles * ranked)
    parts: Floats = np.where(quantiles < share, discount, 0.0) * held / ideal
    return parts


def log_losses(held: Floats, pool: Floats) -> tuple[Floats, Floats]:
    """The log-loss of each held-out person [m] and of each other one [p], by scores that are log odds but for scale and constant.

    These two are fitted to the same people (Platt 1999), since a ridge shrinks odds and a sample changes how rare people
    are: a score is judged by whom it tells apart. A score that ranks the wrong way round tells nothing.
    """
    scores, positives = np.concatenate([held, pool]), len(held)
    scale, constant = _platt(scores, np.arange(len(scores)) < positives)
    odds = scale * scores + constant
    return np.logaddexp(0, -odds[:positives]), np.logaddexp(0, odds[positives:])


def log_loss_of_none(held: int, pool: int) -> float:
    """The mean log-loss of telling nobody apart: the entropy of the share of held-out people."""
    rate = held / (held + pool)
    return float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))) if 0 < rate < 1 else 0.0


def _platt(scores: Floats, y: Flags) -> tuple[float, float]:
    """Scale and constant of the most likely log odds; Newton's method with short steps, which cannot run away."""
    rate, spread = float(y.mean()), float(scores.std())
    if rate in (0.0, 1.0) or spread < 1e-12:
        return 0.0, float(logit(np.clip(rate, 1e-12, 1 - 1e-12)))
    mean = float(scores.mean())
    x = (scores - mean) / spread
    columns = np.stack([x, np.ones(len(x))])  # [2, n]
    weights = np.array([0.0, float(logit(rate))])
    for _ in range(STEPS):
        probability = expit(weights @ columns)
        gradient = columns @ (y - probability)
        hessian = (columns * (probability * (1 - probability))) @ columns.T + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -MAX_STEP, MAX_STEP)
        weights = np.clip(weights + step, -MAX_ODDS, MAX_ODDS)
        if np.abs(step).max() < TOLERANCE:
            break
    if weights[0] <= 0:
        return 0.0, float(logit(rate))
    return float(weights[0] / spread), float(weights[1] - weights[0] * mean / spread)

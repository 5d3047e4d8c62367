"""TODO"""

from typing import cast

import numpy as np

from lookalike.data.arrays import Floats, Matrix
from lookalike.expansion.scorers.logistic import Standardised
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.scorers.training_sample import NEGATIVE_WEIGHT, Rng, TrainingSample, fit_rows

# --- by what sets the seed apart -------------------------------------------------------------------------------------

WHITENING = 30.0


def background(taught: TrainingSample, rng: Rng) -> Score:
    """The seed's mean minus the background's, in columns of which the correlation is partly taken out (Fisher 1936).

    What everybody does has no say (Pinterest corrects a seed's affinities so). The covariance of standardised columns is
    held back by adding 30 to its diagonal: with hundreds of columns and few seeds a full correction is noise.
    """
    scale = Standardised.of(taught.background)
    rows = scale(taught.background[fit_rows(taught, rng)])
    apart = taught.weight @ scale(taught.seed) / taught.weight.sum() - rows.mean(axis=0)
    if len(taught.against):
        apart -= NEGATIVE_WEIGHT * (scale(taught.against).mean(axis=0) - rows.mean(axis=0))
    covariance = rows.T @ rows / len(rows)
    return scale.unscaled(np.linalg.solve(covariance + WHITENING * np.eye(len(apart)), apart))


PRIOR_USERS = 10.0


def logodds(taught: TrainingSample, rng: Rng) -> Score:
    """Sum over what a user has of how much more common it is in the seed (Yahoo's weighted criteria, arXiv:1602.01820).

    A column counts as had where it is above 0. A seed's rates are drawn towards the background's by ten users' worth.
    """
    usual = ((taught.background > 0).sum(axis=0) + 0.5) / (len(taught.background) + 1)
    weights = _log_odds(taught.seed, taught.weight, usual)
    if len(taught.against):
        weights -= NEGATIVE_WEIGHT * _log_odds(taught.against, np.ones(len(taught.against)), usual)
    return lambda block: (block > 0).astype(np.float64) @ weights


def _log_odds(people: Matrix, weight: Floats, usual: Floats) -> Floats:
    rate = (weight @ (people > 0) + PRIOR_USERS * usual) / (weight.sum() + PRIOR_USERS)
    return cast(Floats, np.log(rate / usual) - np.log((1 - rate) / (1 - usual)))

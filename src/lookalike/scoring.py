"""Scorers: ways to rank candidates against a seed.

A scorer is `fit(taught, rng) -> (block [n, W] -> scores [n])`. Higher is more alike; a score has no unit. Whatever it
learns, it learns from the samples in `Taught`; the candidates are then streamed past it in blocks. One that also reads
what the log's own audiences taught is `fit(taught, rng, prior)`.

To add one: a function and a line in `SCORERS`, with the blocks of columns it reads. The contract tests, the bake-off and
the report then cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from lookalike.linear import Linear, Matrix, Prior, Standardised, best_ridge, ranking, ridge_logistic
from lookalike.orders import Balanced, RankAverage, Score, Scores

Rng = np.random.Generator


@dataclass(frozen=True)
class Taught:
    """What a scorer learns from, each a sample of users with the same columns."""

    seed: Matrix  # [M, W]
    background: Matrix  # [P, W]: of everybody eligible, seeds among them
    weight: Scores  # [M]: how much each seed counts, 1 on average
    against: Matrix  # [K, W]: people of whom fewer are wanted; often none
    group: NDArray[np.int64] | None = None  # [M]: the sub-audience of each seed, where their shares are to be kept
    seed_of: NDArray[np.int64] | None = None  # [P]: the place in `seed` of a background row that is one, else -1

    @property
    def mean(self) -> Scores:
        """Of the seed, [W], by weight."""
        middle: Scores = self.weight @ self.seed.astype(np.float64) / self.weight.sum()
        return middle

    @property
    def others(self) -> NDArray[np.bool_]:
        """Who of the background is no seed, [P]; everybody where that is not known."""
        return np.ones(len(self.background), bool) if self.seed_of is None else self.seed_of < 0

    def part(self, seeds: NDArray[np.bool_], rows: NDArray[np.bool_] | None = None) -> "Taught":
        """With some of the seeds alone, who leave the background too, and of that with some rows alone."""
        stays = np.ones(len(self.background), bool) if rows is None else rows.copy()
        seed_of = None
        if self.seed_of is not None:
            stays &= self.others | seeds[self.seed_of]
            place = np.append(np.where(seeds, np.cumsum(seeds) - 1, -1), -1)  # the last is of those who are none
            seed_of = place[self.seed_of[stays]]
        group = None if self.group is None else self.group[seeds]
        background = self.background[stays]
        return Taught(self.seed[seeds], background, self.weight[seeds], self.against, group, seed_of)

    def __getitem__(self, columns: NDArray[np.int64]) -> "Taught":
        parts = (self.seed[:, columns], self.background[:, columns], self.weight, self.against[:, columns])
        return Taught(*parts, self.group, self.seed_of)


AWAY = 0.5  # how much of the likeness to those of whom fewer are wanted is taken off (Rocchio 1971)

# --- by the vectors alone --------------------------------------------------------------------------------------------


def centroid(taught: Taught, rng: Rng) -> Score:
    """Dot product with the mean of the seed's unit vectors, made unit length again."""
    middle = _unit(taught.mean)
    if len(taught.against):
        middle = _unit(middle - AWAY * _unit(taught.against.mean(axis=0, dtype=np.float64)))
    return Linear(middle)


CLUSTERS = (2, 4, 8)
SEEDS_PER_CLUSTER = 12
SHARPNESS = 10.0


def centroids(taught: Taught, rng: Rng) -> Score:
    """Soft maximum of the dot products with the centres of the seed's clusters (RALM's clusters of a seed, KDD 2019).

    How many clusters there are is chosen by how well they rank a part of the seed that they were not made from.
    """
    seed, background = taught.seed, taught.background
    apart = rng.permutation(len(seed)) < len(seed) // 4
    able = [count for count in CLUSTERS if count * SEEDS_PER_CLUSTER <= (~apart).sum()]
    tried = {n: SoftMaximum.of(seed[~apart], taught.weight[~apart], n) for n in (1, *able)} if able else {}
    worth = {n: ranking(score(seed[apart]), score(background)) for n, score in tried.items()}
    best = SoftMaximum.of(seed, taught.weight, max(worth, key=lambda n: worth[n], default=1))
    return Away(best, SoftMaximum.of(taught.against, np.ones(len(taught.against)), 1)) if len(taught.against) else best


@dataclass(frozen=True)
class SoftMaximum:
    """log Σ exp(sharpness · block · centre) over the centres [K, W]: the nearest counts most."""

    centres: Scores

    @classmethod
    def of(cls, seed: Matrix, weight: Scores, count: int) -> "SoftMaximum":
        if count == 1:
            return cls(_unit(weight @ seed.astype(np.float64))[None])
        means = faiss.Kmeans(seed.shape[1], count, niter=20, nredo=3, seed=1, spherical=True, min_points_per_centroid=1)
        means.train(np.ascontiguousarray(seed, np.float32), weights=weight.astype(np.float32))
        return cls(np.asarray(means.centroids, np.float64))

    def __call__(self, block: Matrix) -> Scores:
        near = block.astype(np.float64, copy=False) @ self.centres.T
        return cast(Scores, logsumexp(SHARPNESS * near, axis=1) / SHARPNESS)


NEAREST = 5
MOST_NEIGHBOURS = 2_000


@dataclass(frozen=True)
class Away:
    """One score less a part of another."""

    to: Score
    off: Score

    def __call__(self, block: Matrix) -> Scores:
        return self.to(block) - AWAY * self.off(block)


def neighbours(taught: Taught, rng: Rng) -> Score:
    """Mean dot product with the five nearest seeds; of a large seed, of a sample of it, drawn by weight."""
    near = _near(taught.seed, taught.weight, rng)
    return Away(near, _near(taught.against, np.ones(len(taught.against)), rng)) if len(taught.against) else near


def _near(people: Matrix, weight: Scores, rng: Rng) -> Score:
    keys = rng.exponential(size=len(people)) / weight  # the smallest are a sample by weight (Efraimidis and Spirakis)
    rows = np.sort(np.argsort(keys, kind="stable")[:MOST_NEIGHBOURS])
    kept, closer = people[rows].astype(np.float64), np.log(weight[rows]) / SHARPNESS
    first = min(NEAREST, len(kept))

    def score(block: Matrix) -> Scores:
        near = block.astype(np.float64, copy=False) @ kept.T + closer
        return cast(Scores, np.partition(near, len(kept) - first, axis=1)[:, len(kept) - first :].mean(axis=1))

    return score


# --- by what sets the seed apart -------------------------------------------------------------------------------------

WHITENING = 30.0
FIT_ROWS = 5_000  # background rows a fit reads, or ten a seed where that is more


def background(taught: Taught, rng: Rng) -> Score:
    """The seed's mean minus the background's, in columns of which the correlation is partly taken out (Fisher 1936).

    What everybody does has no say (Pinterest corrects a seed's affinities so). The covariance of standardised columns is
    held back by adding 30 to its diagonal: with hundreds of columns and few seeds a full correction is noise.
    """
    scale = Standardised.of(taught.background)
    rows = scale(taught.background[_some(taught, rng)])
    apart = taught.weight @ scale(taught.seed) / taught.weight.sum() - rows.mean(axis=0)
    if len(taught.against):
        apart -= AWAY * (scale(taught.against).mean(axis=0) - rows.mean(axis=0))
    covariance = rows.T @ rows / len(rows)
    return scale.unscaled(np.linalg.solve(covariance + WHITENING * np.eye(len(apart)), apart))


DOUBT = 10.0


def logodds(taught: Taught, rng: Rng) -> Score:
    """Sum over what a user has of how much more common it is in the seed (Yahoo's weighted criteria, arXiv:1602.01820).

    A column counts as had where it is above 0. A seed's rates are drawn towards the background's by ten users' worth.
    """
    usual = ((taught.background > 0).sum(axis=0) + 0.5) / (len(taught.background) + 1)
    weights = _log_odds(taught.seed, taught.weight, usual)
    if len(taught.against):
        weights -= AWAY * _log_odds(taught.against, np.ones(len(taught.against)), usual)
    return lambda block: (block > 0).astype(np.float64) @ weights


def _log_odds(people: Matrix, weight: Scores, usual: Scores) -> Scores:
    rate = (weight @ (people > 0) + DOUBT * usual) / (weight.sum() + DOUBT)
    return cast(Scores, np.log(rate / usual) - np.log((1 - rate) / (1 - usual)))


def logistic(taught: Taught, rng: Rng) -> Score:
    """Log odds of being a seed user and not a background user, with a ridge on standardised columns.

    The background is drawn from all eligible users, so the odds are a density ratio (case-control sampling: King and
    Zeng 2001); its hidden look-alikes only shrink them. The ridge is chosen by how well held-out seeds are ranked.
    """
    scale, x, y, weight = _standardised(taught, rng)
    ridge = best_ridge(x, y, weight, rng)
    return scale.unscaled(ridge_logistic(x, y, weight[None], np.array([ridge]))[0])


def transfer(taught: Taught, rng: Rng, prior: Prior) -> Score:
    """`logistic` with a prior over its weights that was learnt from the log's own audiences.

    Few seeds cannot tell hundreds of columns apart; the audiences of the past say which matter in this log, and in which
    way they go together (empirical Bayes over campaigns; MetaHeac, arXiv:2105.14688, shares across them by a network).
    """
    scale, x, y, weight = _standardised(taught, rng)
    root = prior.root
    # in columns turned by it the prior is a ridge of 1; how far to trust it cannot be told better from a small seed
    own = ridge_logistic(x @ root, y, weight[None], np.ones(1), x @ prior.mean)[0]
    return scale.unscaled(prior.mean + root @ own)


def boosted(taught: Taught, rng: Rng) -> Score:
    """Log odds by gradient-boosted trees, seed and background weighing the same. They need hundreds of seeds."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, and seldom needed
    from threadpoolctl import threadpool_limits

    x, y, weight = _classes(taught, taught.background[_some(taught, rng)])
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=100, max_leaf_nodes=8, min_samples_leaf=10, class_weight="balanced",
        early_stopping=False, random_state=int(rng.integers(2**31)),
    )  # fmt: skip

    def score(block: Matrix) -> Scores:
        with threadpool_limits(1, "openmp"):
            return cast(Scores, trees.decision_function(block).astype(np.float64))

    with threadpool_limits(1, "openmp"):  # folds are spread over threads already
        trees.fit(x, y, sample_weight=weight)
    return score


def _standardised(taught: Taught, rng: Rng) -> tuple[Standardised, Scores, Scores, Scores]:
    """The scale, and the standardised columns, classes and weights of what a fit reads."""
    scale = Standardised.of(taught.background)
    return scale, *_classes(taught, taught.background[_some(taught, rng)], scale)


def _classes(
    taught: Taught, rows: Matrix, scale: Callable[[Matrix], Any] = lambda block: block
) -> tuple[Any, Scores, Scores]:
    """Columns, classes and weights: the seed, some of the background, and those of whom fewer are wanted beside it.

    The last weigh together as much as the seed, or each as one seed where they are fewer.
    """
    seeds, rest, away = len(taught.seed), len(rows), len(taught.against)
    parts = [scale(taught.seed), scale(rows), *([scale(taught.against)] if away else [])]
    y = np.repeat([1.0, 0.0, 0.0], [seeds, rest, away])
    weight = np.concatenate([taught.weight, np.ones(rest), np.full(away, min(1.0, seeds / max(1, away)))])
    return np.vstack(parts), y, weight


def _some(taught: Taught, rng: Rng) -> NDArray[np.int64]:
    return rng.permutation(len(taught.background))[: max(FIT_ROWS, 10 * len(taught.seed))]


def _unit(vector: Scores) -> Scores:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


# --- registry and ensemble -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    """`blocks` are those of the representation, or `counted`: the aggregates that say what somebody has met."""

    fit: Callable[..., Score]
    blocks: tuple[str, ...]
    needs_prior: bool = False
    tried: bool = True  # by `auto`


# the sequence block holds the content of a history too: with both, each would be shrunken half as much
LEARNT_AND_COUNTED = ("sequence", "aggregates")
SCORERS: dict[str, Scorer] = {
    "centroid": Scorer(centroid, ("sequence",)),
    "centroids": Scorer(centroids, ("sequence",)),
    "neighbours": Scorer(neighbours, ("sequence",)),
    "background": Scorer(background, LEARNT_AND_COUNTED),
    "logodds": Scorer(logodds, ("counted",)),
    "logistic": Scorer(logistic, LEARNT_AND_COUNTED),
    "transfer": Scorer(transfer, LEARNT_AND_COUNTED, needs_prior=True),
    "boosted": Scorer(boosted, LEARNT_AND_COUNTED, tried=False),  # slow, and behind logistic on every log measured
}
# Rank averages of other scorers: name -> members.
ENSEMBLES: dict[str, tuple[str, ...]] = {"ensemble": ("centroid", "logistic")}
NAMES = (*SCORERS, *ENSEMBLES)


@dataclass(frozen=True)
class Space:
    """What the columns of a representation are: where some blocks stand, and the prior over weights, where one was learnt.

    The prior is over the columns of `LEARNT_AND_COUNTED`.
    """

    columns: Callable[[tuple[str, ...]], NDArray[np.int64]]
    prior: Prior | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The scorers that can be fitted here."""
        able = [n for n, one in SCORERS.items() if len(self.columns(one.blocks))]
        able = [n for n in able if not (SCORERS[n].needs_prior and self.prior is None)]
        return (*able, *(n for n, members in ENSEMBLES.items() if set(members) <= set(able)))


def fit_all(names: tuple[str, ...], space: Space, taught: Taught, rng: Rng) -> dict[str, Score]:
    """Every named scorer, each base one fitted once; balanced where the seed's sub-audiences are given."""
    needed = [name for name in SCORERS if name in names or any(name in ENSEMBLES.get(n, ()) for n in names)]
    fitted: dict[str, Score] = {}
    chance = int(rng.integers(2**32))
    for name in needed:
        scorer, at = SCORERS[name], space.columns(SCORERS[name].blocks)
        given: dict[str, Any] = {"prior": space.prior} if scorer.needs_prior else {}
        own = np.random.default_rng([chance, *name.encode()])  # so that no scorer hangs on which others are fitted
        fitted[name] = Selected(at, scorer.fit(taught[at], own, **given))
    for name, members in ENSEMBLES.items():
        if name in names:
            weights = _member_weights(members, space, taught, np.random.default_rng([chance, *name.encode()]))
            fitted[name] = RankAverage.of(tuple(fitted[member] for member in members), taught.background, weights)
    if taught.group is not None:
        return {name: _balanced(fitted[name], taught, space.columns(("sequence",))) for name in names}
    return {name: fitted[name] for name in names}


APART = 4  # one seed in so many is held apart to weigh the members of an ensemble
EQUAL = 50.0  # seeds' worth by which their weights are drawn towards equal
HEAD = 0.1


def _member_weights(members: tuple[str, ...], space: Space, taught: Taught, rng: Rng) -> Scores:
    """Of an ensemble's members, by the lift each has on a part of the seed it was not fitted on; 1 together."""
    equal = np.full(len(members), 1 / len(members))
    apart = rng.permutation(len(taught.seed)) < len(taught.seed) // APART
    if not apart.any():
        return equal
    rest = replace(taught.part(~apart), group=None)
    fitted = fit_all(members, space, rest, rng)
    border = {name: np.quantile(score(taught.background), 1 - HEAD) for name, score in fitted.items()}
    hits = [score(taught.seed[apart]) > border[name] for name, score in fitted.items()]
    found = np.array([np.average(hit, weights=taught.weight[apart]) for hit in hits])
    trust = float(apart.sum() / (apart.sum() + EQUAL)) if found.any() else 0.0
    weights: Scores = trust * found / max(found.sum(), 1e-12) + (1 - trust) * equal
    return weights


def _balanced(score: Score, taught: Taught, vectors: NDArray[np.int64]) -> Score:
    assert taught.group is not None
    crowd = taught.background[taught.others]
    groups = [taught.seed[taught.group == one][:, vectors] for one in np.unique(taught.group)]
    return Balanced.of(score, score(crowd), (crowd[:, vectors], groups), vectors)


@dataclass(frozen=True)
class Selected:
    """A scorer that reads some of the columns."""

    columns: NDArray[np.int64]
    score: Score

    def __call__(self, block: Matrix) -> Scores:
        return self.score(block[:, self.columns])


def columns_read(score: Score, width: int) -> NDArray[np.int64]:
    """The columns, of all `width`, that a scorer reads, ascending: all of them where it does not say."""
    if isinstance(score, Selected):
        return np.unique(score.columns)
    if isinstance(score, Balanced):
        return np.union1d(columns_read(score.score, width), score.columns)
    if isinstance(score, RankAverage):
        return np.unique(np.concatenate([columns_read(member, width) for member in score.members]))
    return np.arange(width)

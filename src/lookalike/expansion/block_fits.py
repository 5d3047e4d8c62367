"""Whether the encoder pays for a seed: a logistic regression on plain counts, on the user embedding, and on both.

The same seeds are hidden as in the hold-out, and people are read in the same way; all folds are fitted at once, with one
ridge. What one answer has over another is told person by person, so that the interval of the gain is narrower than those
of the two.
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy.special import ndtri

from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.embeddings.ranking_metrics import log_loss_of_none, log_losses, ndcg_parts
from lookalike.encoder.block_figures import BlockComparison, BlockFigures, Interval, worth
from lookalike.expansion import metrics
from lookalike.expansion.curves import BandSettings, EffectiveSample, lift_band
from lookalike.expansion.examples import Examples
from lookalike.expansion.holdout import Fold, folds_of_repeat, rank_quantiles, seen_parts
from lookalike.expansion.scorers.classifiers import ridge_parts
from lookalike.expansion.scorers.logistic import DEFAULT_RIDGE
from lookalike.expansion.seed_checks import MIN_SEEDS
from lookalike.workspace.parallel import thread_pool
from lookalike.workspace.random_streams import Stream, generator
from lookalike.workspace.settings import ExpandSettings

SHARE = 0.05  # of the candidates
BLOCKS = {"aggregates": ("aggregates",), "sequence": ("sequence",), "both": ("sequence", "aggregates")}
DECIMALS = 5  # of a score in single precision, so that equal people have equal ones
REPEATS = 2  # models are compared on the same people, which takes fewer draws than a promise


def compare_blocks(examples: Examples, settings: ExpandSettings) -> BlockComparison | None:
    """The comparison on hidden seeds; None for fewer than 25, or where the embedding is not to be read."""
    columns = {name: examples.space.columns(blocks) for name, blocks in BLOCKS.items()}
    if examples.seeds < MIN_SEEDS or not len(columns["sequence"]) or (examples.seed_index >= 0).all():
        return None
    settings = replace(settings, repeats=min(settings.repeats, REPEATS))
    folds = [fold for repeat in range(settings.repeats) for fold in folds_of_repeat(examples, settings, repeat)]
    answers = dict(
        zip(
            columns,
            thread_pool().map(lambda kept: _answer(examples, kept, folds, settings), columns.values()),
            strict=True,
        )
    )
    bands = BandSettings(settings.confidence, examples.effective_sample(settings.folds))
    return _comparison(answers, bands, _Sizes.of(examples, bands.sample))


@dataclass(frozen=True)
class _Part:
    """A figure, and what each held-out seed and each background user contributes to it."""

    value: float
    seed: Floats  # [M]
    pool: Floats  # [P]

    @classmethod
    def of(cls, seed: Floats, pool: Floats) -> "_Part":
        """A mean over the held-out seeds."""
        return cls(float(seed.mean()), seed, pool)

    def __sub__(self, other: "_Part") -> "_Part":
        return _Part(self.value - other.value, self.seed - other.seed, self.pool - other.pool)


@dataclass(frozen=True)
class _Answer:
    """Where one regression ranks the hidden seeds, and its other figures."""

    quantiles: Floats  # [R, M]
    lift: _Part
    auc: _Part
    log_loss: _Part
    ndcg: _Part


def _answer(examples: Examples, columns: Rows, folds: list[Fold], settings: ExpandSettings) -> _Answer:
    """The regression on some columns, fitted for all folds at once."""
    sample = examples.linear_sample.only(columns)
    weights = ridge_parts(sample, seen_parts(folds), generator(settings.random_seed, Stream.HOLDOUT), DEFAULT_RIDGE)
    seed, pool = (
        (rows @ weights.T.astype(np.float32)).round(DECIMALS) for rows in (sample.seed, sample.background)
    )  # [M, Q], [P, Q]
    count, repeats = len(folds) // settings.repeats, settings.repeats
    is_other = examples.seed_index < 0
    held_out = _HeldOut(*(np.empty((repeats, size)) for size in (len(seed),) * 3 + (len(pool),) * 2))
    for place, fold in enumerate(folds):
        tie_breaks = generator(settings.random_seed, Stream.HOLDOUT, place).random(int(fold.seed.sum()))
        held_out.rank(
            place // count,
            fold,
            (seed[fold.seed, place], pool[fold.background, place]),
            examples.candidates,
            tie_breaks,
        )
    losses = [log_losses(*pair) for pair in zip(held_out.seed_score, held_out.pool_score[:, is_other], strict=True)]
    nothing = np.zeros(int(is_other.sum()))
    return _Answer(
        quantiles=held_out.quantile,
        lift=_Part.of((held_out.quantile < SHARE).mean(axis=0) / SHARE, nothing),
        auc=_Part.of(1 - held_out.quantile.mean(axis=0), held_out.before[:, is_other].mean(axis=0)),
        log_loss=_weighted(*(np.mean(each, axis=0) for each in zip(*losses, strict=True))),
        ndcg=_Part.of(held_out.ndcg.mean(axis=0), nothing),
    )


@dataclass(frozen=True)
class _HeldOut:
    """What is filled in fold by fold, of each repeat."""

    quantile: Floats  # [R, M]
    ndcg: Floats  # [R, M]: parts of NDCG
    seed_score: Floats  # [R, M]
    pool_score: Floats  # [R, P]
    before: Floats  # [R, P]: share of the fold's hidden seeds that rank before a background user

    def rank(self, repeat: int, fold: Fold, scores: tuple[Matrix, Matrix], candidates: int, tie_breaks: Floats) -> None:
        """Fills in a fold by the scores of its hidden seeds and of its background."""
        held, pool = (values.astype(np.float64) for values in scores)
        quantiles = rank_quantiles(held, pool, candidates, tie_breaks)
        ordered = np.sort(held)
        ahead = [len(held) - np.searchsorted(ordered, pool, side) for side in ("left", "right")]
        self.quantile[repeat, fold.seed] = quantiles
        self.ndcg[repeat, fold.seed] = ndcg_parts(quantiles, candidates + len(held), SHARE)
        self.seed_score[repeat, fold.seed], self.pool_score[repeat, fold.background] = held, pool
        self.before[repeat, fold.background] = np.mean(ahead, axis=0) / len(held)


def _weighted(seed: Floats, pool: Floats) -> _Part:
    """The mean of the losses of both, as a sum of the means of either."""
    share = len(seed) / (len(seed) + len(pool))
    return _Part(share * float(seed.mean()) + (1 - share) * float(pool.mean()), share * seed, (1 - share) * pool)


@dataclass(frozen=True)
class _Sizes:
    """How many independent people the contributions are worth."""

    seeds: float
    pool: float

    @classmethod
    def of(cls, examples: Examples, sample: EffectiveSample) -> "_Sizes":
        """Folds share the people they are fitted on, as in every band of a hold-out. A background that is all of the
        candidates has no error."""
        independent = 1 - 1 / cast(int, sample.folds)
        return cls(examples.seeds * independent, sample.pool * independent)


def _comparison(answers: dict[str, _Answer], bands: BandSettings, sizes: _Sizes) -> BlockComparison:
    figures = {}
    for name, answer in answers.items():
        lift = lift_band(answer.quantiles, SHARE, bands)
        figures[name] = BlockFigures(
            lift=Interval(value=lift.value, low=lift.low, high=lift.high),
            auc=_interval(answer.auc, sizes, bands),
            log_loss=_interval(answer.log_loss, sizes, bands),
            ndcg=_interval(answer.ndcg, _at_the_head(answer, bands), bands),
        )
    both, alone = answers["both"], answers["aggregates"]
    head = _at_the_head(both, bands)
    gain = BlockFigures(
        lift=_interval(both.lift - alone.lift, head, bands),
        auc=_interval(both.auc - alone.auc, sizes, bands),
        log_loss=_interval(both.log_loss - alone.log_loss, sizes, bands),
        ndcg=_interval(both.ndcg - alone.ndcg, head, bands),
    )
    return BlockComparison(
        measured=len(both.ndcg.seed),
        **figures,
        gain=gain,
        log_loss_of_none=log_loss_of_none(len(both.log_loss.seed), len(both.log_loss.pool)),
        encoder=worth(gain.lift, figures["both"].lift),
    )


def _at_the_head(answer: _Answer, bands: BandSettings) -> _Sizes:
    """How many seeds figures of the first 5 % are worth: the score at which these end is known from few of the background."""
    seeds = answer.quantiles.shape[1]
    hits = metrics.recall(answer.quantiles, SHARE) * seeds
    return _Sizes(seeds * bands.sample.discount(hits, SHARE), np.inf)


def _interval(part: _Part, sizes: _Sizes, bands: BandSettings) -> Interval:
    """The figure with a normal interval; both kinds of people are drawn (DeLong, DeLong and Clarke-Pearson 1988)."""
    variance = part.seed.var(ddof=1) / sizes.seeds + part.pool.var() / sizes.pool
    half_width = float(ndtri((1 + bands.confidence) / 2) * np.sqrt(variance))
    return Interval(value=part.value, low=part.value - half_width, high=part.value + half_width)

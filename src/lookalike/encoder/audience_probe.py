"""What the user embedding adds to plain counts on audiences drawn from the log, asked as a seed asks it.

From up to 50 members a ridge logistic regression is fitted, on plain counts, on the embedding, and on both; the other
members are looked for. All audiences are fitted at once. Nobody is ranked who was in a fit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtrit

from lookalike.data.arrays import Flags, Floats, Matrix, Rows
from lookalike.embeddings.linear import Standardised, ridge_logistic
from lookalike.embeddings.ranking_metrics import log_loss_of_none, log_losses, ndcg_parts
from lookalike.encoder.block_figures import BlockComparison, BlockFigures, Interval, worth
from lookalike.encoder.pseudo_audiences import LIFT_SHARE, PseudoAudience
from lookalike.workspace.random_streams import Stream, generator

RIDGE: Final = 1_000.0
MAX_SEED = 50  # members that are given
MAX_CONTRAST = 3_000  # users that the members are contrasted with, at most a third of all
MIN_AUDIENCES = 3  # fewer give no interval
CONFIDENCE = 0.95
METRICS = ("lift", "auc", "log_loss", "ndcg")


def compare_blocks(
    aggregates: Matrix, sequence: Matrix, users: Rows, audiences: list[PseudoAudience], random_seed: int
) -> BlockComparison | None:
    """The comparison, with intervals over the audiences; None when too few can be evaluated.

    aggregates [n, W] and sequence [n, D] are the columns of `users`, ascending rows.
    """
    rng = generator(random_seed, Stream.AUDIENCE_PROBE)
    in_contrast = rng.permutation(len(users)) < min(MAX_CONTRAST, len(users) // 3)
    questions = [question for each in audiences if (question := _Question.of(each, users, in_contrast, rng))]
    if len(questions) < MIN_AUDIENCES:
        return None
    blocks = {"aggregates": (aggregates,), "sequence": (sequence,), "both": (sequence, aggregates)}
    measured = {name: _measured(np.hstack(parts), questions, in_contrast) for name, parts in blocks.items()}
    figures = {name: _figures(values) for name, values in measured.items()}
    gain = _figures({name: measured["both"][name] - measured["aggregates"][name] for name in METRICS})
    nothing = [log_loss_of_none(len(each.held), len(each.pool)) for each in questions]
    return BlockComparison(
        measured=len(questions),
        **figures,
        gain=gain,
        log_loss_of_none=float(np.mean(nothing)),
        encoder=worth(gain.lift, figures["both"].lift),
    )


@dataclass(frozen=True)
class _Question:
    """Which members are given, who is looked for, and among whom, as places among the users."""

    seed: Rows
    held: Rows  # shuffled
    pool: Rows  # shuffled
    contrast: Flags  # [n]

    @classmethod
    def of(
        cls, audience: PseudoAudience, users: Rows, in_contrast: Flags, rng: np.random.Generator
    ) -> "_Question | None":
        """None when nobody is left to be found, or nobody to be told from."""
        is_member, has_met = np.isin(users, audience.members), np.isin(users, audience.met)
        members = rng.permutation(np.flatnonzero(is_member))
        others = ~is_member & ~has_met
        seed, held = np.split(members, [min(MAX_SEED, len(members) // 2)])
        pool = rng.permutation(np.flatnonzero(others & ~in_contrast))
        contrast = others & in_contrast
        return cls(seed, held, pool, contrast) if len(seed) and len(pool) and contrast.any() else None


def _measured(columns: Matrix, questions: list[_Question], in_contrast: Flags) -> dict[str, Floats]:
    """The figures [Q] of a logistic regression on these columns, [n, W], by metric."""
    scale = Standardised.of(columns)
    x = (columns - scale.mean.astype(np.float32)) * scale.factor.astype(
        np.float32
    )  # doubles would take twice the memory
    fitted = in_contrast.copy()
    fitted[np.concatenate([each.seed for each in questions])] = True
    rows = np.flatnonzero(fitted)
    y = np.array([np.isin(rows, each.seed) for each in questions], float)
    row_weights = np.maximum(y, np.array([each.contrast[rows] for each in questions], float))
    weights = ridge_logistic(x[rows], y, row_weights, np.full(len(questions), RIDGE))
    scores = x @ weights.T.astype(np.float32)  # [n, Q]
    measured = [
        _answer(scores[each.held, place].astype(np.float64), scores[each.pool, place].astype(np.float64))
        for place, each in enumerate(questions)
    ]
    return dict(zip(METRICS, np.array(measured).T, strict=True))


def _answer(held: Floats, pool: Floats) -> tuple[float, float, float, float]:
    """Lift, AUC, log-loss and NDCG of the scores of those who are looked for [m] and of others [p]."""
    total = len(held) + len(pool)
    rank = np.empty(total)
    # both are shuffled, and every other one of equal scores may be looked for
    scattered = np.argsort(np.concatenate([_evenly(len(held)), _evenly(len(pool))]), kind="stable")
    scores = np.concatenate([held, pool])[scattered]
    rank[scattered[np.argsort(-scores, kind="stable")]] = np.arange(total)
    quantiles = rank[: len(held)] / total
    before = quantiles * total - np.argsort(np.argsort(quantiles))  # others that rank before each
    losses = np.concatenate(log_losses(held, pool))
    return (
        float(np.mean(quantiles < LIFT_SHARE) / LIFT_SHARE),
        float(1 - before.mean() / len(pool)),
        float(losses.mean()),
        float(ndcg_parts(quantiles, total, LIFT_SHARE).mean()),
    )


def _evenly(count: int) -> Floats:
    """Places evenly spread over 0 to 1."""
    places: Floats = (np.arange(count) + 0.5) / count
    return places


def _figures(values: dict[str, Floats]) -> BlockFigures:
    """The mean over audiences of each metric [Q], with a t interval."""
    return BlockFigures(**{name: _interval(each) for name, each in values.items()})


def _interval(values: Floats) -> Interval:
    half_width = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return Interval(value=mean, low=mean - half_width, high=mean + half_width)

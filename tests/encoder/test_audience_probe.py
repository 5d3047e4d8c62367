"""What the embedding adds to plain counts on audiences of a log, where the answer is known."""

import numpy as np
import pytest

from lookalike.data.arrays import Floats, Matrix
from lookalike.encoder import audience_probe
from lookalike.encoder.audience_probe import compare_blocks
from lookalike.encoder.block_figures import Interval, worth
from lookalike.encoder.pseudo_audiences import PseudoAudience

USERS, AUDIENCES = 3_000, 12
NOBODY = np.zeros(0, np.int64)


def audiences_of(taste: Floats, rng: np.random.Generator) -> list[PseudoAudience]:
    """Each audience is drawn from those who are furthest in a direction of taste [n, D] of its own. Rows are 2, 4, 6 ..."""
    rows = 2 * np.arange(len(taste)) + 2
    made = []
    for number in range(AUDIENCES):
        order = np.argsort(-taste[:, number % taste.shape[1]] - rng.normal(0, 0.5, len(taste)))
        members = np.sort(rng.choice(rows[order[: len(rows) // 10]], 120, replace=False))
        made.append(PseudoAudience(members, np.sort(rng.choice(np.setdiff1d(rows, members), 200, replace=False))))
    return made


def compared(aggregates: Matrix, sequence: Matrix, audiences: list[PseudoAudience]):  # type: ignore[no-untyped-def]
    made = compare_blocks(
        aggregates.astype(np.float32), sequence.astype(np.float32), 2 * np.arange(USERS) + 2, audiences, 0
    )
    assert made is not None
    return made


def test_an_embedding_that_alone_knows_the_taste_pays() -> None:
    rng = np.random.default_rng(0)
    taste, noise = rng.standard_normal((2, USERS, 4))
    made = compared(noise, taste, audiences_of(taste, rng))
    assert made.encoder == "pays"
    assert made.measured == AUDIENCES
    assert made.both.lift.low > 2
    assert made.aggregates.lift.value == pytest.approx(1, abs=0.4)
    assert made.gain.auc.low > 0.1
    assert made.gain.log_loss.high < 0
    assert made.gain.ndcg.low > 0
    assert made.both.log_loss.high < made.log_loss_of_none


def test_an_embedding_that_knows_what_counts_know_adds_nothing() -> None:
    rng = np.random.default_rng(1)
    taste, noise = rng.standard_normal((2, USERS, 4))
    made = compared(taste, noise, audiences_of(taste, rng))
    assert made.encoder == "adds_nothing"
    assert made.aggregates.lift.low > 2
    assert made.sequence.lift.value == pytest.approx(1, abs=0.4)
    assert abs(made.gain.auc.value) < 0.02


def test_a_gain_is_the_difference_of_the_means() -> None:
    rng = np.random.default_rng(2)
    taste, noise = rng.standard_normal((2, USERS, 4))
    made = compared(taste + noise, taste, audiences_of(taste, rng))
    for name in ("lift", "auc", "log_loss", "ndcg"):
        both, alone, gain = (getattr(each, name) for each in (made.both, made.aggregates, made.gain))
        assert gain.value == pytest.approx(both.value - alone.value)
        assert both.low < both.value < both.high
        assert gain.high - gain.low < (both.high - both.low) + (alone.high - alone.low)


def test_nobody_is_ranked_who_was_in_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The members that are given, and the contrast; and nobody who had met it before is anywhere."""
    rng = np.random.default_rng(3)
    taste = rng.standard_normal((USERS, 3))
    audiences, users = audiences_of(taste, rng), 2 * np.arange(USERS) + 2
    asked: list[audience_probe._Question] = []
    of = audience_probe._Question.of
    monkeypatch.setattr(audience_probe._Question, "of", lambda *each: asked.append(of(*each)) or asked[-1])
    compared(taste, taste, audiences)
    for question, audience in zip(asked, audiences, strict=True):
        fitted = users[np.concatenate([question.seed, np.flatnonzero(question.contrast)])]
        ranked = users[np.concatenate([question.held, question.pool])]
        assert not np.intersect1d(fitted, ranked).size
        assert not np.intersect1d(np.concatenate([fitted, ranked]), audience.met).size
        assert len(question.seed) == 50
        assert np.array_equal(np.sort(users[np.concatenate([question.seed, question.held])]), audience.members)


def test_scores_without_information_have_a_lift_of_1_and_perfect_ones_the_highest() -> None:
    lift, auc, _, _ = audience_probe._answer(np.zeros(40), np.zeros(760))
    assert (lift, auc) == (pytest.approx(1), pytest.approx(0.5, abs=0.01))
    lift, auc, _, ndcg = audience_probe._answer(np.ones(40), np.zeros(760))
    assert (lift, auc, ndcg) == (20, 1, 1)
    lift, auc, _, ndcg = audience_probe._answer(-np.ones(40), np.zeros(760))
    assert (lift, auc, ndcg) == (0, 0, 0)


def test_of_too_few_audiences_nothing_is_said() -> None:
    rng = np.random.default_rng(4)
    taste = rng.standard_normal((USERS, 3)).astype(np.float32)
    users, audiences = 2 * np.arange(USERS) + 2, audiences_of(taste, rng)
    assert compare_blocks(taste, taste, users, audiences[:2], 0) is None
    assert compare_blocks(taste, taste, users, [PseudoAudience(NOBODY, users)] * 9, 0) is None
    assert compare_blocks(taste, taste, users, audiences, 0) == compare_blocks(taste, taste, users, audiences, 0)


@pytest.mark.parametrize(
    ("low", "high", "lift", "expected"),
    [
        (0.1, 0.9, 1.5, "pays"),
        (0.1, 0.9, 0.9, "adds_nothing"),
        (-0.1, 0.9, 1.5, "adds_nothing"),
        (-0.9, -0.1, 1.5, "costs"),
    ],
)
def test_the_whole_intervals_decide(low: float, high: float, lift: float, expected: str) -> None:
    """Of the gain, and of the lift with the encoder: better than nothing but worse than chance is no gain."""
    gain = Interval(value=(low + high) / 2, low=low, high=high)
    assert worth(gain, Interval(value=lift + 0.5, low=lift, high=lift + 1)) == expected

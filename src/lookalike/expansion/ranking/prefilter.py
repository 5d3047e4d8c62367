"""Rejects users who cannot reach a threshold, by a linear score in single precision whose error is bounded.

The bound. Let w be the weights divided by 2^exponent, so that the largest is between ½ and 1; K columns; x the stored
values; u = 2⁻²⁴. The single-precision sum differs from Σ x w by at most

    (K + 8) u Σ |x| |w|     from rounding the weights (u), from K products and sums in any order, fused or not (K u), and
                            from adding up to three blocks (Higham 2002, section 3.1: γ_K, whose second-order term is
                            below 8 u for K up to 10,000)
    2⁻¹⁴ Σ |w|              where the processor flushes subnormal values, which are below 2⁻¹⁴ here, to zero

and Σ |x| |w| ≤ max |x| Σ |w| in each block. Both terms are doubled, which covers the rounding of the exact score
(K 2⁻⁵³) and underflow (K 2⁻¹²⁶) many times over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings.linear import Linear
from lookalike.expansion.ranking import half_sums
from lookalike.expansion.ranking.half_sums import BlockWeights, ComputeSums, Halves, Singles

MAX_COLUMNS = 10_000
MAX_EXPONENT = 800  # of the weights: with larger ones exact scores could overflow, so all users are scored
MAX_CUTOFF = 2.0**120  # cutoffs are limited to what single precision can hold

Spans = dict[str, tuple[int, int]]  # first and last column of each block among all


@dataclass(frozen=True)
class Survivors:
    """Users whose exact scores may reach a threshold."""

    places: Rows  # ascending, in the block of users
    sums: Singles  # in single precision, over 2^exponent
    max_error: float  # of a sum


@dataclass(frozen=True)
class Prefilter:
    """A linear score of the columns of some blocks, in single precision."""

    weights: BlockWeights  # over 2^exponent; 0 for columns that are not read
    weight_sums: dict[str, float]  # Σ |w| of each block, over 2^exponent
    exponent: int
    offset: float

    @classmethod
    def of(cls, score: Linear, columns: Rows, spans: Spans) -> "Prefilter | None":
        """The prefilter of a score of these columns, or None where the bound does not hold.

        `spans` are those of the blocks that are read.
        """
        largest = float(np.abs(score.weights).max(initial=0.0))
        exponent = int(np.frexp(largest)[1])
        if not 0 < largest < np.inf or abs(exponent) > MAX_EXPONENT:
            return None
        if sum(last - first for first, last in spans.values()) > MAX_COLUMNS or len(set(columns)) < len(columns):
            return None
        all_weights = np.zeros(max(last for _, last in spans.values()))
        all_weights[columns] = score.weights * 2.0**-exponent
        scaled = {block: all_weights[first:last] for block, (first, last) in spans.items()}
        return cls(
            weights={block: w.astype(np.float32) for block, w in scaled.items()},
            weight_sums={block: float(np.abs(w).sum()) for block, w in scaled.items()},
            exponent=exponent,
            offset=score.offset,
        )

    def max_error(self, max_abs: dict[str, float]) -> float:
        """The largest possible error of a sum, over 2^exponent. `max_abs` is the largest absolute value of each block."""
        columns = sum(len(w) for w in self.weights.values())
        errors = ((columns + 8) * 2.0**-24 * max_abs[block] + 2.0**-14 for block in self.weight_sums)
        return 2 * sum(total * error for total, error in zip(self.weight_sums.values(), errors, strict=True))

    def cutoff(self, threshold: float, max_abs: dict[str, float]) -> np.float32:
        """A sum, over 2^exponent and without the offset, below which every exact score is below the threshold."""
        cutoff = (threshold - self.offset) * 2.0**-self.exponent - self._rounding(threshold) - self.max_error(max_abs)
        if not cutoff > -MAX_CUTOFF:  # also when it is NaN
            return np.float32(-np.inf)
        below: np.float32 = np.nextafter(np.float32(min(cutoff, MAX_CUTOFF)), np.float32(-np.inf))
        return below

    def check(self, scores: Floats, survivors: Survivors) -> None:
        """Raises ArithmeticError when exact scores and sums differ by more than the bound.

        The bound is proven for sums in single precision; that this build of FAISS computes them so can only be observed.
        """
        if not len(scores):
            return
        error = np.abs((scores - self.offset) * 2.0**-self.exponent - survivors.sums).max()
        if not error <= survivors.max_error + self._rounding(float(np.abs(scores).max())):
            raise ArithmeticError(f"single-precision sums are off by {error:.3g}: FAISS does not add in that precision")

    def _rounding(self, score: float) -> float:
        """The largest error of a score from adding the offset and subtracting it again, over 2^exponent."""
        return (abs(score) + abs(self.offset)) * 2.0 ** (-50 - self.exponent)


def apply_prefilters(
    prefilters: Sequence[tuple[Prefilter, float]],
    compute_sums: ComputeSums,
    blocks: dict[str, Halves],
    max_abs: dict[str, float],
) -> list[Survivors]:
    """For each prefilter and threshold the users who may reach it.

    `blocks` [n, width] are those that any prefilter reads, and `max_abs` the largest absolute value of each. Raises
    FloatingPointError when a value is NaN or infinite.
    """
    cutoffs = np.array([prefilter.cutoff(threshold, max_abs) for prefilter, threshold in prefilters])
    hits, sums = _sums_above(cutoffs, compute_sums, blocks)
    places, numbers = np.divmod(hits, len(prefilters))
    survivors = []
    for number, (prefilter, _) in enumerate(prefilters):
        chosen = np.flatnonzero(numbers == number) if len(prefilters) > 1 else slice(None)
        survivors.append(Survivors(places[chosen], sums[chosen], prefilter.max_error(max_abs)))
    return survivors


def _sums_above(
    cutoffs: NDArray[np.float32], compute_sums: ComputeSums, blocks: dict[str, Halves]
) -> tuple[Rows, Singles]:
    """The sums that reach the cutoff of their list, and where each is in the table [users, lists], counted by rows."""
    users, parts = len(next(iter(blocks.values()))), []
    for first in range(0, users, half_sums.USERS_PER_STEP):
        step = {block: halves[first : first + half_sums.USERS_PER_STEP] for block, halves in blocks.items()}
        with np.errstate(invalid="ignore"):
            sums = compute_sums(step)  # [users, lists]
        if not np.isfinite(sums).all():  # NaN and infinity propagate to every sum, whatever the weight
            raise FloatingPointError("a stored value is NaN or infinite")
        hits = np.flatnonzero(sums >= cutoffs)
        parts.append((first * len(cutoffs) + hits, sums.ravel()[hits]))
    hits, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return hits, values

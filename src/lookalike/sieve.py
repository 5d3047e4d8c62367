"""Who need not be scored exactly: a linear score in single precision, and the most that it can be off.

FAISS multiplies half-precision columns with single-precision weights as it reads them, at half the time of NumPy's
`X @ w` over singles. NumPy itself would first have to make singles of the halves, which takes three times as long.

The bound. Let w be the weights over 2^exponent, so that the largest lies between ½ and 1; K columns; x the stored figures;
u = 2⁻²⁴. The single-precision sum differs from Σ x w by at most

    (K + 8) u Σ |x| |w|     by rounding the weights (u), by K products and sums in any order, fused or not (K u), and by
                            adding up to three blocks (Higham 2002, section 3.1: γ_K, whose second order is below 8 u
                            for K up to 10,000)
    2⁻¹⁴ Σ |w|              where the processor is told to take subnormal figures for nought, which are below 2⁻¹⁴ here

and Σ |x| |w| ≤ max |x| Σ |w| in every block. Both are doubled, which pays for the exact score's own roundings (K 2⁻⁵³)
and for underflow (K 2⁻¹²⁶) many times over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from lookalike.linear import Floats, Linear

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]
STEP = 4_096  # users looked at at once: more would not stay in the cache of one core
LANES = 8  # FAISS is slow where the columns are no multiple of it
NO_NUMBER = 0x7C00  # the bits of an infinite half; those of NaN are above
MOST_COLUMNS = 10_000
LARGEST_EXPONENT = 800  # of the weights; where sums could overflow, every one has to be looked at


@dataclass(frozen=True)
class Sieve:
    """A linear score of the columns of some blocks, in single precision."""

    weights: dict[str, Singles]  # of each block that is read, over 2^exponent; 0 for columns that are not read
    sums: dict[str, float]  # Σ |w| over 2^exponent, of each block
    exponent: int
    offset: float

    @classmethod
    def of(cls, score: Linear, columns: NDArray[np.int64], spans: dict[str, tuple[int, int]]) -> "Sieve | None":
        """The sieve of a scorer of these columns; None where the bound could not be vouched for.

        `spans` are the first and last column of each block that is read.
        """
        largest = float(np.abs(score.weights).max(initial=0.0))
        exponent = int(np.frexp(largest)[1])
        if not 0 < largest < np.inf or abs(exponent) > LARGEST_EXPONENT:
            return None
        if sum(last - first for first, last in spans.values()) > MOST_COLUMNS or len(set(columns)) < len(columns):
            return None
        whole = np.zeros(max(last for _, last in spans.values()))
        whole[columns] = score.weights * 2.0**-exponent
        scaled = {block: whole[first:last] for block, (first, last) in spans.items()}
        return cls(
            weights={block: w.astype(np.float32) for block, w in scaled.items()},
            sums={block: float(np.abs(w).sum()) for block, w in scaled.items()},
            exponent=exponent,
            offset=score.offset,
        )

    def products(self) -> dict[str, "Products"]:
        """What one thread needs to read each block."""
        return {block: Products(weights) for block, weights in self.weights.items()}

    def off(self, largest: dict[str, float]) -> float:
        """How far a sum can be from the exact one, over 2^exponent. `largest` is the largest figure of each block."""
        columns = sum(len(w) for w in self.weights.values())
        each = ((columns + 8) * 2.0**-24 * largest[block] + 2.0**-14 for block in self.sums)
        return 2 * sum(total * one for total, one in zip(self.sums.values(), each, strict=True))

    def border(self, threshold: float, largest: dict[str, float]) -> np.float32:
        """Below it are only sums, over 2^exponent and without the offset, whose exact score is below the threshold."""
        border = (threshold - self.offset) * 2.0**-self.exponent - self._rounded(threshold) - self.off(largest)
        if not border > -(2.0**120):  # nor where it is no number
            return np.float32(-np.inf)
        below: np.float32 = np.nextafter(np.float32(min(border, 2.0**120)), np.float32(-np.inf))
        return below

    def check(self, scores: Floats, found: "Sifted") -> None:
        """Raises ArithmeticError where exact scores and sums are further apart than they can be.

        The bound is proved for sums in single precision; that this build of FAISS makes them so can only be observed.
        """
        if not len(scores):
            return
        apart = np.abs((scores - self.offset) * 2.0**-self.exponent - found.sums).max()
        if not apart <= found.off + self._rounded(float(np.abs(scores).max())):
            raise ArithmeticError(f"single-precision sums are off by {apart:.3g}: FAISS does not add in that precision")

    def _rounded(self, score: float) -> float:
        """The most that adding the offset, and taking it off again, does to a score; over 2^exponent."""
        return (abs(score) + abs(self.offset)) * 2.0 ** (-50 - self.exponent)


@dataclass(frozen=True)
class Sifted:
    """Those whose exact scores may reach a threshold: their places, ascending, and their sums in single precision.

    `off` is the most that a sum can be from the exact one.
    """

    places: NDArray[np.int64]
    sums: Singles
    off: float


def sift(wanted: Sequence[tuple[Sieve, float, dict[str, "Products"]]], blocks: dict[str, Halves]) -> list[Sifted]:
    """Of each sieve and threshold who may reach it. `blocks` hold what any of the sieves reads, [n, width].

    Raises FloatingPointError where a figure of theirs is NaN or infinite. The products are the thread's own.
    """
    users = len(next(iter(blocks.values())))
    found: list[list[Sifted]] = [[] for _ in wanted]
    for first in range(0, users, STEP):
        parts = {block: halves[first : first + STEP] for block, halves in blocks.items()}
        largest = {block: _largest(part) for block, part in parts.items()}
        for kept, (sieve, threshold, products) in zip(found, wanted, strict=True):
            places, sums = _above(sieve.border(threshold, largest), products, parts)
            kept.append(Sifted(first + places, sums, sieve.off(largest)))
    return [_joined(kept) for kept in found]


def _joined(parts: list[Sifted]) -> Sifted:
    places, sums = (np.concatenate(of) for of in zip(*((part.places, part.sums) for part in parts), strict=True))
    return Sifted(places, sums, max(part.off for part in parts))


def _above(
    border: np.float32, products: dict[str, "Products"], parts: dict[str, Halves]
) -> tuple[NDArray[np.int64], Singles]:
    """The places and sums of those not below the border."""
    if len(products) == 1:
        [(block, product)] = products.items()
        return product.above(parts[block], border)
    sums = np.zeros(len(next(iter(parts.values()))), np.float32)
    for block, product in products.items():
        sums += product.above(parts[block], np.float32(-np.inf))[1]
    places = np.flatnonzero(sums >= border)
    return places, sums[places]


def _largest(halves: Halves) -> float:
    """The largest absolute value. Raises FloatingPointError where one is NaN or infinite."""
    # among halves of one sign the bits are in order, and NaN is above all
    positive, any_sign = int(halves.view(np.int16).max()), int(halves.view(np.uint16).max())
    bits = max(positive, any_sign & 0x7FFF)
    if bits >= NO_NUMBER:
        raise FloatingPointError("a stored figure is NaN or infinite")
    return float(np.uint16(bits).view(np.float16))


class Products:
    """rows · weights in single precision, of finite rows [n, width]. One for each thread."""

    def __init__(self, weights: Singles) -> None:
        self.even = len(weights) - len(weights) % LANES
        self.rest = weights[self.even :]
        if self.even:
            self.query = np.ascontiguousarray(weights[: self.even])  # FAISS keeps its address
            quantizer: Any = faiss.ScalarQuantizer(self.even, faiss.ScalarQuantizer.QT_fp16)
            quantizer.code_size = 2 * len(weights)  # from row to row
            # never freed, a few hundred bytes: to own it (`thisown`) makes SWIG lose count of its types, and crash
            self.scanner = quantizer.select_InvertedListScanner(faiss.METRIC_INNER_PRODUCT, None, False, None, False)
            self.scanner.set_query(faiss.swig_ptr(self.query))
            self.scanner.set_list(0, 0.0)

    def above(self, rows: Halves, border: np.float32) -> tuple[NDArray[np.int64], Singles]:
        """The places and sums of the rows whose sum is not below the border; of all rows where it is -inf."""
        if not len(self.rest):
            return self._scanned(rows, float(np.nextafter(border, np.float32(-np.inf))))
        sums = rows[:, self.even :].astype(np.float32) @ self.rest
        if self.even:
            sums += self._scanned(rows, -np.inf)[1]
        places = np.flatnonzero(sums >= border)
        return places, sums[places]

    def _scanned(self, rows: Halves, border: float) -> tuple[NDArray[np.int64], Singles]:
        """The places, ascending, and the sums over `even` columns of the rows whose sum is above the border."""
        results = faiss.RangeSearchResult(1)
        results.buffer_size = len(rows)
        listed = cast(Any, faiss).RangeSearchPartialResult(results)
        of_one = listed.new_result(0)
        codes, places, sums = rows.view(np.uint8), np.arange(len(rows)), np.empty(len(rows), np.float32)
        self.scanner.scan_codes_range(len(rows), faiss.swig_ptr(codes), faiss.swig_ptr(places), border, of_one)
        listed.copy_range(0, of_one.nres, faiss.swig_ptr(places), faiss.swig_ptr(sums))
        return places[: of_one.nres], sums[: of_one.nres]

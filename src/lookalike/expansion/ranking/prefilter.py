"""Who need not be scored exactly: a linear score in single precision, and the most that it can be off.

FAISS multiplies half-precision columns with single-precision weights as it reads them, at half the time of NumPy's
`X @ w` over singles. For many lists at once it pays to make singles of the halves, once for all, by torch: NumPy takes
four times as long for it.

The bound. Let w be the weights over 2^exponent, so that the largest lies between ½ and 1; K columns; x the stored figures;
u = 2⁻²⁴. The single-precision sum differs from Σ x w by at most

    (K + 8) u Σ |x| |w|     by rounding the weights (u), by K products and sums in any order, fused or not (K u), and by
                            adding up to three blocks (Higham 2002, section 3.1: γ_K, whose second order is below 8 u
                            for K up to 10,000)
    2⁻¹⁴ Σ |w|              where the processor is told to take subnormal figures for nought, which are below 2⁻¹⁴ here

and Σ |x| |w| ≤ max |x| Σ |w| in every block. Both are doubled, which pays for the exact score's own roundings (K 2⁻⁵³)
and for underflow (K 2⁻¹²⁶) many times over.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Floats
from lookalike.expansion.scorers.logistic import Linear

Halves = NDArray[np.float16]


Singles = NDArray[np.float32]


USERS_PER_STEP = 4_096  # users looked at at once: more would not stay in the cache of one core


LANES = 8  # FAISS is slow where the columns are no multiple of it


MAX_COLUMNS = 10_000


LARGEST_EXPONENT = 800  # of the weights; where sums could overflow, every one has to be looked at


@dataclass(frozen=True)
class Prefilter:
    """A linear score of the columns of some blocks, in single precision."""

    weights: dict[str, Singles]  # of each block that is read, over 2^exponent; 0 for columns that are not read
    sums: dict[str, float]  # Σ |w| over 2^exponent, of each block
    exponent: int
    offset: float

    @classmethod
    def of(cls, score: Linear, columns: NDArray[np.int64], spans: dict[str, tuple[int, int]]) -> "Prefilter | None":
        """The sieve of a scorer of these columns; None where the bound could not be vouched for.

        `spans` are the first and last column of each block that is read.
        """
        largest = float(np.abs(score.weights).max(initial=0.0))
        exponent = int(np.frexp(largest)[1])
        if not 0 < largest < np.inf or abs(exponent) > LARGEST_EXPONENT:
            return None
        if sum(last - first for first, last in spans.values()) > MAX_COLUMNS or len(set(columns)) < len(columns):
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

    def check(self, scores: Floats, found: "Survivors") -> None:
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
class Survivors:
    """Those whose exact scores may reach a threshold: their places, ascending, and their sums in single precision.

    `off` is the most that a sum can be from the exact one.
    """

    places: NDArray[np.int64]
    sums: Singles
    off: float


ComputeSums = Callable[[dict[str, Halves]], Singles]  # blocks [n, width] of at most STEP users -> [n, sieves]


def sums_for(sieves: Sequence[Prefilter], together: bool) -> ComputeSums:
    """What makes the sums of some sieves, for one thread; `together` is faster from three on, once torch is there."""
    return _Multiplied(sieves) if together else _Scanned(sieves)


def apply_prefilters(
    wanted: Sequence[tuple[Prefilter, float]], sums: ComputeSums, blocks: dict[str, Halves], largest: dict[str, float]
) -> list[Survivors]:
    """Of each sieve and threshold who may reach it.

    `blocks` hold what any of the sieves reads, [n, width], and `largest` the largest absolute figure of each. Raises
    FloatingPointError where a figure is NaN or infinite.
    """
    users = len(next(iter(blocks.values())))
    borders = np.array([one.border(threshold, largest) for one, threshold in wanted])
    found = []
    for first in range(0, users, USERS_PER_STEP):
        with np.errstate(invalid="ignore"):
            made = sums({block: halves[first : first + USERS_PER_STEP] for block, halves in blocks.items()})
        if not np.isfinite(made).all():  # as what is no number makes every sum, whatever its weight
            raise FloatingPointError("a stored figure is NaN or infinite")
        hits = np.flatnonzero(made >= borders)
        found.append((first * len(wanted) + hits, made.ravel()[hits]))
    hits, values = (np.concatenate(part) for part in zip(*found, strict=True))
    places, of = np.divmod(hits, len(wanted))
    mine = [np.flatnonzero(of == number) if len(wanted) > 1 else slice(None) for number in range(len(wanted))]
    return [Survivors(places[at], values[at], one.off(largest)) for at, (one, _) in zip(mine, wanted, strict=True)]


@contextlib.contextmanager
def torch_on_one_thread() -> Iterator[None]:
    """While sums are made together: the caller's threads are all there are to be."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Multiplied:
    """Sums of many sieves as a matrix product over singles, each block made singles once."""

    def __init__(self, sieves: Sequence[Prefilter]) -> None:
        import torch  # slow to import, and seldom needed

        self.from_halves = torch.from_numpy
        blocks = {block: len(w) for one in sieves for block, w in one.weights.items()}
        nothing = {block: np.zeros(width, np.float32) for block, width in blocks.items()}
        self.weights = {block: np.stack([(nothing | one.weights)[block] for one in sieves], 1) for block in blocks}
        self.singles = {block: torch.empty(USERS_PER_STEP, width) for block, width in blocks.items()}

    def __call__(self, blocks: dict[str, Halves]) -> Singles:
        total: Singles | None = None
        for block, weights in self.weights.items():
            singles = self.singles[block][: len(blocks[block])].copy_(self.from_halves(blocks[block]))
            part = singles.numpy() @ weights
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total


class _Scanned:
    """Sums of a few sieves, each made as the halves are read."""

    def __init__(self, sieves: Sequence[Prefilter]) -> None:
        self.products = [{block: Products(w) for block, w in one.weights.items()} for one in sieves]

    def __call__(self, blocks: dict[str, Halves]) -> Singles:
        made = np.zeros((len(next(iter(blocks.values()))), len(self.products)), np.float32)
        for number, products in enumerate(self.products):
            for block, product in products.items():
                made[:, number] += product(blocks[block])
        return made


class Products:
    """rows · weights in single precision, of rows [n, width]. One for each thread."""

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

    def __call__(self, rows: Halves) -> Singles:
        """Every row's sum, [n]. Raises FloatingPointError where one is NaN or minus infinity."""
        sums = self._scanned(rows) if self.even else np.zeros(len(rows), np.float32)
        if len(self.rest):
            sums += rows[:, self.even :].astype(np.float32) @ self.rest
        return sums

    def _scanned(self, rows: Halves) -> Singles:
        """The sums over `even` columns."""
        results = faiss.RangeSearchResult(1)
        results.buffer_size = len(rows)
        listed = cast(Any, faiss).RangeSearchPartialResult(results)
        of_one = listed.new_result(0)
        codes, places, sums = rows.view(np.uint8), np.arange(len(rows)), np.empty(len(rows), np.float32)
        self.scanner.scan_codes_range(len(rows), faiss.swig_ptr(codes), faiss.swig_ptr(places), -np.inf, of_one)
        if of_one.nres < len(rows):  # only these are not above minus infinity
            raise FloatingPointError("a stored figure is NaN or infinite")
        listed.copy_range(0, of_one.nres, faiss.swig_ptr(places), faiss.swig_ptr(sums))
        return sums

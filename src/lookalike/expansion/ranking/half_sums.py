"""Single-precision sums of half-precision columns times weights, the fast part of the prefilter.

FAISS multiplies halves by single-precision weights as it reads them, in half the time of NumPy's `X @ w` over singles.
For many lists at once it pays to convert the halves to singles once for all of them; torch does that four times as fast
as NumPy.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]
BlockWeights = dict[str, Singles]  # of each block that is read [width]
ComputeSums = Callable[[dict[str, Halves]], Singles]  # blocks [n, width] of at most USERS_PER_STEP users -> [n, lists]

USERS_PER_STEP = 4_096  # more do not fit the cache of one core
LANES = 8  # FAISS is slow when the number of columns is not a multiple of it


def sums_for(weights: Sequence[BlockWeights], shared: bool) -> ComputeSums:
    """Computes the sums of several lists, for one thread. `shared` is faster from three lists on, but imports torch."""
    return _SharedSums(weights) if shared else _ScannedSums(weights)


@contextlib.contextmanager
def torch_on_one_thread() -> Iterator[None]:
    """Keeps torch from starting threads beside the caller's own while it computes shared sums."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _SharedSums:
    """The sums of many lists as one matrix product over singles, for which each block is converted once."""

    def __init__(self, weights: Sequence[BlockWeights]) -> None:
        import torch  # slow to import and rarely needed

        self.from_halves = torch.from_numpy
        widths = {block: len(w) for of_list in weights for block, w in of_list.items()}
        zeros = {block: np.zeros(width, np.float32) for block, width in widths.items()}
        self.weights = {block: np.stack([(zeros | of_list)[block] for of_list in weights], 1) for block in widths}
        self.singles = {block: torch.empty(USERS_PER_STEP, width) for block, width in widths.items()}

    def __call__(self, blocks: dict[str, Halves]) -> Singles:
        total: Singles | None = None
        for block, weights in self.weights.items():
            singles = self.singles[block][: len(blocks[block])].copy_(self.from_halves(blocks[block]))
            part = singles.numpy() @ weights
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total


class _ScannedSums:
    """The sums of a few lists, each computed while the halves are read."""

    def __init__(self, weights: Sequence[BlockWeights]) -> None:
        self.products = [{block: HalfProduct(w) for block, w in of_list.items()} for of_list in weights]

    def __call__(self, blocks: dict[str, Halves]) -> Singles:
        sums = np.zeros((len(next(iter(blocks.values()))), len(self.products)), np.float32)
        for number, products in enumerate(self.products):
            for block, product in products.items():
                sums[:, number] += product(blocks[block])
        return sums


class HalfProduct:
    """rows · weights in single precision, of half-precision rows [n, width]. Each thread needs its own."""

    def __init__(self, weights: Singles) -> None:
        self.even = len(weights) - len(weights) % LANES
        self.last_weights = weights[self.even :]
        if self.even:
            self.query = np.ascontiguousarray(weights[: self.even])  # FAISS keeps its address
            quantizer: Any = faiss.ScalarQuantizer(self.even, faiss.ScalarQuantizer.QT_fp16)
            quantizer.code_size = 2 * len(weights)  # bytes from row to row
            # a few hundred bytes that are never freed: owning it (`thisown`) breaks SWIG's count of its types, and crashes
            self.scanner = quantizer.select_InvertedListScanner(faiss.METRIC_INNER_PRODUCT, None, False, None, False)
            self.scanner.set_query(faiss.swig_ptr(self.query))
            self.scanner.set_list(0, 0.0)

    def __call__(self, rows: Halves) -> Singles:
        """Each row's sum, [n]. Raises FloatingPointError when one is NaN or minus infinity."""
        sums = self._scanned(rows) if self.even else np.zeros(len(rows), np.float32)
        if len(self.last_weights):
            sums += rows[:, self.even :].astype(np.float32) @ self.last_weights
        return sums

    def _scanned(self, rows: Halves) -> Singles:
        """The sums over the first `even` columns."""
        results = faiss.RangeSearchResult(1)
        results.buffer_size = len(rows)
        partial = cast(Any, faiss).RangeSearchPartialResult(results)
        query_result = partial.new_result(0)
        codes, places, sums = rows.view(np.uint8), np.arange(len(rows)), np.empty(len(rows), np.float32)
        self.scanner.scan_codes_range(len(rows), faiss.swig_ptr(codes), faiss.swig_ptr(places), -np.inf, query_result)
        if query_result.nres < len(rows):  # only NaN and minus infinity are not above the radius of minus infinity
            raise FloatingPointError("a stored value is NaN or infinite")
        partial.copy_range(0, query_result.nres, faiss.swig_ptr(places), faiss.swig_ptr(sums))
        return sums

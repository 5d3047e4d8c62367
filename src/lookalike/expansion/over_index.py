"""Over-index: what one group of users does more and less than another."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from lookalike.data.arrays import Floats
from lookalike.expansion.result import OverIndex, OverIndexGroup, OverIndexRow

Z95 = 1.959964
MAX_ROWS = 500  # of a group in the record; the report shows fewer
MAX_UNDER_ROWS = 50
MAX_FALSE_DISCOVERIES = 0.05


@dataclass(frozen=True)
class GroupSizes:
    """How many users were compared on each side."""

    audience: int
    base: int


def over_index(counts: pl.DataFrame, sizes: GroupSizes, min_cell: int) -> OverIndex:
    """The comparison of an audience with a base.

    `counts` has `title` (kind of trait), `label`, `audience_count` and `base_count`: users with the trait. Traits with
    fewer than `min_cell` users on either side are counted, not shown.
    """
    supported = counts.filter((pl.col("audience_count") >= min_cell) & (pl.col("base_count") >= min_cell))
    rated = _with_ratios(supported, sizes)
    groups = []
    for (title,), rows in counts.group_by("title", maintain_order=True):
        shown = rated.filter(pl.col("title") == title).drop("title")
        more = shown.filter(pl.col("ratio") > 1).sort(["ratio_low", "label"], descending=[True, False])
        less = shown.filter((pl.col("ratio_high") < 1) & (pl.col("q") <= MAX_FALSE_DISCOVERIES))
        groups.append(
            OverIndexGroup(
                title=str(title),
                hidden=len(rows) - len(shown),
                rows=_records(more.head(MAX_ROWS)),
                less=_records(less.sort(["ratio_high", "label"]).head(MAX_UNDER_ROWS)),
            )
        )
    return OverIndex(audience_users=sizes.audience, base_users=sizes.base, min_cell=min_cell, groups=tuple(groups))


def _records(rows: pl.DataFrame) -> tuple[OverIndexRow, ...]:
    return tuple(OverIndexRow(**row) for row in rows.to_dicts())


def _with_ratios(rows: pl.DataFrame, sizes: GroupSizes) -> pl.DataFrame:
    """Rates, their ratio with its 95 % interval on the log scale (Katz et al. 1978), and the false discovery rate over
    all traits."""
    a, b = rows["audience_count"].to_numpy().astype(float), rows["base_count"].to_numpy().astype(float)
    rate_a, rate_b = a / max(1, sizes.audience), b / max(1, sizes.base)
    ratio = rate_a / np.maximum(rate_b, 1e-12)
    spread = np.sqrt(np.maximum(0, 1 / a - 1 / sizes.audience + 1 / b - 1 / sizes.base))
    z = np.abs(np.log(np.maximum(ratio, 1e-12))) / np.maximum(spread, 1e-12)
    p_values = np.where(spread > 0, 2 * special.ndtr(-z), 1.0)  # a trait of everybody on both sides tells nothing
    return rows.with_columns(
        q=pl.Series(false_discovery_rates(p_values)),
        audience_rate=pl.Series(rate_a),
        base_rate=pl.Series(rate_b),
        ratio=pl.Series(ratio),
        ratio_low=pl.Series(ratio * np.exp(-Z95 * spread)),
        ratio_high=pl.Series(ratio * np.exp(Z95 * spread)),
    )


def false_discovery_rates(p_values: Floats) -> Floats:
    """The rate at which each would be accepted (Benjamini and Hochberg 1995); scipy.stats has it, and takes a second to
    import."""
    order, count = np.argsort(p_values), len(p_values)
    scaled = p_values[order] * count / np.arange(1, count + 1)
    rates = np.empty(count)
    rates[order] = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    return rates

"""What an audience does more and less than the base: rates of users, their ratio with an interval, and its support."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

Z95 = 1.959964


MAX_ROWS = 500  # of a group in the record; the report shows fewer


MAX_UNDER_ROWS = 50


MAX_FALSE_DISCOVERIES = 0.05  # share of the rows shown that may be there by chance


@dataclass(frozen=True)
class GroupSizes:
    """How many users were looked at on each side."""

    audience: int
    base: int


def over_index_groups(counts: pl.DataFrame, looked: GroupSizes, min_cell: int) -> list[dict[str, Any]]:
    """Rows by group: `rows` are more frequent than in the base, `less` are surely less; the surest first in each.

    `counts` holds `title`, `label`, `audience_count`, `base_count`: users who did it at least once. Rows that rest on
    fewer than `min_cell` users on either side are counted, not shown. `q` is the share of false finds among all rows of
    all groups that are as sure (Benjamini and Hochberg 1995).
    """
    supported = counts.filter((pl.col("audience_count") >= min_cell) & (pl.col("base_count") >= min_cell))
    rated = _with_ratios(supported, looked)
    made = []
    for (title,), rows in counts.group_by("title", maintain_order=True):
        here = rated.filter(pl.col("title") == title).drop("title")
        more = here.filter(pl.col("ratio") > 1).sort(["ratio_low", "label"], descending=[True, False])
        less = here.filter((pl.col("ratio_high") < 1) & (pl.col("q") <= MAX_FALSE_DISCOVERIES)).sort(
            ["ratio_high", "label"]
        )
        made.append(
            {
                "title": title,
                "hidden": len(rows) - len(here),
                "rows": more.head(MAX_ROWS).to_dicts(),
                "less": less.head(MAX_UNDER_ROWS).to_dicts(),
            }
        )
    return made


def _with_ratios(rows: pl.DataFrame, looked: GroupSizes) -> pl.DataFrame:
    """Rates, their ratio, and its 95 % interval on the log scale (Katz et al. 1978)."""
    a, b = rows["audience_count"].to_numpy().astype(float), rows["base_count"].to_numpy().astype(float)
    rate_a, rate_b = a / max(1, looked.audience), b / max(1, looked.base)
    ratio = rate_a / np.maximum(rate_b, 1e-12)
    spread = np.sqrt(np.maximum(0, 1 / a - 1 / looked.audience + 1 / b - 1 / looked.base))
    sureness = np.abs(np.log(np.maximum(ratio, 1e-12))) / np.maximum(spread, 1e-12)
    p_values = np.where(spread > 0, 2 * stats.norm.sf(sureness), 1.0)  # everybody on both sides says nothing
    return rows.with_columns(
        q=pl.Series(stats.false_discovery_control(p_values) if len(p_values) else p_values),
        audience_rate=pl.Series(rate_a),
        base_rate=pl.Series(rate_b),
        ratio=pl.Series(ratio),
        ratio_low=pl.Series(ratio * np.exp(-Z95 * spread)),
        ratio_high=pl.Series(ratio * np.exp(Z95 * spread)),
    )

"""What an audience does more than the base: rates of users, their ratio with an interval, and how many they rest on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

Z95 = 1.959964
MOST_ROWS = 500  # of a group in the record; the report shows fewer


@dataclass(frozen=True)
class Looked:
    """How many users were looked at on each side."""

    audience: int
    base: int


def groups(counts: pl.DataFrame, looked: Looked, min_cell: int) -> list[dict[str, Any]]:
    """Over-indexing rows by group, the strongest first by the lower end of the ratio's interval.

    `counts` holds `title`, `label`, `audience_count`, `base_count`: users who did it at least once. Rows that rest on
    fewer than `min_cell` users on either side are counted, not shown.
    """
    made = []
    for (title,), rows in counts.group_by("title", maintain_order=True):
        supported = rows.filter((pl.col("audience_count") >= min_cell) & (pl.col("base_count") >= min_cell))
        shown = (
            _with_ratios(supported, looked)
            .filter(pl.col("ratio") > 1)
            .sort(["ratio_low", "label"], descending=[True, False])
        )
        made.append(
            {
                "title": title,
                "hidden": len(rows) - len(supported),
                "rows": shown.drop("title").head(MOST_ROWS).to_dicts(),
            }
        )
    return made


def _with_ratios(rows: pl.DataFrame, looked: Looked) -> pl.DataFrame:
    """Rates, their ratio, and its 95 % interval on the log scale (Katz et al. 1978)."""
    a, b = rows["audience_count"].to_numpy().astype(float), rows["base_count"].to_numpy().astype(float)
    rate_a, rate_b = a / max(1, looked.audience), b / max(1, looked.base)
    ratio = rate_a / np.maximum(rate_b, 1e-12)
    spread = np.sqrt(np.maximum(0, 1 / a - 1 / looked.audience + 1 / b - 1 / looked.base))
    return rows.with_columns(
        audience_rate=pl.Series(rate_a),
        base_rate=pl.Series(rate_b),
        ratio=pl.Series(ratio),
        ratio_low=pl.Series(ratio * np.exp(-Z95 * spread)),
        ratio_high=pl.Series(ratio * np.exp(Z95 * spread)),
    )
